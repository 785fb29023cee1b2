"""What an answer means for each row: settled, tried again later, split, or a dead letter."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter

import msgspec

from router.delivery.batch import Pending
from router.delivery.dead_letters import DeadLetter, DeadLetters
from router.delivery.gate import Gate, retry_delay
from router.delivery.tracker import Tracker
from router.destinations.outcome import Outcome, Reply, Verdict
from router.metrics import DEAD, DELIVERED, LATENCY, RETRIED
from router.store import Retry, Store
from router.workspace.models import Delivery

_log = logging.getLogger(__name__)
_HELD_BACK = (Outcome.throttled, Outcome.pause, Outcome.reauth)


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
    ) -> None:
        self.destination = destination
        self._tracker, self._gate, self._store = tracker, gate, store
        self._dead_letters, self._settings = dead_letters, settings
        self.outstanding = 0
        """Rows mapped and not settled yet."""
        self.last_error = ""
        self._delivered = DELIVERED.labels(destination)
        self._latency = LATENCY.labels(destination)
        self._refused: list[tuple[Pending, str]] = []
        self._refusing: asyncio.Task[None] | None = None

    def save_cursor(self) -> None:
        self._store.set_cursor(self.destination, self._tracker.cursor)

    async def settle(self, pending: list[Pending], reply: Reply) -> list[list[Pending]]:
        """Returns the batches that have to be sent again at once or when the gate opens."""
        self._tell_gate(reply)
        if _refused_whole(reply):
            reply = Reply([Verdict(Outcome.split, v.reason) for v in reply.verdicts])
        again: list[Pending] = []
        dead: list[tuple[Pending, str]] = []
        settled: list[Pending] = []
        for item, verdict in zip(pending, reply.verdicts, strict=True):
            if verdict.outcome is Outcome.delivered:
                settled.append(item)
            elif verdict.outcome is Outcome.retry:
                if not self._retry(item, verdict.reason, reply.retry_after):
                    dead.append((item, verdict.reason))
            elif verdict.outcome is Outcome.dropped:
                dead.append((item, verdict.reason))
            else:
                again.append(item)
        self._deliver(settled)
        if dead:
            await self._bury(dead)
        self.save_cursor()
        if not again:
            return []
        if reply.verdicts[0].outcome in _HELD_BACK or len(again) < len(pending):
            return [again]
        return await self._split(again, reply.verdicts[0].reason)

    async def _split(self, rows: list[Pending], reason: str) -> list[list[Pending]]:
        if len(rows) > 1:
            middle = len(rows) // 2
            return [rows[middle:], rows[:middle]]
        await self._bury([(rows[0], reason)])
        self.save_cursor()
        return []

    def _tell_gate(self, reply: Reply) -> None:
        now = time.monotonic()
        outcomes = {verdict.outcome for verdict in reply.verdicts}
        first = reply.verdicts[0]
        if outcomes & {Outcome.delivered, Outcome.dropped, Outcome.split}:
            self._gate.succeed()
            return
        self.last_error = first.reason
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

    def _deliver(self, settled: list[Pending]) -> None:
        if not settled:
            return
        now_ms = time.time() * 1000
        latencies = Counter([item.row.event.time_ms for item in settled])
        first = [item.row.event.offset for item in settled if not item.retry_key]
        self._tracker.settle_all(first)
        self.outstanding -= len(first)
        for item in settled if len(first) < len(settled) else ():
            if item.retry_key:
                self._finish(item)
        for time_ms, count in latencies.items():
            self._latency.observe_many(max(now_ms - time_ms, 0.0) / 1000, count)
        self._delivered.inc(len(settled))

    def _finish(self, item: Pending) -> None:
        """The row needs nothing more: neither the cursor nor the retry store waits for it."""
        self.outstanding -= 1
        if item.retry_key:
            self._store.remove_retry(self.destination, item.retry_key)
        else:
            self._tracker.settle(item.row.event.offset)

    def _retry(self, item: Pending, reason: str, retry_after: float | None) -> bool:
        """Keep the row for another attempt; False where it is too old for one."""
        now_ms = int(time.time() * 1000)
        first_ms = item.first_ms or now_ms
        settings = self._settings
        if now_ms - first_ms > settings.retry_hours * 3_600_000:
            return False
        delay = retry_delay(item.attempts, settings.retry_first_seconds, settings.retry_max_seconds)
        delay = max(delay, retry_after or 0.0)
        event = item.row.event
        self._store.add_retry(
            self.destination,
            now_ms + int(delay * 1000),
            Retry(
                event.offset,
                event.source,
                event.kind,
                event.flags,
                event.raw,
                event.time_ms,
                item.part,
                item.attempts + 1,
                first_ms,
                reason,
            ),
        )
        self._finish(item)
        RETRIED.labels(self.destination, _label(reason)).inc()
        return True

    def refuse(self, pending: Pending, reason: str) -> None:
        """Dead-letter an event that could not be mapped, soon and off the loop."""
        self.outstanding += 1
        self._refused.append((pending, reason))
        if self._refusing is None:
            self._refusing = asyncio.get_running_loop().create_task(self._bury_refused())

    async def _bury_refused(self) -> None:
        while self._refused:
            refused, self._refused = self._refused, []
            await self._bury(refused)
            self.save_cursor()
        self._refusing = None

    async def _bury(self, dead: list[tuple[Pending, str]]) -> None:
        """Write dead letters; a disk without room is waited for, since nothing may be lost."""
        letters = [self._letter(item, reason) for item, reason in dead]
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
            _log.error(
                "old dead letters made room for new ones",
                extra={"destination": self.destination, "lost": lost},
            )
        for item, reason in dead:
            self._finish(item)
            DEAD.labels(self.destination, _label(reason)).inc()
        self.last_error = dead[-1][1]

    def _letter(self, item: Pending, reason: str) -> DeadLetter:
        event, now_ms = item.row.event, int(time.time() * 1000)
        return DeadLetter(
            id=f"{event.offset}-{item.part}",
            time=now_ms,
            destination=self.destination,
            message_id=event.message_id,
            source=event.source,
            reason=reason,
            attempts=item.attempts + 1,
            first_attempt=item.first_ms or now_ms,
            received_at=event.time_ms,
            event=msgspec.Raw(event.raw),
        )


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
