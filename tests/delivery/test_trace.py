"""What a trace says of an event at a destination, at every state it can be in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.delivery.dead_letters import DeadLetter, DeadLetters
from router.delivery.trace import Delivered, Station, Tracer, at_station, find_letters
from router.destinations import Compiled, catalog, compile_destination
from router.event import Event, pack_block
from router.log import EventLog
from router.store import ALL_PARTS, Retry, Store
from router.workspace.models import Destination, Filter


def event(offset: int = 7, source: str = "web", **members: Any) -> Event:
    raw = orjson.dumps(
        {"messageId": "m", "receivedAt": "", "type": "track", "event": "E"} | members
    )
    return Event(offset, source, 0, 1 if "integrations" in members else 0, raw, 1_800_000_000_000)


def hook(**more: Any) -> Compiled:
    instance = Destination(
        destination="webhook", settings={"url": "https://example.com/hook"}, **more
    )
    return compile_destination(catalog().spec("webhook"), "hook", instance)


def station(compiled: Compiled | None = None, **more: Any) -> Station:
    told: dict[str, Any] = {
        "compiled": compiled or hook(), "sources": None, "cursor": 5,
        "position": 20, "held_back": "", "delivered": Delivered(),
    }  # fmt: skip
    return Station(**(told | more))


def letter(offset: int, part: int = 0, reason: str = "400: no") -> DeadLetter:
    return DeadLetter(
        id=f"{offset}-{part}", time=1, destination="hook", message_id="m", source="web",
        reason=reason, attempts=1, first_attempt=1, received_at=1,
        event=msgspec.Raw(b'{"id":"%d-0"}' % (offset + 1)),
    )  # fmt: skip


def at(what: Event, one: Station | None, store: Store, folder: Path) -> dict[str, Any]:
    letters = find_letters(folder / "hook", what.offset)
    retries = store.find("hook", what.offset)
    return at_station(what, "hook", one, store.cursor("hook"), letters, retries)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    one = Store(tmp_path / "state")
    yield one
    await one.close()


async def test_an_event_on_its_way(tmp_path: Path, store: Store) -> None:
    found = at(event(7), station(), store, tmp_path)
    assert found == {"destination": "hook", "state": "in flight", "cursor": 5}
    found = at(event(27), station(held_back="429"), store, tmp_path)
    assert found == {
        "destination": "hook", "state": "waiting", "eventsBefore": 7, "heldBack": "429",
    }  # fmt: skip
    assert at(event(4), station(), store, tmp_path)["state"] == "settled"


async def test_an_event_that_was_delivered(tmp_path: Path, store: Store) -> None:
    one = station()
    one.delivered.add_many([3, 7, 9], 1_800_000_000_000)
    for offset in (3, 7):
        found = at(event(offset), one, store, tmp_path)
        assert found["state"] == "delivered"
        assert found["deliveredAt"] == "2027-01-15T08:00:00.000Z"


@pytest.mark.parametrize(
    ("one", "what", "reason"),
    [
        ({"sources": frozenset({"app"})}, event(), "source"),
        ({}, event(integrations={"All": False}), "integrations"),
        ({"compiled": hook(filter="event = 'F'")}, event(), "filter"),
        ({"compiled": hook(filters=[Filter(do="drop")])}, event(), "filters"),
    ],
)
async def test_an_event_that_is_not_for_it(
    tmp_path: Path, store: Store, one: dict[str, Any], what: Event, reason: str
) -> None:
    found = at(what, station(**one), store, tmp_path)
    assert (found["state"], found["reason"]) == ("filtered", reason)


async def test_an_event_that_waits_for_another_try(tmp_path: Path, store: Store) -> None:
    await store.flush()
    retry = Retry(7, "web", 0, 0, b"{}", 1, 0, 3, 1, "503: busy")
    store.add_retry("hook", 1_800_000_000_000, retry)
    store.add_retry("hook", 1, msgspec.structs.replace(retry, offset=70))
    await store.flush()
    found = at(event(7), station(), store, tmp_path)
    assert found["state"] == "retrying"
    assert found["retries"] == [
        {"row": 0, "attempts": 3, "nextAttempt": "2027-01-15T08:00:00.000Z", "reason": "503: busy"}
    ]


async def test_an_event_that_is_dead(tmp_path: Path, store: Store) -> None:
    letters = DeadLetters(tmp_path, 1 << 20)
    letters.add("hook", [letter(6), letter(7), letter(70), letter(77)])
    found = at(event(7), station(), store, tmp_path)
    assert (found["state"], found["reason"]) == ("dead", "400: no")
    [told] = found["letters"]
    assert (told["id"], told["attempts"], "event" in told) == ("7-0", 1, False)


async def test_an_event_of_a_disabled_destination(tmp_path: Path, store: Store) -> None:
    assert at(event(7), None, store, tmp_path)["state"] == "waiting"
    store.set_cursor("hook", 5)
    assert at(event(7), None, store, tmp_path) == {
        "destination": "hook", "state": "waiting", "disabled": True, "eventsBefore": 2,
    }  # fmt: skip
    store.set_cursor("hook", 8)
    assert at(event(7), None, store, tmp_path)["state"] == "settled"
    retry = Retry(7, "web", 0, 0, b"{}", 1, ALL_PARTS, 3, 1, "503: busy")
    store.add_retry("hook", 1, retry)
    await store.flush()
    assert at(event(7), None, store, tmp_path)["state"] == "retrying"


def test_damaged_letters_are_passed_over(tmp_path: Path) -> None:
    assert find_letters(tmp_path / "none", 7) == []
    letters = DeadLetters(tmp_path, 1 << 20)
    letters.add("hook", [letter(7, part) for part in range(3)])
    [path] = (tmp_path / "hook").glob("*.jsonl")
    path.write_bytes(b'{"id":"7-9", torn\n' + path.read_bytes()[:-5])
    assert [each["id"] for each in find_letters(tmp_path / "hook", 7)] == ["7-0", "7-1"]


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 50), max_size=8), st.integers(1, 1000))),
    st.integers(1, 20),
)
def test_the_last_deliveries_are_remembered(
    batches: list[tuple[list[int], int]], kept: int
) -> None:
    """Against a plain list: at least the last `kept`, at most a quarter and a batch more."""
    ring, rows = Delivered(kept), []
    for offsets, time_ms in batches:
        ring.add_many(offsets, time_ms)
        rows += [(offset, time_ms) for offset in offsets]
    surely = dict(rows[-kept:])
    possibly = dict(rows[-(kept + kept // 4) :])
    for offset in range(51):
        found = ring.find(offset)
        assert (
            found == surely[offset] if offset in surely else found in (None, possibly.get(offset))
        )


async def test_a_trace_puts_all_of_it_together(tmp_path: Path) -> None:
    log = EventLog.open(
        tmp_path / "log", segment_bytes=1 << 20, max_bytes=1 << 24, inflight_bytes=1 << 20
    )
    store = Store(tmp_path / "state")
    raw = b'{"messageId":"m1","receivedAt":"2027-01-15T08:00:00.000Z","type":"track","event":"E"}'
    await log.append_wait(pack_block("web", [0], [0], [raw]), 1, 1_800_000_000_000)
    store.set_cursor("off", 0)

    async def rejected(id_: str) -> list[dict[str, Any]]:
        return [{"reason": "unknown_type"}] if id_ == "m1" else []

    tracer = Tracer(
        log, store, tmp_path / "letters", lambda: {"hook": station(cursor=0, position=0), "off": None},
        rejected, lambda id_: ["web"],
    )  # fmt: skip
    found = await tracer.trace("m1")
    assert found["rejected"] == [{"reason": "unknown_type"}]
    assert found["remembered"] == ["web"]
    assert found["log"] == {"start": 0, "end": 1, "searchedFrom": 0, "complete": True}
    [told] = found["events"]
    assert (told["offset"], told["source"], told["event"]["event"]) == (0, "web", "E")
    assert [(each["destination"], each["state"]) for each in told["destinations"]] == [
        ("hook", "waiting"), ("off", "waiting"),
    ]  # fmt: skip
    assert (await tracer.trace("m2"))["events"] == []
    await store.close()
    await log.close()
