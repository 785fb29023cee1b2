"""The log as events: consumers that are caught up share one unpacking and one decoding of each."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from router.errors import LogCorrupt
from router.event import Event, unpack_block
from router.log import EventLog, Record

_log = logging.getLogger(__name__)
_CACHE_BYTES = 4 * 1024 * 1024


class Feed:
    """Reads events for any number of consumers and wakes them when the log grows."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self._cache: OrderedDict[int, tuple[int, list[Event]]] = OrderedDict()
        self._cached_bytes = 0
        self._listeners: set[Callable[[], None]] = set()
        self._pump: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._pump = asyncio.get_running_loop().create_task(self._wake_listeners())

    async def stop(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            with suppress(asyncio.CancelledError):
                await self._pump

    async def _wake_listeners(self) -> None:
        while True:
            await self.log.wait(self.log.end)
            for listener in self._listeners:
                listener()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when the log has grown; returns what ends it."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def read(self, offset: int, max_bytes: int) -> list[Event]:
        """Durable events from `offset`, about `max_bytes` of them; [] at the end.

        A frame or block that cannot be read is skipped, and said so in the process's log.
        """
        while True:
            try:
                records = self.log.read(max(offset, self.log.start), max_bytes)
            except LogCorrupt as error:
                offset = self.log.skip_corrupt(offset)
                _log.error(
                    "skipped a damaged part of the log",
                    extra={"error": str(error), "next_offset": offset},
                )
                continue
            events: list[Event] = []
            for record in records:
                events += self._unpack(record)
            if events and events[0].offset < offset:
                events = [event for event in events if event.offset >= offset]
            return events

    def _unpack(self, record: Record) -> list[Event]:
        cached = self._cache.get(record.offset)
        if cached is not None:
            return cached[1]
        try:
            block = unpack_block(record.payload)
        except ValueError as error:
            _log.error(
                "skipped a block that is none", extra={"error": str(error), "offset": record.offset}
            )
            return []
        events = [
            Event(record.offset + index, block.source, kind, flags, raw, record.time_ms)
            for index, (kind, flags, raw) in enumerate(
                zip(block.kinds, block.flags, block.events, strict=True)
            )
        ]
        self._keep(record.offset, len(record.payload), events)
        return events

    def _keep(self, offset: int, size: int, events: list[Event]) -> None:
        self._cache[offset] = (size, events)
        self._cached_bytes += size
        while self._cached_bytes > _CACHE_BYTES:
            _, (old, _) = self._cache.popitem(last=False)
            self._cached_bytes -= old
