"""What happened to one event at every destination: what `router trace` and the API tell."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
import orjson

from router._fast.envelope import format_time
from router.destinations import Compiled, NotApplicable
from router.event import Event
from router.log import EventLog
from router.log.search import find_message
from router.store import Retry

_KEPT = 100_000
_MOST_LETTERS = 100


class Delivered:
    """When the last 100,000 rows of one destination were delivered, by their event's offset.

    16 bytes a row.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._offsets = array("q")
        self._times = array("q")

    def add_many(self, offsets: array[int], time_ms: int) -> None:
        """Rows of the events at `offsets` were delivered at `time_ms`."""
        self._offsets.extend(offsets)
        self._times.extend(array("q", (time_ms,)) * len(offsets))
        if len(self._offsets) > self._kept + self._kept // 4:
            del self._offsets[: -self._kept], self._times[: -self._kept]

    def find(self, offset: int) -> int | None:
        """When the event's last row was delivered, in ms, or None where that is not known."""
        backwards = self._offsets[::-1]
        try:
            return self._times[-1 - backwards.index(offset)]
        except ValueError:
            return None


class Waiting(Protocol):
    """The retry store; `router.store` has it."""

    def cursor(self, destination: str) -> int | None: ...
    def find(self, destination: str, offset: int) -> list[tuple[int, Retry]]: ...


class Station(msgspec.Struct, kw_only=True):
    """A running destination, as far as a trace has to know it."""

    compiled: Compiled
    sources: frozenset[str] | None
    """None: all."""
    cursor: int
    """Offset of the first event that is not settled."""
    position: int
    """Offset of the first event not read yet."""
    held_back: str
    """Why nothing is sent now; "" where something is."""
    delivered: Delivered


def at_station(
    event: Event,
    id_: str,
    station: Station | None,
    cursor: int | None,
    letters: list[dict[str, Any]],
    retries: list[tuple[int, Retry]],
) -> dict[str, Any]:
    """What became of the event at one destination: `station` while it runs, else `cursor` counts;
    `letters` and `retries` are those of this event there.

    `state` is one of "dead", "retrying", "filtered", "unmappable", "waiting", "in flight",
    "delivered" and "settled". Whether it is for the destination at all is told by the workspace as
    it is now, whatever it was then.
    """
    found: dict[str, Any] = {"destination": id_}
    if letters:
        return found | {"state": "dead", "reason": letters[-1]["reason"], "letters": letters}
    if retries:
        return found | {"state": "retrying", "retries": [_describe(*each) for each in retries]}
    if station is None:
        return found | _at_disabled(event, cursor)
    if delivered_ms := station.delivered.find(event.offset):
        return found | {"state": "delivered", "deliveredAt": format_time(delivered_ms)}
    if why_not := _not_for(event, station):
        return found | why_not
    if event.offset >= station.position:
        before = event.offset - station.position
        held_back = {"heldBack": station.held_back} if station.held_back else {}
        return found | {"state": "waiting", "eventsBefore": before} | held_back
    if event.offset >= station.cursor:
        return found | {"state": "in flight", "cursor": station.cursor}
    return found | {"state": "settled", "cursor": station.cursor}


def _at_disabled(event: Event, cursor: int | None) -> dict[str, Any]:
    """Of a destination that does not run: "waiting" means for it to be enabled."""
    if cursor is None:
        return {"state": "waiting", "disabled": True}
    if event.offset >= cursor:
        return {"state": "waiting", "disabled": True, "eventsBefore": event.offset - cursor}
    return {"state": "settled", "disabled": True, "cursor": cursor}


def _not_for(event: Event, station: Station) -> dict[str, Any]:
    """Why the event makes no row for the destination; {} where it does."""
    if station.sources is not None and event.source not in station.sources:
        return {"state": "filtered", "reason": "source"}
    try:
        rows = station.compiled.map(event)
    except NotApplicable as error:
        return {"state": "unmappable", "reason": str(error)}
    except Exception as error:
        reason = station.compiled.redact(f"{type(error).__name__}: {error}")
        return {"state": "unmappable", "reason": reason}
    if isinstance(rows, str):
        return {"state": "filtered", "reason": rows}
    return {} if rows else {"state": "filtered", "reason": "no_action"}


def _describe(due_ms: int, retry: Retry) -> dict[str, Any]:
    """A row that waits. One without a time waits for an earlier event of its user."""
    return {
        "row": retry.part,
        "attempts": retry.attempts,
        "nextAttempt": format_time(due_ms) if due_ms else None,
        "reason": retry.reason,
    }


def find_letters(folder: Path, offset: int) -> list[dict[str, Any]]:
    """The dead letters of one event, oldest first, at most 100, found by their bytes: only those
    are decoded. Without the event itself, which the trace shows once. Blocking.
    """
    mark, found = b'"id":"%d-' % offset, []
    for path in sorted(folder.glob("*.jsonl")):
        with path.open("rb") as file:
            for line in file:
                if mark in line and (letter := _letter(line, offset)) is not None:
                    found.append(letter)
                    if len(found) == _MOST_LETTERS:
                        return found
    return found


def _letter(line: bytes, offset: int) -> dict[str, Any] | None:
    try:
        letter: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    letter.pop("event", None)
    return letter if str(letter.get("id", "")).startswith(f"{offset}-") else None


class Tracer:
    """Follows a messageId through a running router.

    `stations` gives the destinations of the workspace by id, None for one that does not run;
    `rejected` what the edge has refused under an id; `remembered` the sources at which
    it would be dropped as a duplicate now.
    """

    def __init__(
        self,
        log: EventLog,
        store: Waiting,
        letters: Path,
        stations: Callable[[], dict[str, Station | None]],
        rejected: Callable[[str], Awaitable[list[dict[str, Any]]]],
        remembered: Callable[[str], list[str]],
    ) -> None:
        self._log, self._store, self._letters = log, store, letters
        self._stations, self._rejected, self._remembered = stations, rejected, remembered

    async def trace(self, message_id: str, since_ms: int = 0) -> dict[str, Any]:
        """What is known of `message_id`, as plain data: "rejected", "remembered", "log" (how far
        it was searched) and "events", each with its "destinations"."""
        rejected = await self._rejected(message_id)
        segments = self._log.segments()
        found = await asyncio.to_thread(find_message, segments, message_id, since_ms)
        return {
            "messageId": message_id,
            "rejected": rejected,
            "remembered": self._remembered(message_id),
            "log": {
                "start": self._log.start,
                "end": self._log.end,
                "searchedFrom": found.searched_from,
                "complete": found.complete,
            },
            "events": [await self._follow(event) for event in found.events],
        }

    async def _follow(self, event: Event) -> dict[str, Any]:
        destinations = []
        for id_, station in self._stations().items():
            letters = await asyncio.to_thread(find_letters, self._letters / id_, event.offset)
            retries = await asyncio.to_thread(self._store.find, id_, event.offset)
            cursor = self._store.cursor(id_)
            destinations.append(at_station(event, id_, station, cursor, letters, retries))
        return {
            "offset": event.offset,
            "source": event.source,
            "receivedAt": format_time(event.time_ms),
            "event": event.data,
            "destinations": destinations,
        }
