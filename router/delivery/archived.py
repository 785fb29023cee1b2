"""The file archive read back, for a replay of what the log has let go
(router/destinations/file_archive.py)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import orjson

from router.destinations.file_archive import read_members
from router.event import Event, restore_event

_HOUR_MS = 3_600_000
_BATCH = 200
_NO_OFFSET = 1 << 62


def hour_files(folder: Path, from_ms: int, until_ms: int) -> list[Path]:
    """The archive's files with events received from `from_ms` to `until_ms`, by hour."""
    found = []
    for path in folder.glob("*/*.jsonl.gz"):
        name = f"{path.parent.name} {path.name.removesuffix('.jsonl.gz')}:00+00:00"
        try:
            hour_ms = int(datetime.fromisoformat(name).timestamp() * 1000)
        except ValueError:
            continue
        if hour_ms + _HOUR_MS > from_ms and hour_ms <= until_ms:
            found.append((hour_ms, path))
    return [path for _, path in sorted(found)]


def read_archive(
    folder: Path, from_ms: int, until_ms: int, skip: int = 0
) -> Iterator[tuple[int, list[Event]]]:
    """Events received from `from_ms` to `until_ms`, both included, a batch at a time, with the
    number of lines read so far. Blocking.

    `skip` lines of those that the same call would read are passed over. The archive keeps neither
    an event's source, which is "" then, nor its offset: in place of that stands a number above all
    offsets, made of its messageId.
    """
    read = 0
    for path in hour_files(folder, from_ms, until_ms):
        for lines in _lines(path):
            read += len(lines)
            if read <= skip:
                continue
            fresh = lines[-(read - skip) :] if read - skip < len(lines) else lines
            events = [event for line in fresh if (event := _event(line)) is not None]
            yield read, [event for event in events if from_ms <= event.time_ms <= until_ms]


def _lines(path: Path) -> Iterator[list[bytes]]:
    """The lines of one file; those of a member that a crash cut off are left out."""
    for member in read_members(path):
        lines = member.splitlines()
        for start in range(0, len(lines), _BATCH):
            yield lines[start : start + _BATCH]


def _event(line: bytes) -> Event | None:
    """A line as an event; None where it is none that the router wrote."""
    try:
        value = orjson.loads(line)
        time_ms = datetime.fromisoformat(value["receivedAt"]).timestamp() * 1000
        digest = hashlib.blake2b(value["messageId"].encode(), digest_size=7).digest()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    offset = _NO_OFFSET + int.from_bytes(digest, "big")
    return restore_event(line, offset, "", round(time_ms))
