"""The log as events: consumers that are caught up share one unpacking and one decoding of each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from router.errors import LogCorrupt
from router.event import Event, unpack_events
from router.log import EventLog, Record

_log = logging.getLogger(__name__)


class Feed:
    """Reads events for any number of consumers and wakes them when the log grows."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
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

    @staticmethod
    def _unpack(record: Record) -> list[Event]:
        """The record's events; those of the log's newest records are made once for all."""
        if record.events is None:
            try:
                record.events = unpack_events(record.payload, record.offset, record.time_ms)
            except ValueError as error:
                _log.error(
                    "skipped a block that is none",
                    extra={"error": str(error), "offset": record.offset},
                )
                record.events = []
        return record.events
