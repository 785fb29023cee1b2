"""Which messageIds were accepted in the last hours, remembered across restarts.

The log is the truth. `<hour>.ids` files only save going through a day of it: once a second what the
log gained is noted as fingerprints, with the range of offsets they cover. A start reads the files,
leaves out what reaches past the log's end (it was never acknowledged), and takes the rest from the
log itself.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from router._fast.crc32c import crc32c
from router._fast.seen import Seen
from router.errors import LogCorrupt
from router.log import EventLog, Record

_log = logging.getLogger(__name__)
_HEAD = struct.Struct("<IIQQI")
"""Magic, CRC-32C of the rest, first offset covered and the one after the last, bytes of ids."""
_MAGIC = 0x31444945
_READ_BYTES = 256 * 1024
_BUSY_READINGS = 4
_FLUSH_SECONDS = 1.0
_BUSY_SECONDS = 0.05
"""Between two notes while much comes in, so that they read what the log still has in memory."""


def _hour(time_ms: float) -> int:
    return int(time_ms // 3_600_000)


def _seed(path: Path) -> bytes:
    """The data folder's own secret, made at its first start."""
    with suppress(OSError):
        if len(seed := path.read_bytes()) == 16:
            return seed
    seed = os.urandom(16)
    path.touch(mode=0o600)
    path.write_bytes(seed)
    return seed


def _append(path: Path, data: bytes) -> None:
    """All of `data` or, where the disk is full, nothing."""
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        if file.write(data) < len(data):
            file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Dedup:
    """`seen` is what the edge asks; the rest keeps it across restarts."""

    def __init__(self, folder: Path, log: EventLog, hours: int) -> None:
        self._folder, self._log, self._hours = folder, log, hours
        folder.mkdir(parents=True, exist_ok=True)
        self.seen = Seen(_seed(folder / "seed"), hours)
        self._flusher: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._covered, self._dropped_at = log.start, 0
        if hours:
            self._restore()

    @classmethod
    def open(cls, folder: Path, log: EventLog, hours: int) -> Dedup:
        """Remember `hours` hours of ids; 0 switches deduplication off."""
        return cls(folder, log, hours)

    def remembers(self, source: str, message_id: str) -> bool:
        """Would an event of `source` with this id be dropped as a duplicate now?"""
        names = source.encode(), message_id.encode(errors="surrogatepass")
        if not self._hours or not self.seen.add(*names, _hour(time.time() * 1000)):
            return bool(self._hours)
        self.seen.discard(*names)
        return False

    def start(self) -> None:
        """Begin to note what the log gains, about once a second."""
        if self._hours:
            self._flusher = asyncio.get_running_loop().create_task(self._flush_until(self._stop))

    def _restore(self) -> None:
        now_ms = time.time() * 1000
        self._drop_old(_hour(now_ms))
        window_start = self._log.offset_at(int(now_ms - self._hours * 3_600_000))
        ranges = sorted(r for path in sorted(self._folder.glob("*.ids")) for r in self._load(path))
        self._covered = max(window_start, self._log.start)
        for first, end in ranges:
            if first > self._covered:
                break
            self._covered = max(self._covered, end)
        while records := self._read():
            self.seen.load(self._note(records))

    def _load(self, path: Path) -> list[tuple[int, int]]:
        """Take a file's ids; returns the ranges of offsets it covers.

        The file is cut off at what is damaged, and at what the log does not have: left in place,
        that would count as soon as the log had grown past it.
        """
        ranges, at, size = [], 0, path.stat().st_size
        with path.open("rb") as file:
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                magic, crc, first, end, length = _HEAD.unpack(head)
                if magic != _MAGIC or at + _HEAD.size + length > size or end > self._log.end:
                    break
                ids = file.read(length)
                if crc32c(ids, crc32c(head[8:])) != crc:
                    break
                self.seen.load(ids)
                ranges.append((first, end))
                at += _HEAD.size + length
        if at < size:
            _log.warning(
                "an ids file is damaged or ahead of the log, its rest is read from the log again",
                extra={"file": path.name, "position": at},
            )
            os.truncate(path, at)
        return ranges

    def _read(self) -> list[Record]:
        """The next records not yet noted, from the log; [] at its end."""
        while self._covered < self._log.end:
            try:
                return self._log.read(max(self._covered, self._log.start), _READ_BYTES)
            except LogCorrupt:
                self._covered = self._log.skip_corrupt(self._covered)
        return []

    def _note(self, records: list[Record]) -> bytes:
        """Write the ids of `records` to their hours' files; returns them."""
        noted = []
        for path, batch, ids, end in self._batches(records):
            _append(path, batch)
            noted.append(ids)
            self._covered = end
        return b"".join(noted)

    def _batches(self, records: list[Record]) -> Iterator[tuple[Path, bytes, bytes, int]]:
        """(file, what to append, the ids in it, offset after them) of each run of one hour.

        Each begins where the last one ended, so that a crash between two of them leaves nothing
        covered that is not noted: the next is only made once the last is written.
        """
        for hour, run in groupby(records, lambda record: _hour(record.time_ms)):
            group = list(run)
            ids = b"".join([self._records(record, hour) for record in group])
            end = group[-1].offset + group[-1].count
            rest = struct.pack("<QQI", self._covered, end, len(ids)) + ids
            batch = struct.pack("<II", _MAGIC, crc32c(rest)) + rest
            yield self._folder / f"{hour:010d}.ids", batch, ids, end

    def _records(self, record: Record, hour: int) -> bytes:
        try:
            return self.seen.records(record.payload, hour)
        except ValueError:
            return b""

    async def _flush_until(self, stop: asyncio.Event) -> None:
        pause = _FLUSH_SECONDS
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            try:
                busy = await self._flush() > _BUSY_READINGS
                pause = _BUSY_SECONDS if busy else _FLUSH_SECONDS
            except OSError as error:
                pause = _FLUSH_SECONDS
                _log.warning("ids could not be noted, trying again", extra={"error": str(error)})

    async def _flush(self) -> int:
        """Note what the log has gained; returns in how many readings.

        Only the writing is left to a thread: one that computes would take the interpreter from the
        loop for milliseconds.
        """
        readings = 0
        while records := self._read():
            for path, batch, _, end in self._batches(records):
                await asyncio.to_thread(_append, path, batch)
                self._covered = end
            readings += 1
        if (hour := _hour(time.time() * 1000)) != self._dropped_at:
            self._drop_old(hour)
        return readings

    def _drop_old(self, hour: int) -> None:
        self._dropped_at = hour
        for path in self._folder.glob("*.ids"):
            if path.stem.isdecimal() and int(path.stem) < hour - self._hours:
                path.unlink(missing_ok=True)

    async def close(self) -> None:
        """Note the rest. What comes after is taken from the log at the next start."""
        if self._flusher is not None:
            self._stop.set()
            await self._flusher
