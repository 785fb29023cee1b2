"""Rows gathered into batches: by count, by bytes, by time, whichever comes first."""

from __future__ import annotations

from collections import deque

from router._fast.rows import fitting
from router.destinations.request import BatchRule, Row

_Group = tuple[int, str, bool]
"""Rows of one batch have one action, one key, and are all first attempts or all retries."""


class Batch:
    """Rows of one request. `opened` is when its first row came, in monotonic seconds."""

    __slots__ = ("bytes", "group", "opened", "rows", "taking")

    def __init__(self, group: _Group, opened: float) -> None:
        self.group = group
        self.opened = opened
        self.rows: list[Row] = []
        self.bytes = 0
        self.taking = True
        """More rows may join it."""


class Batcher:
    """Open and full batches of one destination; first attempts apart from retries."""

    def __init__(self, rules: list[BatchRule]) -> None:
        self._rules = rules
        self._open: dict[_Group, Batch] = {}
        self._full: deque[Batch] = deque()
        self._full_retries: deque[Batch] = deque()
        self._turn = 0
        self.rows = 0
        """Rows waiting, in open and full batches."""
        self.bytes = 0
        self.retries = 0
        """Those of the rows that were tried before."""

    def add(self, row: Row, now: float) -> Batch:
        """Put `row` into an open batch, which is returned."""
        action = row.action
        rule, size = self._rules[action], len(row.body)
        again = row.attempts > 0
        group = (action, row.key, again)
        batch = self._open.get(group)
        if batch is not None and batch.bytes + size > rule.bytes:
            self._close(batch)
            batch = None
        if batch is None:
            batch = self._open[group] = Batch(group, now)
        batch.rows.append(row)
        batch.bytes += size
        self.rows += 1
        self.bytes += size
        self.retries += again
        if len(batch.rows) >= rule.events:
            self._close(batch)
        return batch

    def add_all(self, rows: list[Row], now: float) -> None:
        """`add` of each, where all are first attempts of one action without a key."""
        rule = self._rules[rows[0].action]
        group = (rows[0].action, "", False)
        batch = self._open.get(group)
        start, count = 0, len(rows)
        while start < count:
            if batch is None:
                batch = self._open[group] = Batch(group, now)
            have = len(batch.rows)
            taken, size = fitting(rows, start, rule.events - have, rule.bytes - batch.bytes)
            if not taken and not have:
                taken, size = 1, len(rows[start].body)
            batch.rows += rows[start : start + taken]
            batch.bytes += size
            self.bytes += size
            start += taken
            if start < count or have + taken >= rule.events:
                self._close(batch)
                batch = None
        self.rows += count

    def fits(self, batch: Batch, row: Row) -> bool:
        """Would `add` put `row` into `batch`?"""
        rule = self._rules[row.action]
        return (
            batch.taking
            and batch.group == (row.action, row.key, row.attempts > 0)
            and batch.bytes + len(row.body) <= rule.bytes
        )

    def put_back(self, rows: list[Row], now: float) -> None:
        """Rows to send again as one batch, before any other."""
        batch = Batch((rows[0].action, rows[0].key, rows[0].attempts > 0), now)
        batch.rows, batch.taking = rows, False
        batch.bytes = sum(len(row.body) for row in rows)
        self._count(batch, 1)
        self._full.appendleft(batch)

    def _count(self, batch: Batch, sign: int) -> None:
        self.rows += sign * len(batch.rows)
        self.bytes += sign * batch.bytes
        if batch.group[2]:
            self.retries += sign * len(batch.rows)

    def _close(self, batch: Batch) -> None:
        del self._open[batch.group]
        batch.taking = False
        (self._full_retries if batch.group[2] else self._full).append(batch)

    def take(self, now: float, linger: bool) -> Batch | None:
        """The next batch to send. `linger`: open batches wait for their rule's time.

        First attempts go first; every fourth turn a retry does, so that neither starves the other.
        """
        if not self._full or not self._full_retries:
            self._close_due(now, linger)
        self._turn += 1
        first, second = self._full, self._full_retries
        if self._turn % 4 == 0:
            first, second = second, first
        queue = first or second
        if not queue:
            return None
        batch = queue.popleft()
        self._count(batch, -1)
        return batch

    def _close_due(self, now: float, linger: bool) -> None:
        for batch in list(self._open.values()):
            if not linger or now >= batch.opened + self._rules[batch.group[0]].wait:
                self._close(batch)

    def next_due(self) -> float | None:
        """When the first open batch's time is over, in monotonic seconds; None without one."""
        return min(
            (batch.opened + self._rules[group[0]].wait for group, batch in self._open.items()),
            default=None,
        )
