"""Rows gathered into batches: by count, by bytes, by time, whichever comes first."""

from __future__ import annotations

from collections import deque

import msgspec

from router.destinations.request import BatchRule, Row


class Pending(msgspec.Struct, gc=False):
    """A row on its way, with what its settling needs."""

    row: Row
    part: int
    attempts: int = 0
    first_ms: int = 0
    retry_key: bytes = b""


class Batch:
    """Rows of one request. `opened` is when its first row came, in monotonic seconds."""

    __slots__ = ("bytes", "opened", "rows")

    def __init__(self, opened: float) -> None:
        self.opened = opened
        self.rows: list[Pending] = []
        self.bytes = 0


class Batcher:
    """Open and full batches of one destination; first attempts apart from retries."""

    def __init__(self, rules: list[BatchRule]) -> None:
        self._rules = rules
        self._open: dict[tuple[int, str, bool], Batch] = {}
        self._full: deque[Batch] = deque()
        self._full_retries: deque[Batch] = deque()
        self._turn = 0
        self.rows = 0
        """Rows waiting, in open and full batches."""
        self.bytes = 0

    def add(self, pending: Pending, now: float) -> None:
        row = pending.row
        action = row.action
        rule, size = self._rules[action], len(row.body)
        key = (action, row.key, pending.attempts > 0)
        batch = self._open.get(key)
        if batch is not None and batch.bytes + size > rule.bytes:
            self._close(key, batch)
            batch = None
        if batch is None:
            batch = self._open[key] = Batch(now)
        batch.rows.append(pending)
        batch.bytes += size
        self.rows += 1
        self.bytes += size
        if len(batch.rows) >= rule.events:
            self._close(key, batch)

    def put_back(self, rows: list[Pending], now: float) -> None:
        """Rows to send again as one batch, before any other."""
        batch = Batch(now)
        batch.rows = rows
        batch.bytes = sum(len(pending.row.body) for pending in rows)
        self.rows += len(rows)
        self.bytes += batch.bytes
        self._full.appendleft(batch)

    def _close(self, key: tuple[int, str, bool], batch: Batch) -> None:
        del self._open[key]
        (self._full_retries if key[2] else self._full).append(batch)

    def take(self, now: float, linger: bool) -> Batch | None:
        """The next batch to send. `linger`: open batches wait for their rule's time."""
        if not self._full and not self._full_retries:
            self._close_due(now, linger)
        self._turn += 1
        first, second = self._full, self._full_retries
        if self._turn % 4 == 0:
            first, second = second, first
        queue = first or second
        if not queue:
            return None
        batch = queue.popleft()
        self.rows -= len(batch.rows)
        self.bytes -= batch.bytes
        return batch

    def _close_due(self, now: float, linger: bool) -> None:
        for key, batch in list(self._open.items()):
            if not linger or now >= batch.opened + self._rules[key[0]].wait:
                self._close(key, batch)

    def next_due(self) -> float | None:
        """When the first open batch's time is over, in monotonic seconds; None without one."""
        return min(
            (batch.opened + self._rules[key[0]].wait for key, batch in self._open.items()),
            default=None,
        )
