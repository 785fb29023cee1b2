"""All destinations of a workspace: started, replaced on reload, watched, stopped."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

from router.delivery.consumer import Consumer
from router.delivery.dead_letters import DeadLetter, DeadLetters
from router.delivery.gate import Gate
from router.delivery.settle import Settler
from router.delivery.tracker import Tracker
from router.delivery.transport import Transport
from router.destinations import Compiled
from router.event import restore_event
from router.log.feed import Feed
from router.metrics import LAG_EVENTS, OLDEST_SECONDS, PAUSED, QUEUED_ROWS, RETRYING
from router.store import Retry, Store
from router.workspace.models import Destination, Workspace

_log = logging.getLogger(__name__)
_WATCH_SECONDS = 1.0


class Fleet:
    """The consumers by destination id. Lives on one loop."""

    def __init__(self, feed: Feed, store: Store, dead_letters: DeadLetters) -> None:
        self._feed, self._store, self.dead_letters = feed, store, dead_letters
        self._transport: Transport | None = None
        self.consumers: dict[str, Consumer] = {}
        self._instances: dict[str, Destination] = {}
        self._workspace: Workspace | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    async def start(self, workspace: Workspace, compiled: dict[str, Compiled]) -> None:
        self._transport = Transport()
        await self.apply(workspace, compiled)
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def apply(self, workspace: Workspace, compiled: dict[str, Compiled]) -> None:
        """Bring the consumers in line with `workspace`; those that did not change run on."""
        async with self._lock:
            before = self._workspace
            self._workspace = workspace
            same_defaults = before is not None and (
                before.settings.delivery == workspace.settings.delivery
            )
            gone = [
                id_
                for id_ in self.consumers
                if not same_defaults
                or compiled.get(id_) is None
                or self._instances.get(id_) != workspace.destinations.get(id_)
            ]
            await asyncio.gather(*(self._stop_one(id_) for id_ in gone))
            for id_, one in compiled.items():
                if id_ not in self.consumers:
                    self._start_one(id_, one, workspace)
            self._forget_removed(workspace)

    def _forget_removed(self, workspace: Workspace) -> None:
        for id_ in self._store.cursors():
            if id_ not in workspace.destinations:
                _log.info(
                    "destination was removed, its cursor is dropped", extra={"destination": id_}
                )
                self._store.forget(id_)

    def _start_one(self, id_: str, compiled: Compiled, workspace: Workspace) -> None:
        instance = workspace.destinations[id_]
        log = self._feed.log
        cursor = self._store.cursor(id_)
        if cursor is None:
            self._store.set_cursor(id_, log.start if instance.start == "earliest" else log.end)
        elif cursor < log.start:
            _log.error(
                "events were removed from the log before this destination got them",
                extra={"destination": id_, "lost": log.start - cursor},
            )
            self._store.set_cursor(id_, log.start)
        elif cursor > log.end:
            _log.warning(
                "cursor is past the log's end, starting there",
                extra={"destination": id_, "cursor": cursor, "end": log.end},
            )
            self._store.set_cursor(id_, log.end)
        sources = None if "*" in instance.sources else frozenset(instance.sources)
        assert self._transport is not None

        def make_settler(tracker: Tracker, gate: Gate) -> Settler:
            return Settler(
                id_, tracker, gate, self._store, self.dead_letters, workspace.settings.delivery
            )

        consumer = Consumer(
            compiled, sources, self._feed, self._store, self._transport, make_settler
        )
        self.consumers[id_] = consumer
        self._instances[id_] = instance
        consumer.start()

    async def _stop_one(self, id_: str) -> None:
        consumer = self.consumers.pop(id_)
        grace = self._workspace.settings.delivery.grace_seconds if self._workspace else 0.0
        await consumer.stop(grace)
        consumer.settler.save_cursor()

    async def stop(self) -> None:
        """Settle what is in flight within the grace period, save cursors."""
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
        async with self._lock:
            await asyncio.gather(*(self._stop_one(id_) for id_ in list(self.consumers)))
        await self._store.flush()
        if self._transport is not None:
            await self._transport.close()

    def floor(self, without: frozenset[str] = frozenset()) -> int:
        """Offset below which no destination of the workspace needs the log, enabled or not;
        those in `without` do not count."""
        known = self._workspace.destinations if self._workspace else {}
        cursors = [
            cursor
            for id_, cursor in self._store.cursors().items()
            if id_ in known and id_ not in without
        ]
        return min([*cursors, self._feed.log.end])

    async def _watch(self) -> None:
        while True:
            self.measure()
            await asyncio.sleep(_WATCH_SECONDS)

    def measure(self) -> None:
        """Refresh the gauges of every destination."""
        now_ms = time.time() * 1000
        for id_, consumer in self.consumers.items():
            lag = consumer.lag
            LAG_EVENTS.labels(id_).set(lag)
            OLDEST_SECONDS.labels(id_).set(self.oldest_age(id_, now_ms))
            QUEUED_ROWS.labels(id_).set(consumer.queued_rows)
            RETRYING.labels(id_).set(self._store.retry_count(id_))
            PAUSED.labels(id_).set(0 if consumer.gate.open else 1)

    def oldest_age(self, id_: str, now_ms: float) -> float:
        """Seconds since the receipt of the first event `id_` has not settled; 0 without one."""
        consumer = self.consumers[id_]
        if not consumer.lag:
            return 0.0
        events = self._feed.read(consumer.tracker.cursor, 1)
        return max(now_ms - events[0].time_ms, 0.0) / 1000 if events else 0.0

    def state(self) -> list[dict[str, object]]:
        """One plain dict a destination, for the API and the command line."""
        now_ms = time.time() * 1000
        return [
            {
                "id": id_,
                "destination": consumer.compiled.slug,
                "cursor": consumer.tracker.cursor,
                "lagEvents": consumer.lag,
                "oldestUndeliveredSeconds": round(self.oldest_age(id_, now_ms), 3),
                "queuedRows": consumer.queued_rows,
                "retrying": self._store.retry_count(id_),
                "heldBack": consumer.gate.reason,
                "lastError": consumer.settler.last_error,
            }
            for id_, consumer in self.consumers.items()
        ]

    async def replay_dead_letters(self, destination: str, ids: set[str] | None) -> int:
        """Hand dead letters back to the retry store, due at once. Returns how many."""
        letters = await asyncio.to_thread(lambda: list(self.dead_letters.list(destination)))
        chosen = [letter for letter in letters if ids is None or letter.id in ids]
        now_ms = int(time.time() * 1000)
        for letter in chosen:
            self._store.add_retry(destination, now_ms, _retry_of(letter, now_ms))
        await self._store.flush()
        await asyncio.to_thread(
            self.dead_letters.remove, destination, {letter.id for letter in chosen}
        )
        if (consumer := self.consumers.get(destination)) is not None:
            consumer.look_for_retries()
        return len(chosen)


def _retry_of(letter: DeadLetter, now_ms: int) -> Retry:
    offset, part = (int(number) for number in letter.id.split("-"))
    event = restore_event(bytes(letter.event), offset, letter.source, letter.received_at)
    return Retry(
        offset,
        event.source,
        event.kind,
        event.flags,
        event.raw,
        event.time_ms,
        part,
        1,
        now_ms,
        "replayed",
    )
