"""All destinations together: where each begins, what is told of one that is off, what is red."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from router.delivery.dead_letters import DeadLetters
from router.delivery.fleet import Fleet
from router.delivery.overview import Overview
from router.destinations import catalog, compile_destination
from router.event import pack_block
from router.log import EventLog
from router.log.feed import Feed
from router.metrics import NOT_APPLICABLE, SACRIFICED, STALLED
from router.store import Store
from router.workspace.models import Delivery, Destination, Settings, Workspace

MIB = 1 << 20
NOBODY = "http://127.0.0.1:9/"


class House:
    """A real log with events a minute apart, and a fleet on it."""

    def __init__(self, folder: Path) -> None:
        self.log = EventLog.open(
            folder / "log", segment_bytes=MIB, max_bytes=64 * MIB, inflight_bytes=MIB
        )
        self.feed = Feed(self.log)
        self.store, self.overview = Store(folder / "state"), Overview(folder / "overview")
        self.fleet = Fleet(self.feed, self.store, DeadLetters(folder / "dead", MIB), self.overview)
        self.settings = Settings(delivery=Delivery(grace_seconds=0, stalled_seconds=30))

    async def put(self, count: int, time_ms: int, name: str = "E") -> None:
        events = [orjson.dumps({"messageId": f"m{self.log.end + i}", "receivedAt": "",
                                "type": "track", "event": name}) for i in range(count)]  # fmt: skip
        await self.log.append_wait(
            pack_block("web", [0] * count, [0] * count, events), count, time_ms
        )

    async def apply(self, **destinations: Destination) -> None:
        compiled = {
            id_: compile_destination(catalog().spec(one.destination), id_, one)
            for id_, one in destinations.items() if one.enabled
        }  # fmt: skip
        workspace = Workspace(
            settings=self.settings, sources={}, destinations=destinations, digest=str(id(compiled))
        )
        if self.fleet._transport is None:
            await self.fleet.start(workspace, compiled)
        else:
            await self.fleet.apply(workspace, compiled)

    def state(self, id_: str) -> dict[str, Any]:
        return next(one for one in self.fleet.state() if one["id"] == id_)


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    one = House(folder)
    one.feed.start()
    yield one
    await one.fleet.stop()
    await one.feed.stop()
    await one.store.close()
    await one.overview.close()
    await one.log.close()


def hook(**more: Any) -> Destination:
    return Destination(destination="webhook", settings={"url": NOBODY}, **more)


async def test_a_new_destination_begins_where_it_is_told(tmp_path: Path) -> None:
    base = 1_800_000_000_000
    async with house(tmp_path) as one:
        for minute in range(10):
            await one.put(5, base + minute * 60_000)
        at = datetime.fromtimestamp(base / 1000 + 240, UTC).isoformat()
        await one.apply(
            all=hook(start="earliest", enabled=False), none=hook(enabled=False),
            some=hook(start=at, enabled=False),
        )  # fmt: skip
        assert [one.state(id_)["cursor"] for id_ in ("all", "none", "some")] == [0, 50, 20]


async def test_a_destination_that_is_off_keeps_its_place_and_says_what_waits(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as one:
        await one.apply(off=hook(enabled=False))
        await one.put(7, int(time.time() * 1000) - 60_000)
        state = one.state("off")
        assert (state["state"], state["cursor"], state["lagEvents"]) == ("disabled", 0, 7)
        assert 59 < state["oldestUndeliveredSeconds"] < 70
        assert one.fleet.floor() == 0, "the log keeps what it has not got"
        await one.apply(off=hook(), other=hook())
        assert one.state("off")["state"] in ("running", "held back")
        assert one.state("off")["cursor"] == 0


async def test_what_left_the_log_undelivered_is_counted(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.store.set_cursor("late", 0)
        for _ in range(30):
            await one.put(100, 1, "x" * 1000)
        before = SACRIFICED.labels("late")._value.get()
        one.log.sacrifice(2000)
        start = one.log.start
        assert 0 < start <= 2000
        await one.apply(late=hook(enabled=False))
        assert SACRIFICED.labels("late")._value.get() - before == start
        assert one.state("late")["cursor"] == start


async def test_events_that_nobody_tries_turn_the_router_red(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await one.apply(stuck=hook())
        consumer = one.fleet.consumers["stuck"]
        consumer._task.cancel()  # type: ignore[union-attr]
        await one.put(1, int(time.time() * 1000))
        one.fleet._find_stalled()
        assert one.fleet.trouble == ""
        consumer.active -= 31
        one.fleet._find_stalled()
        assert one.fleet.trouble == "events wait and none is tried: stuck"
        assert one.state("stuck")["state"] == "stalled"
        assert STALLED.labels("stuck")._value.get() == 1
        consumer.active = time.monotonic()
        one.fleet._find_stalled()
        assert one.fleet.trouble == ""


async def test_each_destination_gets_its_share_of_the_memory(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        one.settings = Settings(delivery=Delivery(queue_bytes=4 * MIB, grace_seconds=0))
        await one.apply(a=hook(), b=hook(), c=hook(), d=hook())
        assert {each.intake.queue_bytes for each in one.fleet.consumers.values()} == {MIB}
        await one.apply(a=hook())
        assert one.fleet.consumers["a"].intake.queue_bytes == 4 * MIB


async def test_what_actions_pass_over_is_counted(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        await one.apply(hook=hook())
        consumer = one.fleet.consumers["hook"]
        counter = NOT_APPLICABLE.labels("hook", "single", "email")
        before = counter._value.get()
        consumer.compiled.not_applicable["single", "email"] += 3
        one.fleet.measure()
        one.fleet.measure()
        assert counter._value.get() - before == 3
