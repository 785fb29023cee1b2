"""A whole router in front of a vendor that fails in every way: nothing lost, nothing silent."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.e2e.faults import FATES, FaultSink, catalogue_file
from tests.e2e.harness import KEY, Router

FAST = "[delivery]\nretry_first_seconds = 0.05\nretry_max_seconds = 0.3\n"


@pytest.fixture
def faults() -> Iterator[FaultSink]:
    sink = FaultSink()
    yield sink
    sink.close()


def send(router: Router, ids: list[str]) -> None:
    """Post events in batches of 50; all are acknowledged."""
    for start in range(0, len(ids), 50):
        batch = [{"type": "track", "event": "E", "userId": "u", "messageId": id_}
                 for id_ in ids[start : start + 50]]  # fmt: skip
        body = json.dumps({"batch": batch, "writeKey": KEY}).encode()
        with urlopen(Request(router.edge + "/v1/batch", body), timeout=10) as response:
            assert response.status == 200


def faulty(router: Router, id_: str, url: str, more: str = "", **catalogue: Any) -> None:
    (router.workspace / "catalog").mkdir(exist_ok=True)
    router.write(f"catalog/{id_}.toml", catalogue_file(**catalogue))
    router.write(
        f"destinations/{id_}.toml", f'destination = "{id_}"\n{more}\n[settings]\nurl = "{url}"\n'
    )


def dead(router: Router, destination: str) -> list[dict[str, Any]]:
    return list(router.get(f"/v1/dead-letters/{destination}?limit=100000"))


def wait_settled(router: Router, destination: str, seconds: float = 60) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        [state] = [one for one in router.get("/v1/destinations") if one["id"] == destination]
        if not state["lagEvents"] and not state["retrying"] and not state["queuedRows"]:
            return dict(state)
        assert time.monotonic() < deadline, (state, router.log()[-2000:])
        time.sleep(0.1)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("ordered", [False, True])
def test_every_event_survives_every_fault_or_is_dead_with_a_reason(
    tmp_path: Path, faults: FaultSink, ordered: bool
) -> None:
    chance = random.Random(3)
    ids = [f"m{number}" for number in range(1500)]
    faults.refused_rows = {id_ for id_ in ids if chance.random() < 0.03}
    stormy = True

    def fate(_: list[dict[str, Any]]) -> str:
        return chance.choice(FATES[1:]) if stormy and chance.random() < 0.4 else "partial"

    faults.fate = fate
    router = Router(tmp_path, FAST)
    faulty(router, "faulty", faults.url, f"ordered = {str(ordered).lower()}", batch=20)
    router.start()
    try:
        send(router, ids)
        deadline = time.monotonic() + 45
        while time.monotonic() < deadline and len(faults.fates) < len(FATES):
            time.sleep(0.2)
        stormy = False
        wait_settled(router, "faulty", 100)
        letters = dead(router, "faulty")
        assert {letter["messageId"] for letter in letters} == faults.refused_rows
        assert {letter["reason"] for letter in letters} == {"200: bad row"}
        assert all(letter["status"] == 200 and "bad row" in letter["answer"] for letter in letters)
        assert set(faults.accepted) == set(ids) - faults.refused_rows
        assert len(faults.fates) >= len(FATES), faults.fates
    finally:
        assert router.stop() == 0


@pytest.mark.timeout(120)
def test_a_day_like_segments_adds_up(tmp_path: Path, faults: FaultSink) -> None:
    """92.6 % taken at once, 1.9 % after a retry, 5.5 % refused for good: a day that Segment
    published."""
    ids = [f"m{number}" for number in range(2000)]
    never = set(ids[1::18][:110])
    again = {id_ for id_ in ids[::2] if id_ not in never and int(id_[1:]) < 76}
    tried: set[str] = set()

    def fate(events: list[dict[str, Any]]) -> str:
        [event] = events
        id_ = event["messageId"]
        if id_ in never:
            return "422"
        if id_ in again and id_ not in tried:
            tried.add(id_)
            return "503"
        return "ok"

    faults.fate = fate
    router = Router(tmp_path, FAST)
    router.webhook("hook", faults.url)
    router.start()
    try:
        send(router, ids)
        wait_settled(router, "hook")
        letters = dead(router, "hook")
        assert {letter["messageId"] for letter in letters} == never
        assert all(letter["status"] == 422 for letter in letters)
        [day] = router.get("/v1/overview?destination=hook")["summary"]
        counts = [day["deliveredAtOnce"], day["deliveredAfterRetry"], day["dead"]["422"]]
        assert counts == [len(ids) - len(again) - len(never), len(again), len(never)]
        assert sum(counts) == len(ids), "every acknowledged event is in one of the three"
        shares = [round(100 * share, 1) for share in day["shares"].values()]
        assert shares == [92.6, 1.9, 5.5]
    finally:
        assert router.stop() == 0


@pytest.mark.timeout(120)
def test_a_reload_amid_failures_loses_nothing_and_hangs_nothing(
    tmp_path: Path, faults: FaultSink
) -> None:
    """Retries and queued rows belong to the destination's id, not to the settings it had."""
    ids = [f"m{number}" for number in range(500)]
    faults.fate = lambda _: "503"
    router = Router(tmp_path, FAST)
    router.webhook("hook", faults.url)
    router.start()
    good = FaultSink()
    try:
        send(router, ids)
        deadline = time.monotonic() + 20
        while not router.get("/v1/destinations")[0]["retrying"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        router.webhook("hook", good.url)
        wait_settled(router, "hook")
        assert set(good.accepted) == set(ids)
        assert dead(router, "hook") == []
    finally:
        assert router.stop() == 0
        good.close()


@pytest.mark.timeout(120)
def test_a_destination_that_is_switched_off_and_on_misses_nothing(
    tmp_path: Path, faults: FaultSink
) -> None:
    router = Router(tmp_path, FAST)
    router.webhook("hook", faults.url)
    router.start()
    try:
        send(router, ["a"])
        wait_settled(router, "hook")
        router.webhook("hook", faults.url, "enabled = false")
        deadline = time.monotonic() + 20
        while router.get("/v1/destinations")[0]["state"] != "disabled":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        send(router, ["b", "c"])
        time.sleep(1.2)
        assert router.get("/v1/destinations")[0]["lagEvents"] == 2
        assert router.metrics()['router_destination_lag_events{destination="hook"}'] == 2
        router.webhook("hook", faults.url)
        deadline = time.monotonic() + 20
        while set(faults.accepted) != {"a", "b", "c"}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert max(faults.accepted.values()) == 1
    finally:
        assert router.stop() == 0
