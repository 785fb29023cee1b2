"""Replays: which events are handed over, how many at a time, and what a restart does to a job."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from router._fast.envelope import format_time
from router.delivery.archived import read_archive
from router.delivery.replay import Job, Replays, Target, describe_job
from router.destinations import NotApplicable
from router.destinations.file_archive import Archive
from router.destinations.request import Row
from router.errors import ExpressionError, RouterError
from router.event import Event, pack_block, restore_event
from router.log import EventLog
from router.log.feed import Feed
from router.store import ALL_PARTS, Retry, Store

MIB = 1 << 20
HOUR = 3_600_000
NOON = 1_800_000_000_000


def raw(name: str, time_ms: int) -> bytes:
    return orjson.dumps({
        "messageId": name, "receivedAt": format_time(time_ms), "type": "track", "event": "E",
        "userId": "u", "properties": {"n": int(name[1:]), "a": "x" * 600},
    })  # fmt: skip


class Maps:
    """Takes every event but those numbered 13, 14 and 15."""

    def map(self, event: Event) -> list[Row] | str:
        number = event.data["properties"]["n"]
        if number == 13:
            return "filter"
        if number == 14:
            raise NotApplicable("total", "total is required")
        return [] if number == 15 else [Row(event, 0, "", event.raw)]


class Bench:
    """A log with a store, and a destination that takes what the test lets it take."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open()
        self.sources: frozenset[str] | None = None
        self.running = True
        self.looks = 0

    def open(self, **options: Any) -> None:
        self.log = EventLog.open(
            self.folder / "log", segment_bytes=MIB, max_bytes=64 * MIB, inflight_bytes=8 * MIB
        )
        self.feed = Feed(self.log)
        self.store = Store(self.folder / "state", commit_seconds=0.005)
        self.replays = Replays(
            self.feed, self.store, self.target, lambda: self.folder / "archive", **options
        )

    def target(self, id_: str) -> Target | None:
        if id_ != "hook" or not self.running:
            return None
        return Target(Maps(), self.sources, self.look)  # type: ignore[arg-type]

    def look(self) -> None:
        self.looks += 1

    async def put(self, *names: str, time_ms: int = NOON, source: str = "web") -> None:
        kinds = [0] * len(names)
        events = [raw(name, time_ms) for name in names]
        await self.log.append_wait(pack_block(source, kinds, kinds, events), len(names), time_ms)

    def waiting(self) -> list[Retry]:
        return [retry for _, retry in self.store.due("hook", 1 << 60, 1 << 20, set())]

    def ids(self) -> list[str]:
        return [retry.event().message_id for retry in self.waiting()]

    def take(self) -> list[str]:
        """Deliver all that waits."""
        found = self.store.due("hook", 1 << 60, 1 << 20, set())
        for key, _ in found:
            self.store.remove("hook", key)
        return [retry.event().message_id for _, retry in found]

    async def over(self, job: Job) -> Job:
        await until(lambda: self.replays.get(job.id).state != "running")  # type: ignore[union-attr]
        found = self.replays.get(job.id)
        assert found is not None
        return found

    async def close(self) -> None:
        await self.replays.stop()
        await self.store.close()
        await self.log.close()


async def until(condition: Callable[[], Any], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    one = Bench(tmp_path)
    yield one
    await one.close()


async def test_a_range_is_handed_over(bench: Bench) -> None:
    for minute in range(10):
        names = (f"m{minute * 10 + i}" for i in range(10))
        await bench.put(*names, time_ms=NOON + minute * 60_000)
    bench.store.set_cursor("hook", 100)
    job = await bench.over(bench.replays.add("hook", from_ms=NOON + 120_000, to_ms=NOON + 240_000))
    assert bench.ids() == [f"m{i}" for i in range(20, 40)]
    assert (job.state, job.read, job.matched, job.start, job.end) == ("done", 20, 20, 20, 40)
    assert bench.store.cursor("hook") == 100
    assert bench.looks
    retry = bench.waiting()[0]
    assert (retry.part, retry.reason, retry.attempts) == (ALL_PARTS, "replayed", 1)
    assert (retry.source, retry.time_ms, retry.offset) == ("web", NOON + 120_000, 20)
    assert describe_job(job)["share"] == 1.0
    bench.take()
    await bench.over(bench.replays.add("hook", from_offset=5, to_offset=8))
    assert bench.ids() == ["m5", "m6", "m7"]


async def test_what_is_not_for_the_destination_is_left_out(bench: Bench) -> None:
    await bench.put(*(f"m{i}" for i in range(10, 17)))
    await bench.put("m17", source="app")
    bench.sources = frozenset({"web"})
    job = await bench.over(bench.replays.add("hook", from_offset=0, filter="properties.n != 16"))
    assert bench.ids() == ["m10", "m11", "m12", "m14"], "what cannot be mapped is to be dead"
    assert job.skipped == {"filter": 1, "no_action": 1, "not asked for": 1, "source": 1}


async def test_a_dry_run_counts_and_shows(bench: Bench) -> None:
    await bench.put(*(f"m{i}" for i in range(100)))
    job = await bench.over(bench.replays.add("hook", from_offset=0, dry_run=True))
    assert bench.ids() == []
    assert (job.matched, sum(job.skipped.values())) == (98, 2)
    assert [each["event"]["messageId"] for each in job.shown] == ["m0", "m1", "m2", "m3", "m4"]
    assert bench.store.jobs() == {}


async def test_no_more_waits_than_is_allowed(bench: Bench) -> None:
    await bench.replays.stop()
    bench.replays = Replays(bench.feed, bench.store, bench.target, lambda: None, most_waiting=500)
    for start in range(0, 5000, 50):
        await bench.put(*(f"m{i + 100}" for i in range(start, start + 50)))
    job = bench.replays.add("hook", from_offset=0)
    taken: list[str] = []
    while job.state == "running":
        await asyncio.sleep(0.02)
        assert bench.store.retry_count("hook") < 500 + 400
        taken += bench.take()
    taken += bench.take()
    assert taken == [f"m{i + 100}" for i in range(5000)]


async def test_a_job_goes_on_after_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for start in range(0, 3000, 50):
        await bench.put(*(f"m{i + 100}" for i in range(start, start + 50)))
    await bench.close()
    taken: list[str] = []
    job = None
    for _ in range(100):
        bench.open(most_waiting=300)
        bench.replays.start()
        job = bench.replays.get(job.id) if job else bench.replays.add("hook", from_offset=0)
        assert job is not None
        if job.state == "done":
            break
        await asyncio.sleep(0.02)
        taken += bench.take()
        await bench.close()
    else:
        pytest.fail("it does not come to an end")
    taken += bench.take()
    await bench.close()
    assert Counter(taken) == Counter(f"m{i + 100}" for i in range(3000))
    assert job.matched == 3000


async def test_a_job_waits_for_its_destination(bench: Bench) -> None:
    await bench.put("m1")
    job = bench.replays.add("hook", from_offset=0)
    bench.running = False
    await asyncio.sleep(0.3)
    assert job.state == "running"
    assert bench.replays.floor() == 0, "the log is kept for it"
    bench.running = True
    await bench.over(job)
    assert bench.ids() == ["m1"]
    assert bench.replays.floor() == 1


async def test_a_job_is_cancelled_and_then_forgotten(bench: Bench) -> None:
    await bench.put("m1")
    bench.running = True
    job = bench.replays.add("hook", from_offset=0)
    bench.running = False
    assert bench.replays.cancel(job.id)
    assert job.state == "cancelled"
    bench.running = True
    await asyncio.sleep(0.3)
    assert bench.ids() == []
    assert bench.replays.cancel(job.id)
    assert bench.replays.all() == []
    assert not bench.replays.cancel(job.id)
    await bench.store.flush()
    assert bench.store.jobs() == {}


async def test_only_the_last_jobs_are_remembered(bench: Bench) -> None:
    await bench.put("m1")
    for _ in range(30):
        await bench.over(bench.replays.add("hook", from_offset=0))
    assert len(bench.replays.all()) == 20
    await bench.store.flush()
    assert len(bench.store.jobs()) == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"destination": "none", "from_offset": 0}, "no enabled destination 'none'"),
        ({"from_offset": 9}, "offsets from 0 to 2"),
        ({"from_offset": -1}, "offsets from 0 to 2"),
        ({"from_offset": 1, "to_offset": 1}, "no events in that range"),
        ({"from_ms": NOON + 1}, "no events in that range"),
        ({"from_ms": 0, "to_ms": NOON}, "no events in that range"),
    ],
)
async def test_what_cannot_be_replayed_is_said(
    bench: Bench, arguments: dict[str, Any], message: str
) -> None:
    await bench.put("m1", "m2")
    with pytest.raises(RouterError, match=message):
        bench.replays.add(**({"destination": "hook"} | arguments))
    with pytest.raises(ExpressionError):
        bench.replays.add("hook", from_offset=0, filter="event =")
    assert bench.replays.all() == []


async def archived(folder: Path, *events: tuple[str, int]) -> None:
    archive = Archive(folder)
    rows = []
    for name, time_ms in events:
        event = restore_event(raw(name, time_ms), 0, "web", time_ms)
        rows.append(Row(event, 0, "", event.raw))
    await archive.send(rows)


async def shortened(bench: Bench) -> int:
    """Three hours of events, the first of which are gone from the log; its start."""
    size = 4000
    everything = [(f"m{i + 100}", NOON + i * 3 * HOUR // size) for i in range(size)]
    for start in range(0, size, 50):
        part = everything[start : start + 50]
        await bench.put(*(name for name, _ in part), time_ms=part[0][1])
        await archived(bench.folder / "archive", *((name, part[0][1]) for name, _ in part))
    return bench.log.sacrifice(size - 200)


async def test_what_the_log_has_not_comes_from_the_archive(bench: Bench) -> None:
    start = await shortened(bench)
    assert start > 0
    job = await bench.over(bench.replays.add("hook", from_ms=NOON + HOUR, to_ms=NOON + 4 * HOUR))
    assert job.state == "done", job.error
    ids = bench.take()
    first = next(i for i in range(0, 4000, 50) if i * 3 * HOUR // 4000 >= HOUR)
    assert ids[0] == f"m{first + 100}"
    assert set(ids) == {f"m{i + 100}" for i in range(first, 4000)}
    assert len(ids) <= len(set(ids)) + 50, "only the block at the log's start may come twice"
    early = await bench.over(bench.replays.add("hook", from_ms=NOON, to_ms=NOON + HOUR))
    assert bench.take() == [f"m{i + 100}" for i in range(first)]
    assert describe_job(early)["fromArchive"]


async def test_a_job_in_the_archive_goes_on_after_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await shortened(bench)
    taken: list[str] = []
    job = None
    for _ in range(200):
        await bench.close()
        bench.open(most_waiting=150)
        bench.replays.start()
        job = bench.replays.get(job.id) if job else bench.replays.add("hook", from_ms=NOON)
        assert job is not None
        if job.state != "running":
            break
        await asyncio.sleep(0.02)
        taken += bench.take()
    taken += bench.take()
    await bench.close()
    assert job is not None
    assert (job.state, job.error) == ("done", "")
    counts = Counter(taken)
    assert set(counts) == {f"m{i + 100}" for i in range(4000)}
    assert sum(counts.values()) <= 4050


async def test_the_archive_does_not_know_the_source(bench: Bench) -> None:
    await shortened(bench)
    bench.sources = frozenset({"web"})
    with pytest.raises(RouterError, match="does not keep an event's source"):
        bench.replays.add("hook", from_ms=NOON)
    bench.replays.add("hook", from_offset=bench.log.start)


async def test_a_damaged_archive_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    for number in range(3):
        await archived(tmp_path, (f"m{number}", NOON))
    await archived(tmp_path, ("m3", NOON + HOUR))
    first, _ = sorted(tmp_path.glob("*/*.gz"))
    first.write_bytes(first.read_bytes()[:-20])
    (first.parent / "notes.jsonl.gz").write_bytes(b"no gzip")
    (first.parent / "07.jsonl.gz").write_bytes(b"no gzip")
    events = [event for _, batch in read_archive(tmp_path, 0, NOON * 2) for event in batch]
    assert [event.message_id for event in events] == ["m0", "m1", "m3"]
    assert len({event.offset for event in events}) == 3
    again = [event for _, batch in read_archive(tmp_path, 0, NOON * 2) for event in batch]
    assert [event.offset for event in again] == [event.offset for event in events]


async def test_lines_that_are_no_events_are_passed_over(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    bodies = [b"[]", b"null", b"{}", b'{"messageId":1,"receivedAt":"x"}', b"\xff", b"1",
              b'{"messageId":"m","receivedAt":5}', raw("m1", NOON)]  # fmt: skip
    event = restore_event(raw("m1", NOON), 0, "web", NOON)
    await archive.send([Row(event, 0, "", body) for body in bodies])
    [(lines, events)] = read_archive(tmp_path, 0, NOON)
    assert (lines, [each.message_id for each in events]) == (8, ["m1"])
