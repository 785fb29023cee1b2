"""Which events of the log a destination has settled, and so where its cursor may stand."""

from __future__ import annotations

import zlib
from array import array

from router._fast.rows import Row, first_unsettled, settle_plain

_TRIM = 4096
_MOST_BEYOND = 1 << 18
_SETTLED = bytes([1]) + bytes(255)


class Tracker:
    """Counts the unsettled rows of each event from the cursor on. One byte an event.

    `beyond` is what `snapshot` gave: which events behind the cursor a run before this one settled.
    """

    def __init__(self, cursor: int, beyond: bytes = b"") -> None:
        self.cursor = cursor
        """Offset of the first event that is not settled."""
        self._base = cursor
        self._left = bytearray()
        self._known = zlib.decompress(beyond) if beyond else b""
        self._known_base = cursor

    @property
    def position(self) -> int:
        """Offset of the first event not yet taken."""
        return self._base + len(self._left)

    @property
    def resuming(self) -> bool:
        """True until everything is read again that was read before the last stop."""
        return self.position < self._known_base + len(self._known)

    @property
    def unsettled_before(self) -> int:
        """How many events had been read and not settled when the last run stopped."""
        return self._known.count(0)

    def settled_before(self, offset: int) -> bool:
        """Was the event at `offset` settled, though the cursor did not get there?"""
        place = offset - self._known_base
        return place < len(self._known) and self._known[place] == 1

    def snapshot(self) -> tuple[int, bytes]:
        """The cursor, and what is settled behind it, packed."""
        start = self.cursor - self._base
        beyond = self._left[start : start + _MOST_BEYOND].translate(_SETTLED)
        if self.resuming:
            beyond += self._known[self.position - self._known_base :]
        return self.cursor, zlib.compress(beyond, 1) if beyond else b""

    def take(self, offset: int, rows: int) -> None:
        """The event at `offset` was read and has `rows` (at most 255) to settle; 0 = it is done.

        Offsets only grow; those jumped over (a damaged part of the log) count as settled.
        """
        position = self._base + len(self._left)
        gap = offset - position
        if gap < 0:
            raise ValueError(f"offset {offset} was taken before")
        if gap:
            self._left += bytes(gap)
        self._left.append(rows)
        if self.cursor == position and (gap or not rows):
            self._advance()

    def take_each(self, offset: int, count: int) -> None:
        """The `count` events from `offset` on were read and have one row each to settle."""
        position = self.position
        if offset < position:
            raise ValueError(f"offset {offset} was taken before")
        self._left += bytes(offset - position) + b"\1" * count
        if self.cursor == position and offset > position:
            self._advance()

    def settle(self, offset: int) -> None:
        """One more row of the event at `offset` is settled."""
        index = offset - self._base
        self._left[index] -= 1
        if offset == self.cursor and not self._left[index]:
            self._advance()

    def settle_plain(self, rows: list[Row]) -> tuple[array[int], dict[int, int]] | None:
        """`settle` of each row's event; returns their offsets, and how many were received when.
        None, with nothing done, where a row waited in the store or keeps an order."""
        found = settle_plain(rows, self._left, self._base)
        place = self.cursor - self._base
        if found is not None and place < len(self._left) and not self._left[place]:
            self._advance()
        return found

    def _advance(self) -> None:
        left = self._left
        index = first_unsettled(left, self.cursor - self._base)
        self.cursor = self._base + index
        if index >= _TRIM:
            del left[:index]
            self._base = self.cursor
