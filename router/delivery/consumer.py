"""One destination's way through the log: read, filter, map, batch, send, settle.

Everything here runs on the loop. A consumer shares nothing with the others but the log's feed and
the HTTP client, so a destination that is down waits alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from router.delivery.batch import Batch, Batcher, Pending
from router.delivery.gate import Gate
from router.delivery.settle import Settler
from router.delivery.tracker import Tracker
from router.delivery.transport import Transport, Unreachable
from router.destinations import Compiled, NotApplicable
from router.destinations.outcome import Outcome, Reply, Verdict
from router.destinations.request import Row
from router.event import Event
from router.log.feed import Feed
from router.metrics import FILTERED, REQUEST_SECONDS, SACRIFICED, SENT_REQUESTS
from router.store import ALL_PARTS, Retry, Store

_log = logging.getLogger(__name__)

_READ_BYTES = 64 * 1024
_READS_A_TURN = 2
_QUEUE_BYTES = 8 * 1024 * 1024
_QUEUE_ROWS = 10_000
_DUE_LIMIT = 500
_BUSY_POLL = 0.005
_IDLE_POLL = 5.0


class Consumer:
    """Delivers to one destination from `start()` to `stop()`."""

    def __init__(
        self,
        compiled: Compiled,
        sources: frozenset[str] | None,
        feed: Feed,
        store: Store,
        transport: Transport,
        make_settler: Callable[[Tracker, Gate], Settler],
    ) -> None:
        self.id = compiled.id
        self.compiled = compiled
        self.sources = sources
        self._feed, self._store, self._transport = feed, store, transport
        cursor = store.cursor(self.id)
        self.tracker = Tracker(feed.log.end if cursor is None else cursor)
        self.gate = Gate(compiled.concurrency, compiled.rate)
        self.settler = make_settler(self.tracker, self.gate)
        self._batcher = Batcher(compiled.batches)
        self._wake = asyncio.Event()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._retrying: set[bytes] = set()
        self._next_due_ms = 0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._unlisten: Callable[[], None] | None = None
        self._filtered = {
            reason: FILTERED.labels(self.id, reason)
            for reason in (
                "source",
                "integrations",
                "filter",
                "filters",
                "filter_failed",
                "no_action",
            )
        }

    @property
    def queued_rows(self) -> int:
        """Rows waiting in batches or in flight."""
        return self.settler.outstanding

    @property
    def lag(self) -> int:
        """Events in the log that are not settled."""
        return self._feed.log.end - self.tracker.cursor

    def look_for_retries(self) -> None:
        """Retries came from elsewhere (a replay): look at once."""
        self._next_due_ms = 0
        self._wake.set()

    def start(self) -> None:
        self._unlisten = self._feed.listen(self._wake.set)
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"to {self.id}")

    async def stop(self, grace: float) -> None:
        """Read no more, send what is queued, wait `grace` seconds for what is in flight."""
        self._stopping = True
        if self._unlisten is not None:
            self._unlisten()
        self._wake.set()
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=grace)
            for task in (*late, *self._in_flight):
                task.cancel()
            for task in (self._task, *self._in_flight):
                with suppress(asyncio.CancelledError):
                    await task
        if self.compiled.sink is not None:
            await self.compiled.sink.close()

    async def _run(self) -> None:
        while True:
            try:
                if await self._turn():
                    return
            except asyncio.CancelledError:
                raise
            except Exception:
                _log.exception("delivery turn failed, going on", extra={"destination": self.id})
                await asyncio.sleep(1)

    async def _turn(self) -> bool:
        """One round of reading and sending; True when a stopping consumer has nothing left."""
        self._wake.clear()
        progressed = False
        if not self._stopping:
            progressed = self._read()
            self._take_due()
        wait = self._dispatch(linger=progressed or bool(self._in_flight))
        if self._stopping and not self._in_flight and (not self._batcher.rows or wait > 0):
            return True
        if progressed:
            await asyncio.sleep(0)
        else:
            await self._sleep(wait)
        return False

    async def _sleep(self, wait: float) -> None:
        """Until something happens. Under load the log grows all the time: look every 5 ms."""
        if self._in_flight and not self._stopping:
            await asyncio.sleep(_BUSY_POLL)
            wait = min(wait, _BUSY_POLL)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(wait, _IDLE_POLL)):
                await self._wake.wait()

    def _read(self) -> bool:
        """Map some events into batches; False at the log's end or when the queue is full."""
        progressed = False
        for _ in range(_READS_A_TURN):
            if not self.gate.open and self._batcher.rows:
                break
            if self._batcher.bytes >= _QUEUE_BYTES or self._batcher.rows >= _QUEUE_ROWS:
                break
            position = self.tracker.position
            events = self._feed.read(position, _READ_BYTES)
            if not events:
                break
            if (lost := events[0].offset - position) > 0:
                SACRIFICED.labels(self.id).inc(lost)
                _log.error(
                    "events left the log before they were delivered",
                    extra={"destination": self.id, "lost": lost},
                )
            now = time.monotonic()
            for event in events:
                self._map(event, now)
            progressed = True
        if progressed:
            self.settler.save_cursor()
        return progressed

    def _map(self, event: Event, now: float) -> None:
        if self.sources is not None and event.source not in self.sources:
            self._skip(event, "source")
            return
        try:
            rows = self.compiled.map(event)
        except NotApplicable as error:
            self._refuse(event, str(error))
            return
        except Exception as error:
            self._refuse(event, f"cannot be mapped: {type(error).__name__}: {error}")
            return
        if isinstance(rows, str):
            self._skip(event, rows)
            return
        count = len(rows)
        self.tracker.take(event.offset, count)
        add = self._batcher.add
        for part in range(count):
            add(Pending(rows[part], part), now)
        self.settler.outstanding += count

    def _skip(self, event: Event, reason: str) -> None:
        """The event is not for this destination."""
        self._filtered[reason].inc()
        self.tracker.take(event.offset, 0)

    def _refuse(self, event: Event, reason: str) -> None:
        """The event cannot be sent as it is: its dead letter is what settles it."""
        self.tracker.take(event.offset, 1)
        self.settler.refuse(_unmapped(event), reason)

    def _take_due(self) -> None:
        """Put retries whose time has come into batches."""
        now_ms = int(time.time() * 1000)
        if not self._store.retry_count(self.id) or now_ms < self._next_due_ms:
            return
        if self._batcher.rows >= _QUEUE_ROWS or (not self.gate.open and self._batcher.rows):
            return
        for key, retry in self._store.due(self.id, now_ms, _DUE_LIMIT, self._retrying):
            self._map_again(key, retry)
        self._next_due_ms = self._store.next_due(self.id, self._retrying) or now_ms + 50

    def _map_again(self, key: bytes, retry: Retry) -> None:
        event = retry.event()
        try:
            mapped = self.compiled.map(event)
        except Exception as error:
            self._retrying.add(key)
            self.settler.refuse(_unmapped(event, retry, key), str(error))
            return
        rows = [] if isinstance(mapped, str) else mapped
        if retry.part == ALL_PARTS and rows:
            self._store.remove_retry(self.id, key)
            for part in range(len(rows)):
                again = msgspec.structs.replace(retry, part=part)
                self._store.add_retry(self.id, retry.first_ms, again)
        elif retry.part >= len(rows):
            self._store.remove_retry(self.id, key)
            self._filtered["no_action"].inc()
        else:
            self._retrying.add(key)
            pending = Pending(rows[retry.part], retry.part, retry.attempts, retry.first_ms, key)
            self._batcher.add(pending, time.monotonic())
            self.settler.outstanding += 1

    def _dispatch(self, linger: bool) -> float:
        """Start every request that may start; returns how long nothing else can."""
        while True:
            now = time.monotonic()
            wait = self.gate.wait(now, len(self._in_flight))
            if wait > 0:
                return wait
            batch = self._batcher.take(now, linger and not self._stopping)
            if batch is None:
                return self._until_next_batch(now)
            self.gate.start()
            task = asyncio.get_running_loop().create_task(self._send(batch))
            self._in_flight.add(task)
            task.add_done_callback(self._sent)
            linger = linger or self.gate.concurrency > 1

    def _until_next_batch(self, now: float) -> float:
        waits = [_IDLE_POLL]
        if (due := self._batcher.next_due()) is not None:
            waits.append(max(due - now, 0.001))
        if self._store.retry_count(self.id):
            waits.append(max(self._next_due_ms / 1000 - time.time(), 0.05))
        return min(waits)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error(
                "settling failed; its events are read again after a restart",
                exc_info=error,
                extra={"destination": self.id},
            )

    async def _send(self, batch: Batch) -> None:
        pending = batch.rows
        started = time.monotonic()
        reply = await self._attempt(pending)
        REQUEST_SECONDS.labels(self.id).observe(time.monotonic() - started)
        again = await self.settler.settle(pending, reply)
        for item in pending:
            self._retrying.discard(item.retry_key)
        self._next_due_ms = 0
        for rows in again:
            for item in rows:
                if item.retry_key:
                    self._retrying.add(item.retry_key)
            self._batcher.put_back(rows, time.monotonic())

    async def _attempt(self, pending: list[Pending]) -> Reply:
        rows = [item.row for item in pending]
        compiled = self.compiled
        try:
            if compiled.sink is not None:
                reply = await compiled.sink.send(rows)
            else:
                request = compiled.request(rows, int(time.time() * 1000))
                answer = await self._transport.send(request, compiled.timeout)
                reply = compiled.judge(rows, answer.status, answer.headers, answer.body)
        except Unreachable as error:
            reply = Reply([Verdict(Outcome.retry, str(error))] * len(rows))
        except Exception as error:
            _log.exception("sending failed", extra={"destination": self.id})
            reason = compiled.redact(f"{type(error).__name__}: {error}")
            reply = Reply([Verdict(Outcome.retry, reason)] * len(rows))
        SENT_REQUESTS.labels(self.id, reply.verdicts[0].outcome.value).inc()
        return reply


def _unmapped(event: Event, retry: Retry | None = None, key: bytes = b"") -> Pending:
    """An event without rows, as something that can be dead-lettered."""
    row = Row(event, 0, "", b"")
    if retry is None:
        return Pending(row, ALL_PARTS)
    return Pending(row, retry.part, retry.attempts, retry.first_ms, key)
