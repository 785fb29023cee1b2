"""The log against the disk itself: the same bytes in one plain write and sync, or one plain read and checksum."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import uvloop

from router._fast.crc32c import crc32c
from router.log import EventLog

_SEGMENT = 64 << 20
_BLOCK = b'{"messageId":"0123456789abcdef","receivedAt":"2026-11-24T05:22:51.142Z"}'.ljust(1000)
_READ_BYTES = 1 << 20
_FLOORS = {1: 0.3, 10: 0.25, 100: 0.2, 1000: 0.12}


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = uvloop.new_event_loop()
    yield loop
    loop.close()


def open_log(folder: Path) -> EventLog:
    return EventLog.open(folder, segment_bytes=_SEGMENT, max_bytes=1 << 40, inflight_bytes=1 << 30)


async def settle_in(log: EventLog, folder: Path) -> None:
    """Past the first segment, which grows: all later ones overwrite a file made ready."""
    for _ in range(_SEGMENT // 2 // 1_000_000):
        await log.append_wait(bytes(1_000_000), 1, 0)
    while not (folder / "spare").exists():
        await asyncio.sleep(0.05)
        await log.append_wait(bytes(1000), 1, 0)
    while (folder / "spare").exists():
        await log.append_wait(bytes(1_000_000), 1, 0)


async def append_group(log: EventLog, size: int) -> None:
    """`size` appends that meet, as those of concurrent requests do."""
    finished = asyncio.get_running_loop().create_future()
    left = size

    def done(offset: int, error: Exception | None) -> None:
        nonlocal left
        assert error is None
        left -= 1
        if not left:
            finished.set_result(None)

    for _ in range(size):
        log.append(_BLOCK, 1, 0, done)
    await finished


@pytest.mark.benchmark(group="log")
@pytest.mark.parametrize("size", [1, 10, 100, 1000])
def test_group_commit(
    benchmark: Any, loop: asyncio.AbstractEventLoop, tmp_path: Path, size: int
) -> None:
    """A group of appends of 1 KB until all are durable."""
    log = open_log(tmp_path)
    loop.run_until_complete(settle_in(log, tmp_path))
    plain_path = tmp_path / "plain"
    plain_path.write_bytes(bytes(_SEGMENT))
    plain = os.open(plain_path, os.O_WRONLY)
    os.fsync(plain)
    group = _BLOCK * size
    ours: list[float] = []
    theirs: list[float] = []

    def write_plainly() -> None:
        started = time.perf_counter()
        os.pwrite(plain, group, len(theirs) * len(group) % (_SEGMENT - len(group)))
        os.fdatasync(plain)
        theirs.append(time.perf_counter() - started)

    def write() -> None:
        started = time.perf_counter()
        loop.run_until_complete(append_group(log, size))
        ours.append(time.perf_counter() - started)

    benchmark.pedantic(write, setup=write_plainly, rounds=40 if size == 1000 else 300)
    os.close(plain)
    loop.run_until_complete(log.close())
    rate = size / median(ours)
    benchmark.extra_info.update(
        ratio=median(theirs) / median(ours), rate=rate, floor=_FLOORS[size],
        baseline=f"one write and fdatasync, {median(theirs) * 1e6:,.0f} us against "
        f"{median(ours) * 1e6:,.0f}: {rate:,.0f} appends/s",
    )  # fmt: skip


def read_all(log: EventLog) -> int:
    offset, total = log.start, 0
    while records := log.read(offset, _READ_BYTES):
        total += sum(len(record.payload) for record in records)
        offset = records[-1].offset + records[-1].count
    return total


@pytest.mark.benchmark(group="log")
@pytest.mark.parametrize(
    ("name", "length", "floor"), [("1 KB", 1000, 0.05), ("50 KB", 50_000, 0.3)]
)
def test_reading_back(
    benchmark: Any, loop: asyncio.AbstractEventLoop, tmp_path: Path,
    name: str, length: int, floor: float,
) -> None:  # fmt: skip
    """A backlog of 40 MB in blocks of one size, checked, from the page cache."""
    log = open_log(tmp_path)
    block = bytes(range(256)) * (length // 256) + bytes(length % 256)

    async def fill() -> None:
        await asyncio.gather(*(log.append_wait(block, 1, 0) for _ in range(40_000_000 // length)))

    loop.run_until_complete(fill())
    loop.run_until_complete(log.close())
    log = open_log(tmp_path)
    [path] = tmp_path.glob("*.log")
    ours: list[float] = []
    theirs: list[float] = []

    def read_plainly() -> None:
        started = time.perf_counter()
        file = os.open(path, os.O_RDONLY)
        while data := os.read(file, _READ_BYTES):
            crc32c(data)
        os.close(file)
        theirs.append(time.perf_counter() - started)

    def read() -> None:
        started = time.perf_counter()
        assert read_all(log) == 40_000_000 // length * length
        ours.append(time.perf_counter() - started)

    benchmark.pedantic(read, setup=read_plainly, rounds=10)
    loop.run_until_complete(log.close())
    benchmark.extra_info.update(
        ratio=median(theirs) / median(ours), floor=floor,
        baseline=f"reading and summing the file, {40 / median(theirs):,.0f} MB/s against "
        f"{40 / median(ours):,.0f} ({name} blocks)",
    )  # fmt: skip
