"""What an answer means for each row: settled, tried again later, split, or a dead letter."""

from __future__ import annotations

import asyncio
import logging
import time
from array import array
from collections import Counter

import msgspec

from router.delivery.dead_letters import DeadLetter, DeadLetters
from router.delivery.gate import Gate, retry_delay
from router.delivery.order import Order
from router.delivery.overview import Record
from router.delivery.trace import Delivered
from router.delivery.tracker import Tracker
from router.destinations.outcome import Outcome, Reply, Verdict
from router.destinations.request import Row
from router.metrics import DEAD, DEAD_DROPPED, DELIVERED, LATENCY, RETRIED
from router.store import Retry, Store
from router.workspace.models import Delivery

_log = logging.getLogger(__name__)
_HELD_BACK = (Outcome.throttled, Outcome.pause, Outcome.reauth)
_FULL = "no room in the retry store"


class Settler:
    """Applies verdicts to one destination's cursor, retries and dead letters."""

    def __init__(
        self,
        destination: str,
        tracker: Tracker,
        gate: Gate,
        store: Store,
        dead_letters: DeadLetters,
        settings: Delivery,
        record: Record,
    ) -> None:
        self.destination = destination
        self._tracker, self._gate, self._store = tracker, gate, store
        self._dead_letters, self._settings = dead_letters, settings
        self.record = record
        """The destination's part of the overview."""
        self.delivered = Delivered()
        """When the last events were delivered, for the trace."""
        self.order: Order | None = None
        """The destination's lanes, where it is ordered."""
        self.out: set[bytes] = set()
        """Keys of waiting rows that are in memory now."""
        self.outstanding = 0
        """Rows mapped and not settled yet."""
        self.flying_bytes = 0
        """Bytes of the rows that are in requests now."""
        self.soonest_ms: int | None = None
        """When the first of the retries added since the last look is due."""
        self.last_error = ""
        self._delivered = DELIVERED.labels(destination)
        self._latency = LATENCY.labels(destination)
        self._refused: list[tuple[Row, str]] = []
        self._refusing: asyncio.Task[None] | None = None

    @property
    def retries_full(self) -> bool:
        """No more rows may wait for another try."""
        store, id_ = self._store, self.destination
        waiting = store.retry_count(id_) + store.held_count(id_)
        return waiting >= self._settings.retry_events

    @property
    def waits_for_room(self) -> bool:
        """The retry store is full, and the operator wants reading to pause then."""
        return self._settings.on_retries_full == "wait" and self.retries_full

    def save_cursor(self) -> None:
        tracker = self._tracker
        self._store.move_cursor(self.destination, tracker.cursor, tracker.snapshot)

    async def settle(self, rows: list[Row], reply: Reply) -> list[list[Row]]:
        """Returns the batches that have to be sent again at once or when the gate opens."""
        if all_delivered(reply):
            self._gate.succeed(time.monotonic())
            self._deliver(rows)
            self.save_cursor()
            return []
        self._tell_gate(reply)
        if _refused_whole(reply):
            reply = msgspec.structs.replace(
                reply, verdicts=[Verdict(Outcome.split, v.reason) for v in reply.verdicts]
            )
        again: list[Row] = []
        dead: list[tuple[Row, str]] = []
        settled: list[Row] = []
        for row, verdict in zip(rows, reply.verdicts, strict=True):
            if verdict.outcome is Outcome.delivered:
                settled.append(row)
            elif verdict.outcome is Outcome.retry:
                if why := self._retry(row, verdict.reason, reply.retry_after):
                    dead.append((row, why))
            elif verdict.outcome is Outcome.dropped:
                dead.append((row, verdict.reason))
            else:
                again.append(row)
        self._deliver(settled)
        if dead:
            await self._bury(dead, reply)
        self.save_cursor()
        if not again:
            return []
        if reply.verdicts[0].outcome in _HELD_BACK or len(again) < len(rows):
            return [again]
        return await self._split(again, reply)

    async def _split(self, rows: list[Row], reply: Reply) -> list[list[Row]]:
        if len(rows) == 1:
            await self._bury([(rows[0], reply.verdicts[0].reason)], reply)
            self.save_cursor()
            return []
        if self.order is not None:
            halves = self.order.divide(rows)
        else:
            halves = [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
        # Put back to the front one by one: the first half has to come last.
        return halves[::-1]

    def _tell_gate(self, reply: Reply) -> None:
        now = time.monotonic()
        outcomes = {verdict.outcome for verdict in reply.verdicts}
        first = reply.verdicts[0]
        if outcomes & {Outcome.delivered, Outcome.dropped, Outcome.split}:
            self._gate.succeed(now)
            return
        self.last_error = first.reason
        self.record.error(first.reason)
        held_before = self._gate.reason
        if first.outcome is Outcome.throttled:
            self._gate.throttle(now, reply.retry_after, first.reason)
        elif first.outcome in (Outcome.pause, Outcome.reauth):
            self._gate.refuse(now, first.reason)
        else:
            self._gate.fail(now, first.reason)
        if self._gate.reason and not held_before:
            _log.warning(
                "destination is held back",
                extra={"destination": self.destination, "reason": first.reason},
            )

    def _deliver(self, settled: list[Row]) -> None:
        if not settled:
            return
        now_ms = time.time() * 1000
        count, again = len(settled), 0
        plain = self._tracker.settle_plain(settled)
        if plain is not None:
            offsets, received = plain
            self.outstanding -= count
        else:
            offsets = array("q", [row.event.offset for row in settled])
            received = Counter([row.event.time_ms for row in settled])
            for row in settled:
                again += row.attempts > 0
                self._finish(row)
        for time_ms, events in received.items():
            seconds = max(now_ms - time_ms, 0.0) / 1000
            self._latency.observe_many(seconds, events)
            self.record.latency(seconds, events)
        self._delivered.inc(count)
        self.record.delivered(count - again, again)
        self.delivered.add_many(offsets, int(now_ms))

    def _finish(self, row: Row) -> None:
        """The row needs nothing more: neither the cursor nor the store waits for it."""
        self._forget(row)
        if row.user and self.order is not None:
            self.order.done(row, time.monotonic())

    def _forget(self, row: Row) -> None:
        self.outstanding -= 1
        if row.stored:
            self._store.remove(self.destination, row.stored)
            self.out.discard(row.stored)
        else:
            self._tracker.settle(row.event.offset)

    def keep(self, row: Row) -> None:
        """Hold the row on disk behind an earlier one of its user."""
        if row.stored:
            self.outstanding -= 1
            self.out.discard(row.stored)
            return
        self._store.hold(self.destination, _waiting(row, row.first_ms, ""))
        self._forget(row)

    def _retry(self, row: Row, reason: str, retry_after: float | None) -> str:
        """Keep the row for another attempt, or say why it is dead instead."""
        now_ms = int(time.time() * 1000)
        first_ms = row.first_ms or now_ms
        settings = self._settings
        if now_ms - first_ms > settings.retry_hours * 3_600_000:
            return reason
        if not row.stored and settings.on_retries_full == "dead_letter" and self.retries_full:
            return f"{_FULL}: {reason}"
        delay = retry_delay(row.attempts, settings.retry_first_seconds, settings.retry_max_seconds)
        due_ms = now_ms + int(max(delay, retry_after or 0.0) * 1000)
        waiting = _waiting(row, first_ms, reason)
        waiting.attempts += 1
        if self.order is not None and row.user and self.order.failed(row):
            self._store.hold(self.destination, waiting)
        else:
            self._store.add_retry(self.destination, due_ms, waiting)
            self.soonest_ms = min(due_ms, self.soonest_ms or due_ms)
        self._forget(row)
        RETRIED.labels(self.destination, _label(reason)).inc()
        self.record.retried(_label(reason), 1)
        return ""

    def refuse(self, row: Row, reason: str) -> None:
        """Dead-letter an event that could not be mapped, soon and off the loop."""
        self.outstanding += 1
        self._refused.append((row, reason))
        if self._refusing is None:
            self._refusing = asyncio.get_running_loop().create_task(self._bury_refused())

    async def _bury_refused(self) -> None:
        while self._refused:
            refused, self._refused = self._refused, []
            await self._bury(refused)
            self.save_cursor()
        self._refusing = None

    async def _bury(self, dead: list[tuple[Row, str]], reply: Reply | None = None) -> None:
        """Write dead letters; a disk without room is waited for, since nothing may be lost."""
        letters = [self._letter(row, reason, reply) for row, reason in dead]
        while True:
            try:
                lost = await asyncio.to_thread(self._dead_letters.add, self.destination, letters)
                break
            except OSError as error:
                _log.error(
                    "dead letters cannot be written, trying again",
                    extra={"destination": self.destination, "error": str(error)},
                )
                await asyncio.sleep(1)
        if lost:
            DEAD_DROPPED.labels(self.destination).inc(lost)
            _log.error(
                "old dead letters made room for new ones",
                extra={"destination": self.destination, "lost": lost},
            )
        for row, reason in dead:
            self._finish(row)
            label = _label(reason)
            DEAD.labels(self.destination, label).inc()
            self.record.dead(label, 1)
        self.last_error = dead[-1][1]
        self.record.error(self.last_error)

    def _letter(self, row: Row, reason: str, reply: Reply | None) -> DeadLetter:
        event, now_ms = row.event, int(time.time() * 1000)
        return DeadLetter(
            id=f"{event.offset}-{row.part}",
            time=now_ms,
            destination=self.destination,
            message_id=event.message_id,
            source=event.source,
            reason=reason,
            status=reply.status if reply is not None else 0,
            answer=reply.answer if reply is not None else "",
            attempts=row.attempts + (reply is not None),
            first_attempt=row.first_ms or now_ms,
            received_at=event.time_ms,
            event=msgspec.Raw(event.raw),
        )


def _waiting(row: Row, first_ms: int, reason: str) -> Retry:
    event = row.event
    return Retry(
        event.offset, event.source, event.kind, event.flags, event.raw, event.time_ms,
        row.part, row.attempts, first_ms, reason, row.user,
    )  # fmt: skip


def all_delivered(reply: Reply) -> bool:
    """Was everything taken?"""
    verdicts = reply.verdicts
    first = verdicts[0]
    # Where one answer speaks for all rows, their verdicts are the same object: this compares ids.
    return first.outcome is Outcome.delivered and verdicts.count(first) == len(verdicts)


def _refused_whole(reply: Reply) -> bool:
    """True where a batch was refused as one, so that its culprit has to be found."""
    first = reply.verdicts[0]
    return (
        len(reply.verdicts) > 1
        and first.outcome is Outcome.dropped
        and all(v.outcome is Outcome.dropped and v.reason == first.reason for v in reply.verdicts)
    )


def _label(reason: str) -> str:
    """A reason short enough for a metric: what stands before the first colon, 40 characters."""
    return reason.split(":", 1)[0][:40]
