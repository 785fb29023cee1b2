"""A segment: one file of frames in offset order, named by its first offset."""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from router._fast.crc32c import crc32c
from router._fast.frames import read_frames
from router.errors import LogCorrupt
from router.log.frame import HEAD_BYTES, Head, Record, find_frame, read_frame, read_head

_STRIDE = 64 * 1024
_CHUNK = 256 * 1024
_READERS = 64
_NO_LIMIT = (1 << 63) - 1
_ENTRY = struct.Struct("<QQQ")


def segment_path(folder: Path, base: int) -> Path:
    return folder / f"{base:020d}.log"


class Index:
    """Where every 64 KiB or so a frame begins: offset, file position, time. All three ascend.

    The time is the latest of all frames up to there: a clock that is set back leaves no hole.
    """

    def __init__(self) -> None:
        self.offsets: list[int] = []
        self.positions: list[int] = []
        self.times: list[int] = []
        self._latest = 0

    def note(self, offset: int, position: int, time_ms: int) -> None:
        """Remember a frame if the last one noted is far enough back."""
        if time_ms > self._latest:
            self._latest = time_ms
        if not self.positions or position - self.positions[-1] >= _STRIDE:
            self.offsets.append(offset)
            self.positions.append(position)
            self.times.append(self._latest)

    def position_of(self, offset: int) -> int:
        """A frame's position at or before the one that holds `offset`; 0 without any."""
        place = bisect_right(self.offsets, offset) - 1
        return self.positions[place] if place >= 0 else 0

    def position_at(self, time_ms: int) -> int:
        """A frame's position before which every time is under `time_ms`."""
        place = bisect_right(self.times, time_ms - 1) - 1
        return self.positions[place] if place >= 0 else 0

    def save(self, path: Path, end: int) -> None:
        rows = b"".join(
            _ENTRY.pack(*row) for row in zip(self.offsets, self.positions, self.times, strict=True)
        )
        body = struct.pack("<Q", end) + rows
        aside = path.with_suffix(".idx.tmp")
        aside.write_bytes(struct.pack("<I", crc32c(body)) + body)
        aside.replace(path)

    @classmethod
    def load(cls, path: Path, end: int) -> Index | None:
        """The saved index, or None where it is absent, damaged or of another state."""
        try:
            data = path.read_bytes()
        except OSError:
            return None
        body = data[4:]
        if len(body) < 8 or (len(body) - 8) % _ENTRY.size:
            return None
        if struct.unpack_from("<I", data)[0] != crc32c(body):
            return None
        if struct.unpack_from("<Q", body)[0] != end:
            return None
        index = cls()
        for offset, position, time_ms in _ENTRY.iter_unpack(body[8:]):
            index.note(offset, position, time_ms)
        return index


class Segment:
    """One file of the log. `size` is how many of its bytes hold frames.

    `limit` is the next segment's first offset: frames from there on were written in vain here.
    """

    def __init__(self, path: Path, base: int, size: int) -> None:
        self.path, self.base, self.size = path, base, size
        self.limit = 1 << 64
        self.index: Index | None = None
        self._fd = -1
        self._readers: dict[int, int] = {}

    @property
    def fd(self) -> int:
        """Opened when it is first read."""
        if self._fd < 0:
            self.open()
        return self._fd

    def open(self) -> None:
        self._fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def index_path(self) -> Path:
        return self.path.with_suffix(".idx")

    def load_index(self) -> Index:
        """The sparse index, from its file or else by going through the frames once."""
        if self.index is None:
            self.index = Index.load(self.index_path, self.size)
        if self.index is None:
            self.index = Index()
            for position, head in self._heads():
                self.index.note(head.offset, position, head.time_ms)
            with suppress(OSError):
                self.index.save(self.index_path, self.size)
        return self.index

    def _heads(self, position: int = 0) -> Iterator[tuple[int, Head]]:
        """The headers from `position` on, without blocks; ends at the first that is none."""
        expected = self.base
        while position < self.size:
            head = read_head(os.pread(self.fd, HEAD_BYTES, position), 0)
            if head is None or not expected <= head.offset < self.limit:
                return
            yield position, head
            expected = head.offset + head.count
            position += HEAD_BYTES + head.length

    def read(self, offset: int, max_bytes: int) -> list[Record]:
        """Records from the one that holds `offset` on; stops before a damaged frame.

        Raises `LogCorrupt` where what is damaged is, or may be, at `offset` itself.
        """
        records: list[Record] = []
        position, expected, total = self._position_of(offset), 0, 0
        chunk = min(_CHUNK, max_bytes + _CHUNK // 8)
        data, start = b"", position
        if offset in self._readers:
            # Where the reader goes on, as a rule, all frames are good ones: read them in one go.
            data = self._chunk(position, chunk)
            records, end, expected = read_frames(
                data, 0, offset, min(self.limit, _NO_LIMIT), max_bytes
            )
            if records:
                self._remember(expected, position + end)
                return records
            expected = 0
        while position < self.size and total < max_bytes:
            if position + HEAD_BYTES > start + len(data):
                data, start = self._chunk(position, chunk), position
            head = read_head(data, position - start)
            if head is not None and expected <= head.offset:
                if head.offset >= self.limit:
                    return records
                end = position + HEAD_BYTES + head.length
                expected = head.offset + head.count
                if expected <= offset:
                    position = end
                    continue
                if end > start + len(data):
                    data, start = self._chunk(position, max(chunk, end - position)), position
                block = read_frame(data, position - start, head)
                if block is not None:
                    records.append(Record(head.offset, head.count, head.time_ms, block))
                    total += head.length
                    position = end
                    continue
            if records:
                break
            position = self._past_damage(position, offset)
        if records:
            self._remember(expected, position)
        return records

    def _position_of(self, offset: int) -> int:
        """Where to look for `offset`: where a reader stopped, or what the index says."""
        position = self._readers.get(offset)
        return self.load_index().position_of(offset) if position is None else position

    def _remember(self, offset: int, position: int) -> None:
        """A reader stopped at `position`, before `offset`: it will go on there."""
        if len(self._readers) >= _READERS:
            del self._readers[next(iter(self._readers))]
        self._readers[offset] = position

    def _chunk(self, position: int, length: int) -> bytes:
        return os.pread(self.fd, min(length, self.size - position), position)

    def _past_damage(self, position: int, offset: int) -> int:
        """The next whole frame's position, if the damage before it cannot hold `offset`."""
        data = os.pread(self.fd, self.size - position, position)
        following = find_frame(data, 1, self.base)
        head = read_head(data, following) if following >= 0 else None
        if head is None or head.offset > offset:
            raise LogCorrupt(f"{self.path.name}: the frame at byte {position} is damaged")
        return position + following

    def next_good(self, offset: int) -> int | None:
        """Offset of the first whole frame past `offset` in this segment, or None."""
        data = os.pread(self.fd, self.size, 0)
        position = find_frame(data, 0, offset + 1)
        head = read_head(data, position) if position >= 0 else None
        return head.offset if head is not None else None

    def offset_at(self, time_ms: int) -> int | None:
        """Offset of the first record received at or after `time_ms`, or None."""
        for _, head in self._heads(self.load_index().position_at(time_ms)):
            if head.time_ms >= time_ms:
                return head.offset
        return None

    def first_time(self) -> int | None:
        """When its first record was received; None while it has none."""
        for _, head in self._heads():
            return head.time_ms
        return None

    def delete(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)
        self.index_path.unlink(missing_ok=True)
