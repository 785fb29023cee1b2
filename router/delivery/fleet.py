"""All destinations of a workspace: started, replaced on reload, watched, stopped."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from datetime import datetime

from router.delivery.consumer import Consumer
from router.delivery.dead_letters import DeadLetter, DeadLetters
from router.delivery.overview import Overview
from router.delivery.transport import Transport
from router.destinations import Compiled
from router.event import restore_event
from router.log.feed import Feed
from router.metrics import (
    LAG_EVENTS,
    OLDEST_SECONDS,
    PAUSED,
    QUEUED_ROWS,
    RETRIES_FULL,
    RETRYING,
    SACRIFICED,
    STALLED,
)
from router.store import Retry, Store
from router.workspace.models import Destination, Workspace

_log = logging.getLogger(__name__)
_WATCH_SECONDS = 1.0
_LEAST_QUEUE, _MOST_QUEUE = 256 * 1024, 8 * 1024 * 1024


class Fleet:
    """The consumers by destination id. Lives on one loop."""

    def __init__(
        self, feed: Feed, store: Store, dead_letters: DeadLetters, overview: Overview
    ) -> None:
        self._feed, self._store, self.dead_letters = feed, store, dead_letters
        self.overview = overview
        self._transport: Transport | None = None
        self.consumers: dict[str, Consumer] = {}
        self._instances: dict[str, Destination] = {}
        self._workspace: Workspace | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._stalled: set[str] = set()

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
            for id_ in workspace.destinations:
                self._place_cursor(id_, workspace.destinations[id_])
            for id_, one in compiled.items():
                if id_ not in self.consumers:
                    self._start_one(id_, one, workspace)
            self._share_memory(workspace)
            self._forget_removed(workspace)

    def _share_memory(self, workspace: Workspace) -> None:
        """Each destination gets an equal part of the bytes that may be queued."""
        share = workspace.settings.delivery.queue_bytes // max(len(self.consumers), 1)
        for consumer in self.consumers.values():
            consumer.intake.queue_bytes = min(max(share, _LEAST_QUEUE), _MOST_QUEUE)

    def _forget_removed(self, workspace: Workspace) -> None:
        for id_ in self._store.cursors():
            if id_ not in workspace.destinations:
                _log.info(
                    "destination was removed, its cursor is dropped", extra={"destination": id_}
                )
                self._store.forget(id_)

    def _place_cursor(self, id_: str, instance: Destination) -> None:
        """Where the destination goes on, enabled or not: one that is off keeps its place too."""
        log = self._feed.log
        cursor = self._store.cursor(id_)
        if cursor is None:
            self._store.set_cursor(id_, self._first(instance.start))
        elif id_ in self.consumers:
            return
        elif cursor < log.start:
            SACRIFICED.labels(id_).inc(log.start - cursor)
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

    def _first(self, start: str) -> int:
        """The offset at which a new destination begins."""
        log = self._feed.log
        if start == "now":
            return log.end
        if start == "earliest":
            return log.start
        return self._feed.log.offset_at(int(datetime.fromisoformat(start).timestamp() * 1000))

    def _start_one(self, id_: str, compiled: Compiled, workspace: Workspace) -> None:
        instance = workspace.destinations[id_]
        assert self._transport is not None
        consumer = Consumer(
            compiled, instance, workspace.settings.delivery, self._feed, self._store,
            self._transport, self.dead_letters, self.overview.of(id_),
        )  # fmt: skip
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
            try:
                self.measure()
                self._find_stalled()
            except Exception:
                _log.exception("watching the destinations failed, going on")
            await asyncio.sleep(_WATCH_SECONDS)

    def measure(self) -> None:
        """Refresh the gauges of every destination, enabled or not."""
        now_ms = time.time() * 1000
        for id_ in self._workspace.destinations if self._workspace else ():
            lag, retrying, oldest = self._lag(id_), self._waiting(id_), self.oldest_age(id_, now_ms)
            LAG_EVENTS.labels(id_).set(lag)
            OLDEST_SECONDS.labels(id_).set(oldest)
            RETRYING.labels(id_).set(retrying)
            self.overview.of(id_).waiting(lag, retrying, oldest)
            consumer = self.consumers.get(id_)
            QUEUED_ROWS.labels(id_).set(consumer.queued_rows if consumer else 0)
            PAUSED.labels(id_).set(0 if consumer and consumer.gate.open else 1)
            if consumer:
                consumer.count_passed_over()
            RETRIES_FULL.labels(id_).set(bool(consumer and consumer.settler.retries_full))

    def _find_stalled(self) -> None:
        """What could go and does not is an error of ours: said once, and told by `/ready`."""
        assert self._workspace is not None
        limit, now = self._workspace.settings.delivery.stalled_seconds, time.monotonic()
        stalled = {id_ for id_, consumer in self.consumers.items() if consumer.stalled(now) > limit}
        for id_ in self._workspace.destinations:
            STALLED.labels(id_).set(id_ in stalled)
        for id_ in stalled - self._stalled:
            _log.error(
                "events wait and none is tried",
                extra={
                    "destination": id_,
                    "seconds": round(self.consumers[id_].stalled(now)),
                    "waiting": self._lag(id_) + self._waiting(id_),
                },
            )
        for id_ in self._stalled - stalled:
            _log.info("events are tried again", extra={"destination": id_})
        self._stalled = stalled

    @property
    def trouble(self) -> str:
        """Which destinations are stuck, for `/ready`; "" if none is."""
        if not self._stalled:
            return ""
        return f"events wait and none is tried: {', '.join(sorted(self._stalled))}"

    def _lag(self, id_: str) -> int:
        consumer = self.consumers.get(id_)
        cursor = consumer.tracker.cursor if consumer else self._store.cursor(id_)
        return self._feed.log.end - (self._feed.log.end if cursor is None else cursor)

    def _waiting(self, id_: str) -> int:
        return self._store.retry_count(id_) + self._store.held_count(id_)

    def oldest_age(self, id_: str, now_ms: float) -> float:
        """Seconds since the receipt of the oldest event that `id_` has neither delivered nor given
        up, in the log or waiting for another try; 0 without one."""
        oldest = self._store.oldest_waiting(id_)
        if lag := self._lag(id_):
            events = self._feed.read(self._feed.log.end - lag, 1)
            if events:
                oldest = min(events[0].time_ms, oldest or events[0].time_ms)
        return max(now_ms - oldest, 0.0) / 1000 if oldest is not None else 0.0

    def state(self) -> list[dict[str, object]]:
        """One plain dict a destination, for the API and the command line."""
        now_ms = time.time() * 1000
        known = self._workspace.destinations if self._workspace else {}
        return [self._state_of(id_, instance, now_ms) for id_, instance in known.items()]

    def _state_of(self, id_: str, instance: Destination, now_ms: float) -> dict[str, object]:
        consumer = self.consumers.get(id_)
        return {
            "id": id_,
            "destination": instance.destination,
            "state": self._word(id_, consumer),
            "cursor": consumer.tracker.cursor if consumer else self._store.cursor(id_),
            "lagEvents": self._lag(id_),
            "oldestUndeliveredSeconds": round(self.oldest_age(id_, now_ms), 3),
            "queuedRows": consumer.queued_rows if consumer else 0,
            "retrying": self._waiting(id_),
            "heldBack": consumer.gate.reason if consumer else "",
            "lastError": consumer.settler.last_error if consumer else "",
        }

    def _word(self, id_: str, consumer: Consumer | None) -> str:
        if consumer is None:
            return "disabled"
        if id_ in self._stalled:
            return "stalled"
        if consumer.settler.waits_for_room:
            return "retries full"
        return "running" if consumer.gate.open else "held back"

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
        since_ms=now_ms,
    )
