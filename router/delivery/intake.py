"""From the log and the retry store to rows in batches: read, filter, map."""

from __future__ import annotations

import logging
import time

import msgspec

from router.delivery.batch import Batcher
from router.delivery.gate import Gate
from router.delivery.order import Order, user_of
from router.delivery.settle import Settler
from router.delivery.tracker import Tracker
from router.destinations import Compiled, NotApplicable
from router.destinations.request import Row
from router.event import Event
from router.log.feed import Feed
from router.metrics import FILTERED, SACRIFICED
from router.store import ALL_PARTS, Retry, Store

_log = logging.getLogger(__name__)

_READ_BYTES = 64 * 1024
_READS_A_TURN = 2
_QUEUE_ROWS = 10_000
_RETRY_ROWS = _QUEUE_ROWS // 4
"""Retries get a part of the queue of their own: neither they nor first attempts starve."""
_DUE_LIMIT = 500
_REASONS = ("source", "integrations", "filter", "filters", "filter_failed", "no_action")


class Intake:
    """What one destination takes up next. It runs on the loop and never waits."""

    def __init__(
        self,
        compiled: Compiled,
        sources: frozenset[str] | None,
        feed: Feed,
        store: Store,
        tracker: Tracker,
        gate: Gate,
        batcher: Batcher,
        settler: Settler,
        order: Order | None,
    ) -> None:
        self._id, self._compiled, self._sources = compiled.id, compiled, sources
        self._feed, self._store = feed, store
        self._tracker, self._gate, self._batcher = tracker, gate, batcher
        self._settler, self._order = settler, order
        self.queue_bytes = 8 * 1024 * 1024
        """Most bytes of rows that may be queued or in flight before reading pauses."""
        self._plain = sources is None and order is None
        self._due_ms = 0
        self._filtered = {reason: FILTERED.labels(self._id, reason) for reason in _REASONS}

    @property
    def full(self) -> bool:
        """True where first attempts have to wait in the log."""
        batcher, settler = self._batcher, self._settler
        waiting = self._order.waiting if self._order is not None else 0
        return (
            (bool(batcher.rows) and not self._gate.open)
            or batcher.rows - batcher.retries + waiting >= _QUEUE_ROWS
            or batcher.bytes + settler.flying_bytes >= self.queue_bytes
            or settler.waits_for_room
        )

    def look_again(self, due_ms: int = 0) -> None:
        """Retries may be due sooner than was known."""
        self._due_ms = min(self._due_ms, due_ms)

    def until_due(self) -> float | None:
        """Seconds to the next retry; None where none waits."""
        if self._order is not None and self._order.releasing:
            return 0.01
        if not self._store.retry_count(self._id):
            return None
        return max(self._due_ms / 1000 - time.time(), 0.05)

    def read(self) -> bool:
        """Map some events into batches; False at the log's end or when the queue is full."""
        progressed = False
        for _ in range(_READS_A_TURN):
            if self.full:
                break
            position = self._tracker.position
            events = self._feed.read(position, _READ_BYTES)
            if not events:
                break
            if (lost := events[0].offset - position) > 0:
                SACRIFICED.labels(self._id).inc(lost)
                _log.error(
                    "events left the log before they were delivered",
                    extra={"destination": self._id, "lost": lost},
                )
            self._map_all(events)
            progressed = True
        if progressed:
            self._settler.save_cursor()
        return progressed

    def _map_all(self, events: list[Event]) -> None:
        now = time.monotonic()
        count = len(events)
        resuming = self._tracker.resuming
        if self._plain and not resuming and events[-1].offset - events[0].offset == count - 1:
            rows = self._map_plain(events)
            if rows is not None:
                self._tracker.take_each(events[0].offset, count)
                self._batcher.add_all(rows, now)
                self._settler.outstanding += count
                return
        for event in events:
            if resuming and self._tracker.settled_before(event.offset):
                self._tracker.take(event.offset, 0)
            else:
                self._map(event, now)

    def _map_plain(self, events: list[Event]) -> list[Row] | None:
        try:
            return self._compiled.map_plain(events)
        except Exception:
            # One of them cannot be mapped: one by one it is found, and the others go on.
            return None

    def _map(self, event: Event, now: float) -> None:
        if self._sources is not None and event.source not in self._sources:
            self._skip(event, "source")
            return
        try:
            rows = self._compiled.map(event)
            if self._order is not None and not isinstance(rows, str):
                user = user_of(event)
                for row in rows:
                    row.user = user
        except NotApplicable as error:
            self._refuse(event, str(error))
            return
        except Exception as error:
            self._refuse(event, f"cannot be mapped: {type(error).__name__}: {error}")
            return
        if isinstance(rows, str):
            self._skip(event, rows)
            return
        if not rows:
            self._skip(event, "no_action")
            return
        self._tracker.take(event.offset, len(rows))
        self._settler.outstanding += len(rows)
        for part, row in enumerate(rows):
            row.part = part
            self._put(row, now)

    def _put(self, row: Row, now: float) -> None:
        if self._order is not None and row.user:
            self._order.offer(row, now)
        else:
            self._batcher.add(row, now)

    def _skip(self, event: Event, reason: str) -> None:
        """The event is not for this destination."""
        self._filtered[reason].inc()
        self._settler.record.filtered(reason, 1)
        self._tracker.take(event.offset, 0)

    def _refuse(self, event: Event, reason: str) -> None:
        """The event cannot be sent as it is: its dead letter is what settles it."""
        self._tracker.take(event.offset, 1)
        self._settler.refuse(Row(event, 0, "", b"", part=ALL_PARTS), reason)

    def take_due(self) -> None:
        """Put retries whose time has come, and rows that they held up, into batches."""
        if self._order is not None and not self._tracker.resuming:
            for user in list(self._order.releasing):
                self._release(user, self._order)
        now_ms = int(time.time() * 1000)
        if not self._store.retry_count(self._id) or now_ms < self._due_ms:
            return
        if self._batcher.retries >= _RETRY_ROWS or (not self._gate.open and self._batcher.rows):
            return
        out = self._settler.out
        now = time.monotonic()
        for key, retry in self._store.due(self._id, now_ms, _DUE_LIMIT, out):
            row = self._restore(key, retry)
            if row is None:
                if self._order is not None and retry.user:
                    self._order.gave_up(retry.user, now)
            elif self._order is not None and row.user:
                self._order.again(row, now)
            else:
                row.user = b""
                self._batcher.add(row, now)
        # A retry that is not committed yet cannot be seen: look again within a second.
        self._due_ms = min(self._store.next_due(self._id, out) or now_ms + 50, now_ms + 1000)

    def _release(self, user: bytes, order: Order) -> None:
        held = self._store.held(self._id, user, order.release_rows, self._settler.out)
        rows = [self._restore(key, retry) for key, retry in held]
        found = [row for row in rows if row is not None]
        order.release(user, found, len(rows) - len(found), time.monotonic())

    def _spread(self, retry: Retry, rows: list[Row]) -> None:
        """An event that is sent anew as a whole becomes as many rows as it has by now; where the
        destination is ordered they go behind what their user still has on the way."""
        user = user_of(retry.event()) if self._order is not None else b""
        for part in range(len(rows)):
            again = msgspec.structs.replace(retry, part=part, user=user)
            if self._order is not None and user:
                self._store.hold(self._id, again)
                self._order.held_elsewhere(user)
            else:
                self._store.add_retry(self._id, retry.first_ms, again)

    def _restore(self, key: bytes, retry: Retry) -> Row | None:
        """The waiting row, mapped anew; None where it is settled with that."""
        event = retry.event()
        waits = Row(event, 0, "", b"", retry.part, retry.attempts, retry.first_ms, key, b"")
        try:
            mapped = self._compiled.map(event)
        except Exception as error:
            self._settler.out.add(key)
            self._settler.refuse(waits, str(error))
            return None
        rows = [] if isinstance(mapped, str) else mapped
        if retry.part == ALL_PARTS and rows:
            self._store.remove(self._id, key)
            self._spread(retry, rows)
            return None
        if retry.part >= len(rows):
            self._store.remove(self._id, key)
            self._filtered["no_action"].inc()
            self._settler.record.filtered("no_action", 1)
            return None
        row = rows[retry.part]
        row.part, row.attempts, row.first_ms = retry.part, retry.attempts, retry.first_ms
        row.stored, row.user = key, retry.user
        self._settler.out.add(key)
        self._settler.outstanding += 1
        return row
