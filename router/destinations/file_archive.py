"""The file archive: every event as JSON Lines, gzipped, one file an hour of receipt.

A file is a row of gzip members, one a batch, each of which notes its own length in the header's
extra field (subfield `ER`; RFC 1952, section 2.3.1.1). `zcat` reads it as one stream, and after a
crash a member that was cut off is found and removed without inflating the rest.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from isal import isal_zlib

from router.destinations.outcome import Outcome, Reply, Verdict
from router.destinations.request import Row
from router.destinations.sink import SinkContext

_HEAD = struct.Struct("<4sIBBH2sHI")
"""Magic, method and flags; mtime; extra flags; system; extra length; subfield id, size, value."""
_MAGIC = b"\x1f\x8b\x08\x04"
_TAIL = struct.Struct("<II")
_LEVEL = 1


def pack_member(lines: bytes) -> bytes:
    """`lines` as one gzip member that knows its length."""
    deflate = isal_zlib.compressobj(level=_LEVEL, wbits=-15)
    body = deflate.compress(lines) + deflate.flush()
    total = _HEAD.size + len(body) + _TAIL.size
    head = _HEAD.pack(_MAGIC, int(time.time()), 0, 255, 8, b"ER", 4, total)
    return head + body + _TAIL.pack(isal_zlib.crc32(lines), len(lines) & 0xFFFFFFFF)


def whole_length(path: Path) -> int:
    """Bytes of `path` up to the end of its last whole member."""
    size = path.stat().st_size
    end = 0
    with path.open("rb") as file:
        while end + _HEAD.size <= size:
            file.seek(end)
            magic, _, _, _, _, name, _, total = _HEAD.unpack(file.read(_HEAD.size))
            if magic != _MAGIC or name != b"ER" or end + total > size:
                break
            end += total
    return end


def read_members(path: Path) -> Iterator[bytes]:
    """The lines of each whole member of `path`, one after the other; ends at a damaged one."""
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            magic, _, _, _, _, name, _, total = _HEAD.unpack(head)
            if magic != _MAGIC or name != b"ER" or total < _HEAD.size:
                return
            try:
                yield isal_zlib.decompress(head + file.read(total - _HEAD.size), wbits=31)
            except isal_zlib.error:  # type: ignore[misc]
                return


class Archive:
    """A sink that appends to the current hour's file. One `send` at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._checked: set[Path] = set()

    async def send(self, rows: list[Row]) -> Reply:
        try:
            await asyncio.to_thread(self._write, rows)
        except OSError as error:
            reason = f"cannot write the archive: {error.strerror}"
            return Reply([Verdict(Outcome.retry, reason)] * len(rows))
        return Reply([Verdict(Outcome.delivered)] * len(rows))

    async def close(self) -> None:
        """Nothing is held open between two batches."""

    def _write(self, rows: list[Row]) -> None:
        for path, lines in self._by_file(rows):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path not in self._checked:
                self._repair(path)
            with path.open("ab") as file:
                start = file.tell()
                try:
                    file.write(pack_member(lines))
                    file.flush()
                    os.fdatasync(file.fileno())
                except OSError:
                    os.ftruncate(file.fileno(), start)
                    raise

    def _by_file(self, rows: list[Row]) -> Iterator[tuple[Path, bytes]]:
        ordered = sorted(rows, key=lambda row: row.event.time_ms // 3_600_000)
        for hour, group in groupby(ordered, key=lambda row: row.event.time_ms // 3_600_000):
            name = time.strftime("%Y-%m-%d/%H.jsonl.gz", time.gmtime(hour * 3600))
            yield self.folder / name, b"\n".join([row.body for row in group]) + b"\n"

    def _repair(self, path: Path) -> None:
        """Cut off what a crash left half written; its events are delivered again."""
        if path.exists() and (end := whole_length(path)) < path.stat().st_size:
            os.truncate(path, end)
        self._checked.add(path)


def open_archive(settings: dict[str, Any], context: SinkContext) -> Archive:
    """The catalogue's `code` entry point. A relative `path` is below the data folder."""
    return Archive(context.data / settings["path"])
