"""Which messageIds were accepted in the last hours, remembered across restarts.

The log is the truth. `<hour>.ids` files only save going through a day of it: once a second what the
log gained is noted as fingerprints, with the range of offsets they cover. A start reads the files,
leaves out what reaches past the log's end (it was never acknowledged), and takes the rest from the
log itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
import time
from contextlib import suppress
from pathlib import Path

from router._fast.crc32c import crc32c
from router._fast.seen import Seen
from router.errors import LogCorrupt
from router.log import EventLog, Record

_log = logging.getLogger(__name__)
_HEAD = struct.Struct("<IIQQI")
"""Magic, CRC-32C of the rest, first offset covered and the one after the last, bytes of ids."""
_MAGIC = 0x31444945
_READ_BYTES = 1 << 20
_FLUSH_SECONDS = 1.0


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


class Dedup:
    """`seen` is what the edge asks; the rest keeps it across restarts."""

    def __init__(self, folder: Path, log: EventLog, hours: int) -> None:
        self._folder, self._log, self._hours = folder, log, hours
        folder.mkdir(parents=True, exist_ok=True)
        self.seen = Seen(_seed(folder / "seed"), hours)
        self._flusher: asyncio.Task[None] | None = None
        self._covered = log.start
        if hours:
            self._restore()

    @classmethod
    def open(cls, folder: Path, log: EventLog, hours: int) -> Dedup:
        """Remember `hours` hours of ids; 0 switches deduplication off."""
        return cls(folder, log, hours)

    def start(self) -> None:
        """Begin to note what the log gains, about once a second."""
        if self._hours:
            self._flusher = asyncio.get_running_loop().create_task(self._flush_forever())

    def _restore(self) -> None:
        now_ms = time.time() * 1000
        self._drop_old(now_ms)
        ranges = sorted(r for path in sorted(self._folder.glob("*.ids")) for r in self._load(path))
        window_start = self._log.offset_at(int(now_ms - self._hours * 3_600_000))
        self._covered = max(window_start, self._log.start)
        for first, end in ranges:
            if first > self._covered:
                break
            self._covered = max(self._covered, end)
        while records := self._read():
            self.seen.load(self._note(records))

    def _load(self, path: Path) -> list[tuple[int, int]]:
        """Take a file's ids; returns the ranges of offsets it covers. Ends at what is damaged."""
        data = path.read_bytes()
        at, ranges = 0, []
        while at + _HEAD.size <= len(data):
            magic, crc, first, end, length = _HEAD.unpack_from(data, at)
            body = data[at + 8 : at + _HEAD.size + length]
            if magic != _MAGIC or len(body) < _HEAD.size - 8 + length or crc32c(body) != crc:
                break
            if end <= self._log.end:
                self.seen.load(body[_HEAD.size - 8 :])
                ranges.append((first, end))
            at += _HEAD.size + length
        if at < len(data):
            _log.warning(
                "an ids file is damaged, its rest is read from the log again",
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
        by_hour: dict[int, list[Record]] = {}
        for record in records:
            by_hour.setdefault(_hour(record.time_ms), []).append(record)
        noted = []
        for hour, group in by_hour.items():
            found = b"".join(self._records(record, hour) for record in group)
            end = group[-1].offset + group[-1].count
            rest = struct.pack("<QQI", group[0].offset, end, len(found)) + found
            with (self._folder / f"{hour:010d}.ids").open("ab") as file:
                file.write(struct.pack("<II", _MAGIC, crc32c(rest)) + rest)
            noted.append(found)
        self._covered = records[-1].offset + records[-1].count
        return b"".join(noted)

    def _records(self, record: Record, hour: int) -> bytes:
        try:
            return self.seen.records(record.payload, hour)
        except ValueError:
            return b""

    async def _flush_forever(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            try:
                await self._flush()
            except OSError as error:
                _log.warning("ids could not be noted, trying again", extra={"error": str(error)})

    async def _flush(self) -> None:
        while records := self._read():
            await asyncio.to_thread(self._note, records)
        self._drop_old(time.time() * 1000)

    def _drop_old(self, now_ms: float) -> None:
        oldest = _hour(now_ms) - self._hours
        for path in self._folder.glob("*.ids"):
            if path.stem.isdecimal() and int(path.stem) < oldest:
                path.unlink(missing_ok=True)

    async def close(self) -> None:
        if self._flusher is not None:
            self._flusher.cancel()
            with suppress(asyncio.CancelledError):
                await self._flusher
            with suppress(OSError):
                await self._flush()
