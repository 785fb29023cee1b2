"""LMDB under the data folder: how far each destination is, what waits for another try, and jobs.

Changes are staged on the loop and committed together, one transaction about every 50 ms, in a
thread. A cursor and the retries that let it advance are always in the same transaction, so a crash
shows either both or neither.

What waits has one key each: the destination, a zero, then either `r`, when it is due and a running
number, or `h`, whose earlier event it stands behind, its offset and a running number; at the end of
both, since when it is undelivered.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from router.event import Event

_log = logging.getLogger(__name__)
Snapshot = Callable[[], tuple[int, bytes]]
"""Gives a cursor and what is settled behind it (router/delivery/tracker.py)."""
_Staged = dict[tuple[Any, bytes], bytes | None]
_OFFSET = struct.Struct(">Q")
_RETRY = struct.Struct(">cQQQ")
_HELD = struct.Struct(">c8sQQQ")
_MAP_BYTES = 64 * 1024**3
"""Address space, not disk: LMDB's file grows with what it holds."""


ALL_PARTS = 255
"""As `Retry.part`: every row of the event, however many it maps to by then."""


class Retry(msgspec.Struct, array_like=True):
    """One row of one event that failed for now. Times in milliseconds since 1970."""

    offset: int
    source: str
    kind: int
    flags: int
    raw: bytes
    time_ms: int
    part: int
    """Which of the event's rows, or `ALL_PARTS`."""
    attempts: int
    first_ms: int
    reason: str
    user: bytes = b""
    """Whose order it keeps, 8 bytes; empty where the destination is not ordered."""
    since_ms: int = 0
    """Since when it counts as undelivered; 0: since it was received."""

    def event(self) -> Event:
        return Event(self.offset, self.source, self.kind, self.flags, self.raw, self.time_ms)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Retry).decode


class _Waiting:
    """How much waits for one destination, and since when, by second."""

    __slots__ = ("held", "retries", "since")

    def __init__(self) -> None:
        self.retries = 0
        self.held = 0
        self.since: Counter[int] = Counter()

    def add(self, suffix: bytes, count: int) -> None:
        if suffix[:1] == b"r":
            self.retries += count
        else:
            self.held += count
        second = _OFFSET.unpack(suffix[-8:])[0] // 1000
        self.since[second] += count
        if not self.since[second]:
            del self.since[second]


class Store:
    """Cursors, retries and jobs. Every method but `close` and `flush` is synchronous and quick."""

    def __init__(self, folder: Path, commit_seconds: float = 0.05) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._env = lmdb.open(str(folder), map_size=_MAP_BYTES, max_dbs=8, lock=True)
        self._cursor_db = self._env.open_db(b"cursors")
        self._waiting_db = self._env.open_db(b"waiting")
        self._job_db = self._env.open_db(b"jobs")
        self._commit_seconds = commit_seconds
        self._thread = ThreadPoolExecutor(1, "store")
        self._beyond: dict[str, bytes] = {}
        self._cursors = self._read_cursors()
        self._moved: dict[str, Snapshot] = {}
        self._holding: set[tuple[str, bytes]] = set()
        self._committing_holds: set[tuple[str, bytes]] = set()
        self._waiting: dict[str, _Waiting] = {}
        self._count_waiting()
        self._sequence = time.time_ns()
        self._staged: _Staged = {}
        self._committing: _Staged = {}
        self._flushing: asyncio.Task[None] | None = None
        self._commits = asyncio.Lock()
        self._closed = False

    def _read_cursors(self) -> dict[str, int]:
        found = {}
        with self._env.begin(self._cursor_db) as transaction:
            for key, value in transaction.cursor():
                name = bytes(key).decode()
                found[name] = _OFFSET.unpack_from(value)[0]
                self._beyond[name] = bytes(value[_OFFSET.size :])
        return found

    def _count_waiting(self) -> None:
        with self._env.begin(self._waiting_db) as transaction:
            for key in transaction.cursor().iternext(keys=True, values=False):
                name, _, suffix = bytes(key).partition(b"\0")
                self._of(name.decode()).add(suffix, 1)

    def _of(self, destination: str) -> _Waiting:
        found = self._waiting.get(destination)
        if found is None:
            found = self._waiting[destination] = _Waiting()
        return found

    def cursor(self, destination: str) -> int | None:
        """Offset of the first event `destination` has not settled, or None if it is new."""
        return self._cursors.get(destination)

    def cursors(self) -> dict[str, int]:
        return dict(self._cursors)

    def beyond(self, destination: str) -> bytes:
        """What is settled behind the cursor, as the last snapshot tells it."""
        if (snapshot := self._moved.get(destination)) is not None:
            return snapshot()[1]
        return self._beyond.get(destination, b"")

    def set_cursor(self, destination: str, offset: int) -> None:
        """Place the cursor; nothing behind it counts as settled."""
        self._cursors[destination] = offset
        self._beyond.pop(destination, None)
        self._moved.pop(destination, None)
        self._stage(self._cursor_db, destination.encode(), _OFFSET.pack(offset))

    def move_cursor(self, destination: str, offset: int, snapshot: Snapshot) -> None:
        """The cursor stands at `offset`; `snapshot` is asked for the rest when it is committed."""
        self._cursors[destination] = offset
        self._moved[destination] = snapshot
        self._commit_soon()

    def forget(self, destination: str) -> None:
        """Drop the cursor of a destination; its retries stay until they are asked for."""
        self._moved.pop(destination, None)
        self._beyond.pop(destination, None)
        if self._cursors.pop(destination, None) is not None:
            self._stage(self._cursor_db, destination.encode(), None)

    def add_retry(self, destination: str, due_ms: int, retry: Retry) -> None:
        """Keep a row until `due_ms`."""
        self._sequence += 1
        since = retry.since_ms or retry.time_ms
        self._wait(destination, _RETRY.pack(b"r", due_ms, self._sequence, since), retry)

    def hold(self, destination: str, retry: Retry) -> None:
        """Keep a row behind an earlier one of `retry.user`: it has no time of its own."""
        self._sequence += 1
        since = retry.since_ms or retry.time_ms
        suffix = _HELD.pack(b"h", retry.user, retry.offset, self._sequence, since)
        self._holding.add((destination, retry.user))
        self._wait(destination, suffix, retry)

    def _wait(self, destination: str, suffix: bytes, retry: Retry) -> None:
        self._of(destination).add(suffix, 1)
        self._stage(self._waiting_db, destination.encode() + b"\0" + suffix, _encode(retry))

    def remove(self, destination: str, key: bytes) -> None:
        """The row at `key` waits no longer."""
        self._of(destination).add(key[len(destination.encode()) + 1 :], -1)
        self._stage(self._waiting_db, key, None)

    def retry_count(self, destination: str) -> int:
        """Rows that wait for their time."""
        return self._of(destination).retries

    def held_count(self, destination: str) -> int:
        """Rows that wait for an earlier one of their user."""
        return self._of(destination).held

    def oldest_waiting(self, destination: str) -> int | None:
        """Since when the longest waiting row is undelivered, in ms (whole seconds), or None."""
        since = self._of(destination).since
        return min(since) * 1000 if since else None

    def _scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Committed rows whose key begins with `prefix`, but those on their way out."""
        with self._env.begin(self._waiting_db) as transaction, transaction.cursor() as cursor:
            if not cursor.set_range(prefix):
                return
            for key, value in cursor:
                if not key.startswith(prefix):
                    return
                if not self._removed(key):
                    yield key, value

    def due(
        self, destination: str, now_ms: int, limit: int, skip: set[bytes]
    ) -> list[tuple[bytes, Retry]]:
        """Committed retries due by `now_ms`, soonest first, without the keys in `skip`."""
        prefix = destination.encode() + b"\0r"
        found: list[tuple[bytes, Retry]] = []
        for key, value in self._scan(prefix):
            if len(found) >= limit or _OFFSET.unpack_from(key, len(prefix))[0] > now_ms:
                break
            if key not in skip:
                found.append((key, _decode(value)))
        return found

    def next_due(self, destination: str, skip: set[bytes]) -> int | None:
        """When the soonest committed retry without those in `skip` is due, in ms."""
        prefix = destination.encode() + b"\0r"
        with self._env.begin(self._waiting_db) as transaction, transaction.cursor() as cursor:
            if not cursor.set_range(prefix):
                return None
            for key in cursor.iternext(keys=True, values=False):
                if not key.startswith(prefix):
                    return None
                if key not in skip and not self._removed(key):
                    return int(_OFFSET.unpack_from(key, len(prefix))[0])
        return None

    def held(
        self, destination: str, user: bytes, limit: int, skip: set[bytes]
    ) -> list[tuple[bytes, Retry]]:
        """The user's first held rows in the log's order; none while some are being committed."""
        if (destination, user) in self._holding or (destination, user) in self._committing_holds:
            return []
        prefix = destination.encode() + b"\0h" + user
        found: list[tuple[bytes, Retry]] = []
        for key, value in self._scan(prefix):
            if len(found) >= limit:
                break
            if key not in skip:
                found.append((key, _decode(value)))
        return found

    def users(self, destination: str) -> dict[bytes, tuple[int, int]]:
        """Whose rows wait: how many as retries, and how many held behind those. Reads all."""
        prefix = destination.encode() + b"\0"
        retrying: Counter[bytes] = Counter()
        holding: Counter[bytes] = Counter()
        for _, value in self._scan(prefix + b"r"):
            if user := _decode(value).user:
                retrying[user] += 1
        for key, _ in self._scan(prefix + b"h"):
            holding[_HELD.unpack(key[len(prefix) :])[1]] += 1
        return {user: (retrying[user], holding[user]) for user in {*retrying, *holding}}

    def release_held(self, destination: str, now_ms: int) -> int:
        """The destination keeps no order any more: its held rows become retries that are due."""
        held = [(key, _decode(value)) for key, value in self._scan(destination.encode() + b"\0h")]
        for key, retry in held:
            self.remove(destination, key)
            self.add_retry(destination, now_ms, msgspec.structs.replace(retry, user=b""))
        return len(held)

    def find(self, destination: str, offset: int) -> list[tuple[int, Retry]]:
        """What waits of the event at `offset`, with when it is due (0: held). Reads all that
        waits for the destination."""
        prefix = destination.encode() + b"\0"
        found = []
        for key, value in self._scan(prefix):
            retry = _decode(value)
            if retry.offset == offset:
                is_retry = key[len(prefix)] == ord("r")
                due = _OFFSET.unpack_from(key, len(prefix) + 1)[0] if is_retry else 0
                found.append((due, retry))
        return found

    def job(self, name: str) -> bytes | None:
        """A job's record as committed."""
        with self._env.begin(self._job_db) as transaction:
            value = transaction.get(name.encode())
            return None if value is None else bytes(value)

    def jobs(self) -> dict[str, bytes]:
        """Every job's record as committed."""
        with self._env.begin(self._job_db) as transaction:
            return {bytes(key).decode(): bytes(value) for key, value in transaction.cursor()}

    def set_job(self, name: str, record: bytes | None) -> None:
        """Keep a job's record, or drop it (None), in one transaction with what is staged now."""
        self._stage(self._job_db, name.encode(), record)

    def _removed(self, key: bytes) -> bool:
        """True where the key's removal is on its way to the disk."""
        slot = (self._waiting_db, key)
        return any(
            slot in staged and staged[slot] is None for staged in (self._staged, self._committing)
        )

    def _stage(self, database: Any, key: bytes, value: bytes | None) -> None:
        self._staged[database, key] = value
        self._commit_soon()

    def _commit_soon(self) -> None:
        if self._flushing is None and not self._closed:
            try:
                self._flushing = asyncio.get_running_loop().create_task(self._flush_later())
            except RuntimeError:
                self._commit(self._take_staged())

    async def _flush_later(self) -> None:
        while (self._staged or self._moved) and not self._closed:
            await asyncio.sleep(self._commit_seconds)
            await self.flush()
        self._flushing = None

    def _take_staged(self) -> _Staged:
        """What is to be committed, all of one moment."""
        for destination, snapshot in self._moved.items():
            offset, beyond = snapshot()
            self._beyond[destination] = beyond
            self._staged[self._cursor_db, destination.encode()] = _OFFSET.pack(offset) + beyond
        self._moved = {}
        staged, self._staged = self._staged, {}
        self._committing_holds, self._holding = self._holding, set()
        return staged

    async def flush(self) -> None:
        """Commit what is staged. A disk without room is logged and tried again."""
        async with self._commits:
            await self._flush()

    async def _flush(self) -> None:
        staged = self._committing = self._take_staged()
        if not staged:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, staged)
        except lmdb.Error as error:
            _log.error("store commit failed, will be tried again", extra={"error": str(error)})
            self._staged = staged | self._staged
            self._holding |= self._committing_holds
            await asyncio.sleep(1)
        finally:
            self._committing, self._committing_holds = {}, set()

    def _commit(self, staged: _Staged) -> None:
        with self._env.begin(write=True) as transaction:
            for (database, key), value in staged.items():
                if value is None:
                    transaction.delete(key, db=database)
                else:
                    transaction.put(key, value, db=database)

    async def close(self) -> None:
        """Commit and close; the store cannot be used afterwards."""
        self._closed = True
        if self._flushing is not None:
            await self._flushing
        await self.flush()
        self._thread.shutdown()
        self._env.close()
