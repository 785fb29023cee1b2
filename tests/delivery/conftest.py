"""A log in memory and a destination made of functions, to look at delivery alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvloop

from router.delivery.consumer import Consumer
from router.delivery.dead_letters import DeadLetters
from router.delivery.overview import Overview
from router.destinations import NotApplicable
from router.destinations.outcome import Outcome, Reply, Verdict
from router.destinations.request import BatchRule, Row
from router.event import Event, pack_block
from router.log import Record
from router.log.feed import Feed
from router.store import Store
from router.workspace.models import Delivery, Destination


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The router runs on uvloop, tests as a rule do not: for the HTTP client both count."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "asyncio": asyncio.new_event_loop
    }
    if item.path.name == "test_transport.py":
        factories["uvloop"] = uvloop.new_event_loop
    return factories


class MemoryLog:
    """The part of the event log that consumers use."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.start = 0
        self.end = 0
        self._grown = asyncio.Event()

    def put(
        self, *names: str, time_ms: int = 1, users: Callable[[str], str] = lambda _: "u"
    ) -> None:
        events = [
            orjson.dumps({"messageId": f"m{self.end + i}", "receivedAt": "", "type": "track",
                          "event": name, "userId": users(name)})
            for i, name in enumerate(names)
        ]  # fmt: skip
        block = pack_block("web", [0] * len(events), [0] * len(events), events)
        self.records.append(Record(self.end, len(events), time_ms, block))
        self.end += len(events)
        self._grown.set()

    def read(self, offset: int, max_bytes: int = 1 << 20) -> list[Record]:
        found: list[Record] = []
        for record in self.records:
            if record.offset + record.count > offset:
                found.append(record)
                max_bytes -= len(record.payload)
                if max_bytes <= 0:
                    break
        return found

    async def wait(self, offset: int) -> None:
        while self.end <= offset:
            self._grown.clear()
            await self._grown.wait()


class FakeDestination:
    """A sink that answers as `answer` says: from event names to a reply."""

    def __init__(self, answer: Callable[[list[str]], Reply], rule: BatchRule, concurrency: int):
        self.id = self.slug = self.title = "fake"
        self.rate, self.concurrency, self.timeout = None, concurrency, 1.0
        self.batches = [rule]
        self.ordered, self.per_row = False, True
        self.sink = self
        self.answer = answer
        self.not_applicable: Counter[tuple[str, str]] = Counter()
        self.delay = 0.0
        self.calls: list[list[str]] = []
        self.delivered: list[str] = []

    def wants(self, event: Event) -> str:
        return "filter" if event.data["event"] == "unwanted" else ""

    def map_plain(self, events: list[Event]) -> list[Row] | None:
        return None

    def map(self, event: Event) -> list[Row] | str:
        return self.wants(event) or self.rows(event)

    def rows(self, event: Event) -> list[Row]:
        if event.data["event"] == "unmappable":
            raise NotApplicable("total", "total is required")
        return [Row(event, 0, "", event.raw)]

    async def send(self, rows: list[Row]) -> Reply:
        names = [row.event.data["event"] for row in rows]
        self.calls.append(names)
        await asyncio.sleep(self.delay)
        reply = self.answer(names)
        self.delivered += [
            name
            for name, verdict in zip(names, reply.verdicts, strict=True)
            if verdict.outcome is Outcome.delivered
        ]
        return reply

    async def close(self) -> None:
        pass

    def redact(self, text: str) -> str:
        return text


class Bench:
    """One consumer on a memory log."""

    def __init__(
        self, folder: Path, answer: Callable[[list[str]], Reply], *,
        rule: BatchRule | None = None, concurrency: int = 4, ordered: bool = False, per_row: bool = True, **settings: Any,
    ) -> None:  # fmt: skip
        self.log = MemoryLog()
        self.feed = Feed(self.log)  # type: ignore[arg-type]
        self.store = Store(folder / "state", commit_seconds=0.005)
        self.letters = DeadLetters(folder / "dead", 1 << 30)
        self.destination = FakeDestination(answer, rule or BatchRule(10, 1 << 20, 0), concurrency)
        self.destination.per_row = per_row
        self.settings = Delivery(
            **({"retry_first_seconds": 0.01, "retry_max_seconds": 0.02} | settings)
        )
        self.instance = Destination(destination="fake", ordered=ordered)
        self.overview = Overview(folder / "overview")
        if self.store.cursor("fake") is None:
            self.store.set_cursor("fake", 0)
        self.consumer = self.make()

    def make(self) -> Consumer:
        return Consumer(
            self.destination, self.instance, self.settings, self.feed, self.store,  # type: ignore[arg-type]
            None, self.letters, self.overview.of("fake"),  # type: ignore[arg-type]
        )  # fmt: skip

    async def __aenter__(self) -> Bench:
        self.feed.start()
        self.consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.consumer.stop(1)
        await self.feed.stop()
        await self.store.close()
        await self.overview.close()

    async def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(max(0.005, seconds / 20_000))

    async def settled(self, seconds: float = 10) -> None:
        """Until nothing is left to do."""
        await self.until(lambda: (
            self.consumer.lag == 0 and not self.store.retry_count("fake")
            and not self.store.held_count("fake")
            and not self.consumer.queued_rows
        ), seconds)  # fmt: skip

    def dead(self) -> list[tuple[str, str]]:
        return [
            (orjson.loads(bytes(letter.event))["event"], letter.reason)
            for letter in self.letters.list("fake")
        ]


def ok(names: list[str]) -> Reply:
    return all_(Outcome.delivered, names)


def all_(outcome: Outcome, names: list[str], reason: str = "", after: float | None = None) -> Reply:
    return Reply([Verdict(outcome, reason)] * len(names), after)
