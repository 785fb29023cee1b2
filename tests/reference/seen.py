"""A dict that forgets: what `router._fast.seen.Seen` must behave like."""

from __future__ import annotations


class Seen:
    def __init__(self, hours: int) -> None:
        self.hours = hours
        self.when: dict[tuple[bytes, bytes], int] = {}

    def add(self, source: bytes, message_id: bytes, hour: int) -> bool:
        if not self.hours:
            return True
        last = self.when.get((source, message_id))
        if last is not None and hour - last <= self.hours:
            return False
        self.when[source, message_id] = hour
        return True

    def discard(self, source: bytes, message_id: bytes) -> None:
        self.when.pop((source, message_id), None)
