"""One destination's way through the log: read, filter, map, batch, send, settle.

Everything here runs on the loop. A consumer shares nothing with the others but the log's feed and
the HTTP client, so a destination that is down waits alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from router.delivery.batch import Batch, Batcher
from router.delivery.dead_letters import DeadLetters
from router.delivery.gate import Gate
from router.delivery.intake import Intake
from router.delivery.order import Order
from router.delivery.overview import Record
from router.delivery.settle import Settler, all_delivered
from router.delivery.tracker import Tracker
from router.delivery.transport import Transport, Unreachable
from router.destinations import Compiled
from router.destinations.outcome import Outcome, Reply, Verdict
from router.destinations.request import Request, Row
from router.log.feed import Feed
from router.metrics import NOT_APPLICABLE, REQUEST_SECONDS, RESENT, SENT_REQUESTS
from router.store import Store
from router.workspace.models import Delivery, Destination

_log = logging.getLogger(__name__)

_BUSY_POLL = 0.005
_IDLE_POLL = 5.0
_ANSWER_CHARS = 2000


class Consumer:
    """Delivers to one destination from `start()` to `stop()`."""

    def __init__(
        self,
        compiled: Compiled,
        instance: Destination,
        settings: Delivery,
        feed: Feed,
        store: Store,
        transport: Transport,
        dead_letters: DeadLetters,
        record: Record,
    ) -> None:
        self.id = compiled.id
        self.compiled = compiled
        self._public_only = instance.network == "public"
        self._feed, self._store, self._transport = feed, store, transport
        cursor = store.cursor(self.id)
        self.tracker = Tracker(feed.log.end if cursor is None else cursor, store.beyond(self.id))
        self._report_resumed()
        self.gate = Gate(compiled.concurrency, compiled.rate)
        self.settler = Settler(
            self.id, self.tracker, self.gate, store, dead_letters, settings, record
        )
        self._batcher = Batcher(compiled.batches)
        self.order = self.settler.order = self._make_order(instance, settings)
        self.intake = Intake(
            compiled,
            None if "*" in instance.sources else frozenset(instance.sources),
            feed, store, self.tracker, self.gate, self._batcher, self.settler, self.order,
        )  # fmt: skip
        self._http = _Http(transport, compiled.timeout, self._public_only)
        self._requests = {each: SENT_REQUESTS.labels(self.id, each.value) for each in Outcome}
        self._seconds = REQUEST_SECONDS.labels(self.id)
        self.active = time.monotonic()
        """When something was last read, tried or answered, in monotonic seconds."""
        self._wake = asyncio.Event()
        self._wait_full = False
        self._growth: asyncio.TimerHandle | None = None
        self._in_flight: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._unlisten: Callable[[], None] | None = None

    def _report_resumed(self) -> None:
        """Tell how many events had been read and not settled: they are sent again. After a crash
        so may be what was settled after the last commit of the cursor."""
        if count := self.tracker.unsettled_before:
            RESENT.labels(self.id).inc(count)
            _log.info(
                "events that were on their way are sent again",
                extra={"destination": self.id, "events": count},
            )

    def _make_order(self, instance: Destination, settings: Delivery) -> Order | None:
        ordered = self.compiled.ordered if instance.ordered is None else instance.ordered
        if not ordered:
            self._store.release_held(self.id, int(time.time() * 1000))
            return None
        return Order(
            self.id, self._batcher, self._store, self.settler.keep,
            together=not self.compiled.per_row, limit=settings.ordered_events,
        )  # fmt: skip

    @property
    def queued_rows(self) -> int:
        """Rows waiting in batches or in flight."""
        return self.settler.outstanding

    @property
    def lag(self) -> int:
        """Events in the log that are not settled."""
        return self._feed.log.end - self.tracker.cursor

    def stalled(self, now: float) -> float:
        """Seconds for which nothing was read, tried or answered though something could be."""
        idle = now - self.active
        if self.gate.closed_until > now or idle <= 0:
            return 0.0
        unread = self.tracker.position < self._feed.log.end and not self.settler.waits_for_room
        if self._in_flight or self._batcher.rows or unread:
            return idle
        due_ms = self._store.next_due(self.id, self.settler.out)
        return idle if due_ms is not None and due_ms < (time.time() - idle) * 1000 else 0.0

    def count_passed_over(self) -> None:
        """Tell the metrics what actions passed over since the last time."""
        passed = self.compiled.not_applicable
        for (action, field), count in passed.items():
            NOT_APPLICABLE.labels(self.id, action, field).inc(count)
        passed.clear()

    def look_for_retries(self) -> None:
        """Retries came from elsewhere (a replay): look at once."""
        self.intake.look_again()
        self._wake.set()

    def start(self) -> None:
        self._unlisten = self._feed.listen(self._grew)
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
            progressed = self.intake.read()
            self.intake.take_due()
        if progressed:
            self.active = time.monotonic()
        self._wait_full = self.intake.full
        wait = self._dispatch(linger=progressed or bool(self._in_flight))
        if self._stopping and not self._in_flight and (not self._batcher.rows or wait > 0):
            return True
        if progressed:
            await asyncio.sleep(0)
        else:
            await self._sleep(wait)
        return False

    def _grew(self) -> None:
        """The log has more. Under load it grows all the time: a look every 5 ms takes many at once,
        and answers keep the requests going meanwhile."""
        if not self._in_flight:
            self._wake.set()
        elif self._growth is None:
            loop = asyncio.get_running_loop()
            self._growth = loop.call_later(_BUSY_POLL, self._look_at_growth)

    def _look_at_growth(self) -> None:
        self._growth = None
        self._wake.set()

    async def _sleep(self, wait: float) -> None:
        """Until something happens, or a retry is due."""
        if wait > _IDLE_POLL:
            wait = self.intake.until_due() or _IDLE_POLL
        with suppress(TimeoutError):
            async with asyncio.timeout(min(wait, _IDLE_POLL)):
                await self._wake.wait()

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
            self.active = now
            self.settler.flying_bytes += batch.bytes
            task = asyncio.get_running_loop().create_task(self._send(batch))
            self._in_flight.add(task)
            task.add_done_callback(self._sent)
            linger = linger or self.gate.concurrency > 1

    def _until_next_batch(self, now: float) -> float:
        waits = [_IDLE_POLL]
        if (due := self._batcher.next_due()) is not None:
            waits.append(max(due - now, 0.001))
        if (seconds := self.intake.until_due()) is not None:
            waits.append(seconds)
        return min(waits)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        may_read = self._stopping or (self._wait_full and not self.intake.full)
        if may_read or self._dispatch(linger=True) < _IDLE_POLL:
            self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error(
                "settling failed; its events are read again after a restart",
                exc_info=error,
                extra={"destination": self.id},
            )

    async def _send(self, batch: Batch) -> None:
        rows = batch.rows
        started = time.monotonic()
        try:
            reply = await self._attempt(rows)
        finally:
            self.settler.flying_bytes -= batch.bytes
            self.active = time.monotonic()
        self._seconds.observe(self.active - started)
        again = await self.settler.settle(rows, reply)
        if (due_ms := self.settler.soonest_ms) is not None:
            self.settler.soonest_ms = None
            self.intake.look_again(due_ms)
        for part in again:
            self._batcher.put_back(part, time.monotonic())

    async def _attempt(self, rows: list[Row]) -> Reply:
        compiled = self.compiled
        try:
            if compiled.sink is not None:
                reply = await compiled.sink.send(rows)
            elif compiled.needs_send(rows[0].action):
                reply = await compiled.send(rows, self._http)
            else:
                reply = await self._post(rows)
        except Unreachable as error:
            reply = Reply([Verdict(Outcome.retry, str(error))] * len(rows))
        except Exception as error:
            _log.exception("sending failed", extra={"destination": self.id})
            reason = compiled.redact(f"{type(error).__name__}: {error}")
            reply = Reply([Verdict(Outcome.retry, reason)] * len(rows))
        self._requests[reply.verdicts[0].outcome].inc()
        return reply

    async def _post(self, rows: list[Row]) -> Reply:
        compiled = self.compiled
        request = compiled.request(rows, int(time.time() * 1000))
        answer = await self._transport.send(request, compiled.timeout, self._public_only)
        reply = compiled.judge(rows, answer.status, answer.headers, answer.body)
        reply.status = answer.status
        if not all_delivered(reply):
            text = answer.body[: 4 * _ANSWER_CHARS].decode(errors="replace")
            reply.answer = compiled.redact(text)[:_ANSWER_CHARS]
        return reply


class _Http:
    """The transport as destinations with several requests a row use it (destinations/http.py)."""

    def __init__(self, transport: Transport, seconds: float, public_only: bool) -> None:
        self._transport, self._seconds, self._public_only = transport, seconds, public_only

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        request = Request(method, url, dict(headers), body)
        answer = await self._transport.send(request, self._seconds, self._public_only)
        return answer.status, answer.headers, answer.body
