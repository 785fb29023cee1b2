"""Which events of the log a destination has settled, and so where its cursor may stand."""

from __future__ import annotations

_TRIM = 4096


class Tracker:
    """Counts the unsettled rows of each event from the cursor on. One byte an event."""

    def __init__(self, cursor: int) -> None:
        self.cursor = cursor
        """Offset of the first event that is not settled."""
        self._base = cursor
        self._left = bytearray()

    @property
    def position(self) -> int:
        """Offset of the first event not yet taken."""
        return self._base + len(self._left)

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

    def settle(self, offset: int) -> None:
        """One more row of the event at `offset` is settled."""
        index = offset - self._base
        self._left[index] -= 1
        if offset == self.cursor and not self._left[index]:
            self._advance()

    def settle_all(self, offsets: list[int]) -> None:
        """`settle` of each."""
        left, base = self._left, self._base
        for offset in offsets:
            left[offset - base] -= 1
        place = self.cursor - base
        if place < len(left) and not left[place]:
            self._advance()

    def _advance(self) -> None:
        left, index = self._left, self.cursor - self._base
        end = len(left)
        while index < end and not left[index]:
            index += 1
        self.cursor = self._base + index
        if index >= _TRIM:
            del left[:index]
            self._base = self.cursor
