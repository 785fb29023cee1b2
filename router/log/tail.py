"""The newest records in memory, so that readers who are caught up never ask the disk."""

from __future__ import annotations

from bisect import bisect_right

from router.log.frame import Record

_MAX_BYTES = 16 * 1024 * 1024
_TRIM = 1024
_GONE = Record(-1, 0, 0, b"")


class Tail:
    """Records in offset order, about 16 MiB of them."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._offsets: list[int] = []
        self._first = 0
        self._bytes = 0

    def add(self, record: Record) -> None:
        self._records.append(record)
        self._offsets.append(record.offset)
        self._bytes += len(record.payload)
        while self._bytes > _MAX_BYTES and self._first < len(self._records) - 1:
            self._forget_first()
        if self._first >= _TRIM:
            del self._records[: self._first], self._offsets[: self._first]
            self._first = 0

    def _forget_first(self) -> None:
        """Its bytes go at once; its place in the lists with many others."""
        self._bytes -= len(self._records[self._first].payload)
        self._records[self._first] = _GONE
        self._first += 1

    def read(self, offset: int, max_bytes: int) -> list[Record]:
        """Records from the one that holds `offset`; [] where it is not in memory."""
        first = bisect_right(self._offsets, offset, self._first) - 1
        if first < self._first:
            return []
        found: list[Record] = []
        for place in range(first, len(self._records)):
            record = self._records[place]
            if record.offset + record.count <= offset:
                continue
            found.append(record)
            max_bytes -= len(record.payload)
            if max_bytes <= 0:
                break
        return found

    def drop_before(self, offset: int) -> None:
        """Forget records whose segment is gone."""
        while self._first < len(self._records) and self._offsets[self._first] < offset:
            self._forget_first()
