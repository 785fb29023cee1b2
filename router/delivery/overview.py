"""What became of events, by destination and minute, for 14 days.

The hot path only adds to counters in memory. Once a minute they go, merged with what a run before
this one counted in the same minute, to an LMDB database of their own.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import exp, floor, log
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from router._fast.envelope import format_time

_log = logging.getLogger(__name__)
_MINUTE = struct.Struct(">I")
_MAP_BYTES = 8 * 1024**3
"""Address space, not disk: a destination takes about 4 MB in 14 days."""
KEPT_MINUTES = 14 * 24 * 60
_MOST_LABELS = 40
_ERROR_CHARS = 300

_LEAST_SECONDS = 0.0001
_GROWTH = 1.15
"""A bucket's upper bound by its lower: the value told for it is at most 7.3 % off."""
_LOG_LEAST, _LOG_GROWTH = log(_LEAST_SECONDS), log(_GROWTH)


class Minute(msgspec.Struct, array_like=True):
    """Counts of one destination in some span of time; how much waits is as it was at its end."""

    first: int = 0
    again: int = 0
    dead: dict[str, int] = {}
    retried: dict[str, int] = {}
    filtered: dict[str, int] = {}
    latency: dict[int, int] = {}
    """Events by bucket of their latency: `bucket_of`."""
    lag: int = 0
    retrying: int = 0
    oldest_seconds: float = 0.0
    error: str = ""
    error_ms: int = 0

    def merge(self, later: Minute) -> None:
        """Add what happened after it."""
        self.first += later.first
        self.again += later.again
        _add_all(self.dead, later.dead)
        _add_all(self.retried, later.retried)
        _add_all(self.filtered, later.filtered)
        _add_all(self.latency, later.latency)
        self.lag, self.retrying = later.lag, later.retrying
        self.oldest_seconds = later.oldest_seconds
        if later.error:
            self.error, self.error_ms = later.error, later.error_ms


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Minute).decode
_NOTHING = _encode(Minute())


def _add_all(counts: dict[Any, int], more: dict[Any, int]) -> None:
    for key, count in more.copy().items():
        counts[key] = counts.get(key, 0) + count


def bucket_of(seconds: float) -> int:
    """The bucket of a latency: 0 up to 0.1 ms, then each 15 % wider than the one before."""
    return 0 if seconds <= _LEAST_SECONDS else floor((log(seconds) - _LOG_LEAST) / _LOG_GROWTH) + 1


def percentiles(latency: dict[int, int], shares: tuple[float, ...]) -> list[float] | None:
    """Seconds below which each share of the events lies; None without events."""
    total = sum(latency.values())
    if not total:
        return None
    found: list[float] = []
    ordered = sorted(latency.items())
    for share in shares:
        left = share * total
        for bucket, count in ordered:
            left -= count
            if left <= 0:
                found.append(_seconds_of(bucket))
                break
    return found


def _seconds_of(bucket: int) -> float:
    """The geometric middle of a bucket."""
    if not bucket:
        return _LEAST_SECONDS
    return exp(_LOG_LEAST + (bucket - 0.5) * _LOG_GROWTH)


class Record:
    """Counts what happens at one destination. On the loop; every method is O(1)."""

    __slots__ = ("_clock", "minute")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.minute = Minute()

    def delivered(self, first: int, again: int) -> None:
        """So many events delivered at the first attempt, so many at a later one."""
        self.minute.first += first
        self.minute.again += again

    def latency(self, seconds: float, count: int) -> None:
        """`count` events were delivered `seconds` after their receipt."""
        counts, bucket = self.minute.latency, bucket_of(seconds)
        counts[bucket] = counts.get(bucket, 0) + count

    def dead(self, label: str, count: int) -> None:
        _count(self.minute.dead, label, count)

    def retried(self, label: str, count: int) -> None:
        _count(self.minute.retried, label, count)

    def filtered(self, label: str, count: int) -> None:
        _count(self.minute.filtered, label, count)

    def error(self, text: str) -> None:
        """The last error, without secrets."""
        self.minute.error = text[:_ERROR_CHARS]
        self.minute.error_ms = int(self._clock() * 1000)

    def waiting(self, lag: int, retrying: int, oldest_seconds: float) -> None:
        """How much waits now: events in the log, events to be tried again, the oldest's age."""
        minute = self.minute
        minute.lag, minute.retrying, minute.oldest_seconds = lag, retrying, oldest_seconds

    def take(self) -> Minute:
        """The counts so far; the next ones begin at zero, and with as much waiting."""
        taken = self.minute
        self.minute = Minute()
        self.waiting(taken.lag, taken.retrying, taken.oldest_seconds)
        return taken


def _count(counts: dict[str, int], label: str, count: int) -> None:
    if label not in counts and len(counts) >= _MOST_LABELS:
        label = "other"
    counts[label] = counts.get(label, 0) + count


class Overview:
    """The counts of every destination, in memory and below `folder`.

    `query` and `summary` may be called in any thread, all else belongs to the loop.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._env = lmdb.open(str(folder), map_size=_MAP_BYTES)
        self._clock = clock
        self._records: dict[str, Record] = {}
        self._unsaved: dict[tuple[str, int], Minute] = {}
        self._saving = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "overview")
        self._roller: asyncio.Task[None] | None = None

    def of(self, destination: str) -> Record:
        """The destination's record, always the same one."""
        found = self._records.get(destination)
        if found is None:
            found = self._records[destination] = Record(self._clock)
        return found

    def start(self) -> None:
        self._roller = asyncio.get_running_loop().create_task(self._roll_forever())

    async def _roll_forever(self) -> None:
        while True:
            now = self._clock()
            await asyncio.sleep(60 - now % 60)
            await self.save(int(now // 60))

    async def save(self, minute: int | None = None) -> None:
        """Write the counts so far, as those of `minute` (since 1970; by default the one it is)."""
        now = int(self._clock() // 60)
        self._take(now if minute is None else minute)
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, now)
        except lmdb.Error as error:
            _log.error("the overview cannot be written", extra={"error": str(error)})
            self._forget_old_unsaved()

    def _take(self, minute: int) -> None:
        with self._saving:
            for destination, record in self._records.items():
                taken = record.take()
                if not _told(taken):
                    continue
                if (before := self._unsaved.get((destination, minute))) is not None:
                    before.merge(taken)
                else:
                    self._unsaved[destination, minute] = taken

    def _forget_old_unsaved(self) -> None:
        """A disk that stays full does not fill the memory."""
        with self._saving:
            for key in list(self._unsaved)[: -60 * max(len(self._records), 1)]:
                del self._unsaved[key]

    def _write(self, now: int) -> None:
        with self._saving:
            with self._env.begin(write=True) as transaction:
                for (destination, minute), counts in self._unsaved.items():
                    key = _key(destination, minute)
                    if (stored := transaction.get(key)) is not None:
                        whole = _decode(stored)
                        whole.merge(counts)
                        counts = whole
                    transaction.put(key, _encode(counts))
                _drop_before(transaction, now - KEPT_MINUTES)
            self._unsaved.clear()

    def query(
        self, destination: str | None, since_ms: int, until_ms: int, step_seconds: int
    ) -> list[dict[str, Any]]:
        """One row a destination and step in which something happened or waited, by time.

        `step_seconds` is rounded up to whole minutes; a step begins at a multiple of it since
        1970, as `time` says.
        """
        step = max(-(-step_seconds // 60), 1)
        rows: dict[tuple[int, str], Minute] = {}
        for name, minute, counts in self._minutes(destination, since_ms, until_ms):
            rows.setdefault((minute // step * step, name), Minute()).merge(counts)
        return [
            {"time": format_time(minute * 60_000), "destination": name} | describe(counts)
            for (minute, name), counts in sorted(rows.items())
        ]

    def summary(self, destination: str, minutes: int) -> dict[str, Any]:
        """The last `minutes` as one: counts, percentiles, and the shares of all settled events
        that were delivered at once, after retries, and never."""
        now_ms = int(self._clock() * 1000)
        whole = Minute()
        for _, _, counts in self._minutes(destination, now_ms - minutes * 60_000, now_ms + 1):
            whole.merge(counts)
        return {"destination": destination, "minutes": minutes} | describe(whole)

    def destinations(self) -> list[str]:
        """Every destination that something is known of."""
        with self._env.begin() as transaction:
            return sorted({*_names(transaction), *self._records.copy()})

    def _minutes(
        self, destination: str | None, since_ms: int, until_ms: int
    ) -> Iterator[tuple[str, int, Minute]]:
        """(destination, minute, counts) from the minute of `since_ms` to before `until_ms`."""
        first, end = max(since_ms, 0) // 60_000, -(-max(until_ms, 0) // 60_000)
        with self._saving:
            now = int(self._clock() // 60)
            unsaved = [(name, at, _copy(each)) for (name, at), each in self._unsaved.items()]
            unsaved += [
                (name, now, _copy(each.minute)) for name, each in self._records.copy().items()
            ]
            transaction = self._env.begin()
        with transaction:
            names = [destination] if destination is not None else list(_names(transaction))
            for name in names:
                yield from _stored(transaction, name, first, end)
        for name, minute, counts in unsaved:
            if first <= minute < end and destination in (None, name) and _told(counts):
                yield name, minute, counts

    async def close(self) -> None:
        if self._roller is not None:
            self._roller.cancel()
            with suppress(asyncio.CancelledError):
                await self._roller
        await self.save()
        self._thread.shutdown()
        self._env.close()


def describe(counts: Minute) -> dict[str, Any]:
    """Counts as plain data: what the API gives. Latencies in seconds; shares of 1, None where
    nothing is settled."""
    dead = sum(counts.dead.values())
    settled = counts.first + counts.again + dead
    shares = None
    if settled:
        shares = {
            "atOnce": counts.first / settled,
            "afterRetry": counts.again / settled,
            "dead": dead / settled,
        }
    found = percentiles(counts.latency, (0.5, 0.95, 0.99))
    return {
        "deliveredAtOnce": counts.first,
        "deliveredAfterRetry": counts.again,
        "dead": counts.dead,
        "retried": counts.retried,
        "filtered": counts.filtered,
        "shares": shares,
        "latency": dict(zip(("p50", "p95", "p99"), (round(s, 6) for s in found), strict=True))
        if found
        else None,
        "lagEvents": counts.lag,
        "retrying": counts.retrying,
        "oldestSeconds": round(counts.oldest_seconds, 3),
        "lastError": {"time": format_time(counts.error_ms), "text": counts.error}
        if counts.error
        else None,
    }


def _told(counts: Minute) -> bool:
    """Is there anything to tell?"""
    return _encode(counts) != _NOTHING


def _copy(counts: Minute) -> Minute:
    copied = Minute()
    copied.merge(counts)
    return copied


def _key(destination: str, minute: int) -> bytes:
    return destination.encode() + b"\0" + _MINUTE.pack(minute)


def _names(transaction: Any) -> Iterator[str]:
    """Every destination in the database."""
    with transaction.cursor() as cursor:
        found = cursor.first()
        while found:
            name = bytes(cursor.key()).split(b"\0", 1)[0]
            yield name.decode()
            found = cursor.set_range(name + b"\1")


def _stored(transaction: Any, name: str, first: int, end: int) -> Iterator[tuple[str, int, Minute]]:
    stop = _key(name, end)
    with transaction.cursor() as cursor:
        if not cursor.set_range(_key(name, first)):
            return
        for key, value in cursor:
            if key >= stop:
                return
            yield name, _MINUTE.unpack(key[-_MINUTE.size :])[0], _decode(value)


def _drop_before(transaction: Any, minute: int) -> None:
    for name in list(_names(transaction)):
        stop = _key(name, max(minute, 0))
        with transaction.cursor() as cursor:
            while cursor.set_range(_key(name, 0)) and cursor.key() < stop:
                cursor.delete()
