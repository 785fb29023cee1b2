"""LMDB under the data folder: how far each destination is, and what waits for another try.

Changes are staged on the loop and committed together, one transaction about every 50 ms, in a
thread. A cursor and the retries that let it advance are always in the same transaction, so a crash
shows either both or neither.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from router.event import Event

_log = logging.getLogger(__name__)
_Staged = dict[tuple[Any, bytes], bytes | None]
_OFFSET = struct.Struct(">Q")
_DUE = struct.Struct(">QQ")
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

    def event(self) -> Event:
        return Event(self.offset, self.source, self.kind, self.flags, self.raw, self.time_ms)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Retry).decode


class Store:
    """Cursors and retries. Every method but `close` and `flush` is synchronous and quick."""

    def __init__(self, folder: Path, commit_seconds: float = 0.05) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._env = lmdb.open(str(folder), map_size=_MAP_BYTES, max_dbs=8, lock=True)
        self._cursor_db = self._env.open_db(b"cursors")
        self._retry_db = self._env.open_db(b"retries")
        self._commit_seconds = commit_seconds
        self._thread = ThreadPoolExecutor(1, "store")
        self._cursors = self._read_cursors()
        self._counts = self._count_retries()
        self._sequence = time.time_ns()
        self._staged: _Staged = {}
        self._committing: _Staged = {}
        self._flushing: asyncio.Task[None] | None = None
        self._closed = False

    def _read_cursors(self) -> dict[str, int]:
        with self._env.begin(self._cursor_db) as transaction:
            return {
                bytes(key).decode(): _OFFSET.unpack(value)[0] for key, value in transaction.cursor()
            }

    def _count_retries(self) -> Counter[str]:
        with self._env.begin(self._retry_db) as transaction:
            keys = transaction.cursor().iternext(keys=True, values=False)
            return Counter(bytes(key).split(b"\0", 1)[0].decode() for key in keys)

    def cursor(self, destination: str) -> int | None:
        """Offset of the first event `destination` has not settled, or None if it is new."""
        return self._cursors.get(destination)

    def cursors(self) -> dict[str, int]:
        return dict(self._cursors)

    def set_cursor(self, destination: str, offset: int) -> None:
        self._cursors[destination] = offset
        self._stage(self._cursor_db, destination.encode(), _OFFSET.pack(offset))

    def forget(self, destination: str) -> None:
        """Drop the cursor of a destination; its retries stay until they are asked for."""
        if self._cursors.pop(destination, None) is not None:
            self._stage(self._cursor_db, destination.encode(), None)

    def add_retry(self, destination: str, due_ms: int, retry: Retry) -> None:
        self._sequence += 1
        key = destination.encode() + b"\0" + _DUE.pack(due_ms, self._sequence)
        self._counts[destination] += 1
        self._stage(self._retry_db, key, _encode(retry))

    def remove_retry(self, destination: str, key: bytes) -> None:
        self._counts[destination] -= 1
        self._stage(self._retry_db, key, None)

    def retry_count(self, destination: str) -> int:
        return self._counts[destination]

    def due(
        self, destination: str, now_ms: int, limit: int, skip: set[bytes]
    ) -> list[tuple[bytes, Retry]]:
        """Committed retries due by `now_ms`, soonest first, without the keys in `skip`."""
        prefix = destination.encode() + b"\0"
        found: list[tuple[bytes, Retry]] = []
        with self._env.begin(self._retry_db) as transaction, transaction.cursor() as cursor:
            if not cursor.set_range(prefix):
                return found
            for key, value in cursor:
                if not key.startswith(prefix) or _DUE.unpack(key[len(prefix) :])[0] > now_ms:
                    break
                if key not in skip and not self._removed(key):
                    found.append((key, _decode(value)))
                    if len(found) >= limit:
                        break
        return found

    def next_due(self, destination: str, skip: set[bytes]) -> int | None:
        """When the soonest committed retry without those in `skip` is due, in ms."""
        prefix = destination.encode() + b"\0"
        with self._env.begin(self._retry_db) as transaction, transaction.cursor() as cursor:
            if not cursor.set_range(prefix):
                return None
            for key in cursor.iternext(keys=True, values=False):
                if not key.startswith(prefix):
                    return None
                if key not in skip and not self._removed(key):
                    return int(_DUE.unpack(key[len(prefix) :])[0])
        return None

    def _removed(self, key: bytes) -> bool:
        """True where the key's removal is on its way to the disk."""
        slot = (self._retry_db, key)
        return any(
            slot in staged and staged[slot] is None for staged in (self._staged, self._committing)
        )

    def _stage(self, database: Any, key: bytes, value: bytes | None) -> None:
        self._staged[database, key] = value
        if self._flushing is None and not self._closed:
            try:
                self._flushing = asyncio.get_running_loop().create_task(self._flush_later())
            except RuntimeError:
                self._commit(self._take_staged())

    async def _flush_later(self) -> None:
        while self._staged and not self._closed:
            await asyncio.sleep(self._commit_seconds)
            await self.flush()
        self._flushing = None

    def _take_staged(self) -> _Staged:
        staged, self._staged = self._staged, {}
        return staged

    async def flush(self) -> None:
        """Commit what is staged. A disk without room is logged and tried again."""
        staged = self._committing = self._take_staged()
        if not staged:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, staged)
        except lmdb.Error as error:
            _log.error("store commit failed, will be tried again", extra={"error": str(error)})
            self._staged = staged | self._staged
            await asyncio.sleep(1)
        finally:
            self._committing = {}

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
