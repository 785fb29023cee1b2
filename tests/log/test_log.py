"""The event log: what was acknowledged is read back, whatever happened to the file."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import router.log.log
from router._fast.frames import Done
from router._fast.writer import Writer
from router.errors import LogClosed, LogCorrupt, LogFull, RouterError, Unavailable
from router.log import EventLog, Record
from router.log.frame import HEAD_BYTES, pack_head
from router.log.tail import Tail

MIB = 1 << 20


class Faulty(Writer):
    """Writes and syncs, and then says that it failed where `failure` is an errno."""

    failure = 0
    jobs = 0

    def submit(self, fd: int, position: int, buffers: list[bytes]) -> None:
        type(self).jobs += 1
        super().submit(fd, position, buffers)

    def take(self) -> tuple[int, float] | None:
        result = super().take()
        return (self.failure, result[1]) if result is not None and self.failure else result


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> type[Faulty]:
    class Fresh(Faulty):
        pass

    monkeypatch.setattr(router.log.log, "Writer", Fresh)
    return Fresh


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """No file of this process grows past `limit` bytes: a full disk, as far as the log can tell."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def open_log(folder: Path, *, segment: int = 64 * MIB, limit: int = 1 << 40) -> EventLog:
    return EventLog.open(folder, segment_bytes=segment, max_bytes=limit, inflight_bytes=64 * MIB)


def all_records(log: EventLog, step: int = 1000) -> list[Record]:
    found: list[Record] = []
    offset = log.start
    while records := log.read(offset, step):
        found += records
        offset = records[-1].offset + records[-1].count
    return found


async def fill(log: EventLog, blocks: list[bytes]) -> list[int]:
    return list(
        await asyncio.gather(*(log.append_wait(block, 1, i) for i, block in enumerate(blocks)))
    )


async def test_what_is_appended_is_read_back_also_after_a_restart(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    assert (log.start, log.end) == (0, 0)
    assert await log.append_wait(b"one", 1, 10) == 0
    assert await log.append_wait(b"three", 3, 20) == 1
    assert await log.append_wait(b"x" * 300_000, 1, 30) == 4
    expected = [
        Record(0, 1, 10, b"one"),
        Record(1, 3, 20, b"three"),
        Record(4, 1, 30, b"x" * 300_000),
    ]
    assert all_records(log) == expected
    assert log.read(2)[0].offset == 1, "the record that holds the offset"
    assert log.read(5) == []
    await log.close()
    again = open_log(tmp_path)
    assert again.end == 5
    assert all_records(again) == expected
    assert await again.append_wait(b"more", 1, 40) == 5
    await again.close()


async def test_appends_that_meet_share_a_sync(tmp_path: Path, faulty: type[Faulty]) -> None:
    log = open_log(tmp_path)
    assert await fill(log, [b"a"] * 2500) == list(range(2500))
    assert faulty.jobs <= 2
    await log.close()


async def test_segments_roll_and_old_ones_are_dropped_below_the_floor(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment=10_000)
    for i in range(100):
        await log.append_wait(b"x" * 1000, 1, 1000 + i)
    assert len(list(tmp_path.glob("*.log"))) > 10
    assert [record.offset for record in all_records(log)] == list(range(100))
    assert log.retain(floor=50, keep_after_ms=0) == 0, "young segments stay"
    start = log.retain(floor=50, keep_after_ms=10**9)
    assert 40 < start <= 50
    with pytest.raises(ValueError, match="is gone"):
        log.read(start - 1)
    assert [record.offset for record in all_records(log)] == list(range(start, 100))
    assert log.offset_at(1080) == 80
    assert log.offset_at(0) == start
    assert log.offset_at(10**6) == 100
    assert log.sacrifice(95) > 80
    await log.close()
    again = open_log(tmp_path, segment=10_000)
    assert again.end == 100
    await again.close()


async def test_a_recycled_file_never_shows_its_old_frames(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment=10_000)
    for round_ in range(5):
        for _ in range(30):
            await log.append_wait(f"round {round_} ".encode() * 60, 1, round_)
        log.retain(floor=log.end, keep_after_ms=10**9)
    end = log.end
    await log.close()
    again = open_log(tmp_path, segment=10_000)
    assert again.end == end
    records = all_records(again)
    assert [r.offset for r in records] == list(range(again.start, end))
    await again.close()


async def test_a_missing_or_damaged_index_is_made_again(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment=200_000)
    for i in range(900):
        await log.append_wait(b"x" * 1000, 1, i)
    await log.close()
    first, second, *_ = sorted(tmp_path.glob("*.idx"))
    first.unlink()
    second.write_bytes(b"garbage that is no index at all")
    again = open_log(tmp_path, segment=200_000)
    assert [r.offset for r in all_records(again, 50_000)] == list(range(900))
    assert again.read(321, 1)[0].offset == 321
    await again.close()


async def test_damage_inside_is_reported_and_can_be_passed(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment=20_000)
    for i in range(60):
        await log.append_wait(b"x" * 1000, 1, i)
    await log.close()
    path = sorted(tmp_path.glob("*.log"))[0]
    data = bytearray(path.read_bytes())
    data[(HEAD_BYTES + 1000) * 5 + 500] ^= 1
    path.write_bytes(data)
    again = open_log(tmp_path, segment=20_000)
    assert [r.offset for r in again.read(0, 10**6)] == [0, 1, 2, 3, 4]
    with pytest.raises(LogCorrupt, match=path.name):
        again.read(5)
    assert again.skip_corrupt(5) == 6
    assert again.read(6, 1)[0].offset == 6
    await again.close()


async def test_damage_in_the_last_segment_costs_only_what_is_damaged(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for i in range(10):
        await log.append_wait(b"x" * 1000, 1, i)
    await log.close()
    path = next(tmp_path.glob("*.log"))
    data = bytearray(path.read_bytes())
    data[(HEAD_BYTES + 1000) * 5 + 500] ^= 1
    path.write_bytes(data)
    again = open_log(tmp_path)
    assert again.end == 10
    assert [r.offset for r in again.read(6)] == [6, 7, 8, 9]
    await again.close()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sizes=st.lists(st.integers(0, 3000), min_size=1, max_size=12), data=st.data())
def test_a_torn_tail_ends_the_log_exactly_there(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("log")

    async def write() -> None:
        log = open_log(folder)
        await fill(log, [bytes([65 + i]) * size for i, size in enumerate(sizes)])
        await log.close()

    asyncio.run(write())
    path = next(folder.glob("*.log"))
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    zeroed = data.draw(st.booleans())
    path.write_bytes(whole[:cut] + (bytes(len(whole) - cut) if zeroed else b""))
    ends, position = [], 0
    for size in sizes:
        position += HEAD_BYTES + size
        ends.append(position)
    kept = sum(end <= cut for end in ends)

    async def read() -> None:
        log = open_log(folder)
        assert log.end >= kept
        if not zeroed:
            assert log.end == kept
        assert [r.payload for r in all_records(log)][:kept] == [
            bytes([65 + i]) * size for i, size in enumerate(sizes[:kept])
        ]
        assert await log.append_wait(b"next", 1, 0) == log.end - 1
        await log.close()
        again = open_log(folder)
        assert again.read(again.end - 1)[-1].payload == b"next"
        await again.close()

    asyncio.run(read())


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.one_of(st.binary(max_size=200), st.builds(
    lambda block, offset: pack_head(block, 1, offset, 0) + block,
    st.binary(max_size=50), st.integers(0, 5))), max_size=8))  # fmt: skip
def test_any_bytes_can_be_opened(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    (folder / f"{0:020d}.log").write_bytes(b"".join(parts))

    async def go() -> None:
        log = open_log(folder)
        offset = await log.append_wait(b"fresh", 1, 0)
        assert log.read(offset)[0].payload == b"fresh"
        await log.close()

    asyncio.run(go())


async def test_a_failed_sync_fails_its_waiters_and_is_never_read(
    tmp_path: Path, faulty: type[Faulty]
) -> None:
    log = open_log(tmp_path)
    await log.append_wait(b"good", 1, 0)
    faulty.failure = errno.EIO
    with pytest.raises(Unavailable, match="the disk failed"):
        await log.append_wait(b"bad", 1, 0)
    assert log.end == 1
    with pytest.raises(LogFull):
        await log.append_wait(b"refused at once", 1, 0)
    faulty.failure = 0
    log._probe_at = 0.0
    assert await log.append_wait(b"again", 1, 0) == 1
    assert len(list(tmp_path.glob("*.log"))) == 2, "the file is not trusted any more"
    assert log.trouble == ""
    assert [r.payload for r in all_records(log)] == [b"good", b"again"]
    await log.close()
    reopened = open_log(tmp_path)
    assert [r.payload for r in all_records(reopened)] == [b"good", b"again"]
    await reopened.close()


async def test_a_failed_first_sync_gives_up_the_file(tmp_path: Path, faulty: type[Faulty]) -> None:
    log = open_log(tmp_path)
    first = log._segments[0].path.stat().st_ino
    faulty.failure = errno.EIO
    held = os.open(log._segments[0].path, os.O_RDONLY)
    with pytest.raises(Unavailable):
        await log.append_wait(b"bad", 1, 0)
    faulty.failure = 0
    log._probe_at = 0.0
    assert await log.append_wait(b"good", 1, 0) == 0
    [path] = tmp_path.glob("*.log")
    assert path.stat().st_ino != first
    os.close(held)
    await log.close()


async def test_what_waits_fails_with_the_group_before_it(
    tmp_path: Path, faulty: type[Faulty]
) -> None:
    """A request may be answered 200 because of a twin in flight: then it must not outlive it."""
    log = open_log(tmp_path)
    told: dict[str, bool] = {}

    def tell(name: str) -> Done:
        return lambda offset, error: told.__setitem__(name, error is None)

    faulty.failure = errno.EIO
    log.append(b"first", 1, 0, tell("first"))
    await asyncio.sleep(0)
    log.append(b"rides in the next", 1, 0, tell("next"))
    log.barrier(tell("barrier behind the next"))
    while len(told) < 3:
        await asyncio.sleep(0.001)
    assert told == {"first": False, "next": False, "barrier behind the next": False}
    faulty.failure = 0
    log._probe_at = 0.0
    assert await log.append_wait(b"after", 1, 0) == 0
    await log.close()


async def test_a_waiter_that_raises_costs_no_other_its_answer(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(b"a", 1, 0, lambda offset, error: 1 / 0)
    assert await log.append_wait(b"b", 1, 0) == 1
    await log.close()


async def test_a_full_disk_refuses_and_recovers_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router.log.log, "_PROBE_SECONDS", 0.02)
    log = open_log(tmp_path)
    await log.append_wait(b"before", 1, 0)
    with file_size_limit(3000):
        with pytest.raises(LogFull, match="disk is full") as caught:
            await log.append_wait(b"x" * 5000, 1, 0)
        assert caught.value.retry_after > 0
        await asyncio.sleep(0.1)
        assert log.trouble
        with pytest.raises(LogFull):
            await log.append_wait(b"y", 1, 0)
    for _ in range(200):
        await asyncio.sleep(0.01)
        if not log.trouble:
            break
    assert log.trouble == "", "no append was needed"
    assert await log.append_wait(b"y", 1, 0) == 1
    assert [r.payload for r in all_records(log)] == [b"before", b"y"]
    await log.close()
    reopened = open_log(tmp_path)
    assert [r.payload for r in all_records(reopened)] == [b"before", b"y"]
    await reopened.close()


async def test_a_segment_that_cannot_be_made_is_trouble_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path, segment=3000)
    await log.append_wait(b"x" * 2500, 1, 0)

    def refuse(base: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(log, "_new_segment", refuse)
        with pytest.raises(LogFull):
            await log.append_wait(b"y" * 2500, 1, 0)
    log._probe_at = 0.0
    assert await log.append_wait(b"z" * 2500, 1, 0) == 1
    assert [r.payload[:1] for r in all_records(log)] == [b"x", b"z"]
    await log.close()


async def test_frames_that_could_not_be_taken_back_are_not_read(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment=2000)
    for i in range(3):
        await log.append_wait(b"x" * 1500, 1, i)
    await log.close()
    first = sorted(tmp_path.glob("*.log"))[0]
    with first.open("ab") as file:
        file.write(pack_head(b"in vain", 1, 1, 0) + b"in vain")
    first.with_suffix(".idx").unlink()
    again = open_log(tmp_path, segment=2000)
    assert [r.offset for r in again.read(0, 10**6)] == [0]
    assert [r.payload for r in all_records(again)] == [b"x" * 1500] * 3
    await again.close()


async def test_the_byte_limit_refuses(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment=5000, limit=20_000)
    with pytest.raises(LogFull, match=r"log\.bytes"):
        for _ in range(30):
            await log.append_wait(b"x" * 1000, 1, 0)
    log.retain(floor=log.end, keep_after_ms=10**9)
    log._probe_at = 0.0
    await log.append_wait(b"x" * 1000, 1, 0)
    await log.close()


async def test_a_barrier_waits_for_what_came_before(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    seen: list[str] = []
    log.barrier(lambda offset, error: seen.append("at once"))
    assert seen == ["at once"]
    log.append(b"a", 1, 0, lambda offset, error: seen.append("a"))
    log.barrier(lambda offset, error: seen.append("pending"))
    await asyncio.sleep(0)
    log.barrier(lambda offset, error: seen.append("in flight"))
    await log.append_wait(b"b", 1, 0)
    assert seen == ["at once", "a", "pending", "in flight"]
    await log.close()


async def test_waiters_are_woken(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    waiters = [asyncio.create_task(log.wait(i)) for i in range(3)]
    await asyncio.sleep(0)
    await log.append_wait(b"two", 2, 0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [w.done() for w in waiters] == [True, True, False]
    await log.append_wait(b"one", 1, 0)
    await asyncio.wait_for(waiters[2], 1)
    await log.close()


async def test_one_process_at_a_time(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    with pytest.raises(RouterError, match="another router runs"):
        open_log(tmp_path)
    await log.close()
    with pytest.raises(LogClosed):
        await log.append_wait(b"late", 1, 0)
    await open_log(tmp_path).close()


async def test_reading_from_disk_while_it_grows(tmp_path: Path) -> None:
    log = open_log(tmp_path, segment=3 * MIB)
    chance = random.Random(1)
    blocks = [chance.randbytes(chance.choice((10, 1000, 40_000))) for _ in range(700)]

    async def write() -> None:
        for block in blocks:
            await log.append_wait(block, 1, 0)

    writer = asyncio.create_task(write())
    read: list[bytes] = []
    while len(read) < len(blocks):
        await log.wait(len(read))
        read += [r.payload for r in log.read(len(read), 100_000)]
    await writer
    assert read == blocks
    assert b"".join(r.payload for r in all_records(log)) == b"".join(blocks)
    await log.close()


def test_the_tail_holds_no_more_than_it_says() -> None:
    tail = Tail()
    for i in range(200):
        tail.add(Record(i, 1, 0, bytes(400_000)))
    assert sum(len(record.payload) for record in tail._records) < 17 * MIB
    assert tail.read(150, 1) == []
    assert [r.offset for r in tail.read(195, 10 * MIB)] == [195, 196, 197, 198, 199]
    tail.drop_before(198)
    assert tail.read(197, 1) == []
    assert [r.offset for r in tail.read(198, 10 * MIB)] == [198, 199]


async def test_a_clock_set_back_hides_nothing_from_a_search_by_time(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    times = [1000, 5000, 1200, 1300, 6000, 6100]
    for time_ms in times:
        await log.append_wait(b"x" * 70_000, 1, time_ms)
    for wanted in (900, 1000, 1250, 4000, 5500, 6050, 7000):
        expected = next((i for i, time_ms in enumerate(times) if time_ms >= wanted), len(times))
        assert log.offset_at(wanted) == expected
    await log.close()
