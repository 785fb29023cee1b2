"""The event log: append-only, durable before it is acknowledged, read by any number of consumers.

All methods run on the loop; only the writing itself is in a thread. While a sync is under way,
appends gather, and ride together in the next one.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import time
from bisect import bisect_right
from contextlib import suppress
from pathlib import Path

from router._fast.frames import Done, Queue, Record, frame_group, tell
from router._fast.writer import Writer
from router.errors import LogClosed, LogFull, RouterError, Unavailable
from router.log.frame import HEAD_BYTES
from router.log.recovery import find_segments, recover
from router.log.segment import Index, Segment, segment_path
from router.log.spare import Spare
from router.log.tail import Tail
from router.metrics import (
    LOG_APPENDED_BYTES,
    LOG_BYTES,
    LOG_END,
    LOG_FULL,
    SYNC_EVENTS,
    SYNC_SECONDS,
)

_log = logging.getLogger(__name__)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RETRY_SECONDS = 5
_PROBE_SECONDS = 1.0
_PROBE_PAGE = bytes(4096)
_PROBE_ROOM = 1 << 20
_PREPARE_AT = 0.25
_GATHER_SECONDS = 0.001


class EventLog:
    """One folder of segments. Made by `open`, which also recovers after a crash."""

    def __init__(
        self, folder: Path, segment_bytes: int, max_bytes: int, inflight_bytes: int, lock: int
    ) -> None:
        self._folder, self._lock = folder, lock
        self._segment_bytes, self._max_bytes = segment_bytes, max_bytes
        self._inflight_limit = inflight_bytes
        self._segments = find_segments(folder)
        if not self._segments:
            self._segments.append(self._new_segment(0))
        self._end = recover(self._segments[-1])
        self._sealed_bytes = sum(segment.size for segment in self._segments[:-1])
        self._spare = Spare(folder, segment_bytes)
        self._tail = Tail()
        self._writer = Writer()
        self.queue = Queue(self._kick_soon)
        """What `append` fills; the edge does so itself while the queue has room."""
        self._barriers: list[Record] = []
        self._writing: tuple[list[Record], int, int] | None = None
        self._kicked = self._closed = self._distrusted = self._listening = False
        self._gathered, self._gather_until = 0, 0.0
        self._grown: asyncio.Event | None = None
        self._idle: asyncio.Event | None = None
        self._probe_at = 0.0
        self._probing: asyncio.TimerHandle | None = None
        self.trouble = ""
        """Why appends fail now; "" while they do not."""
        LOG_END.set(self._end)
        LOG_BYTES.set(self.size())
        self._make_room()

    @classmethod
    def open(
        cls, folder: Path, *, segment_bytes: int, max_bytes: int, inflight_bytes: int
    ) -> EventLog:
        """Open `folder`, made if absent. Raises `RouterError` where another process has it."""
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise RouterError(
                f"another router runs on {folder}: stop it, or use another data folder"
            ) from None
        try:
            return cls(folder, segment_bytes, max_bytes, inflight_bytes, lock)
        except BaseException:
            os.close(lock)
            raise

    @property
    def start(self) -> int:
        """Offset of the first event that is kept."""
        return self._segments[0].base

    @property
    def end(self) -> int:
        """Offset after the last durable event."""
        return self._end

    def size(self) -> int:
        """Bytes of events on disk."""
        return self._sealed_bytes + self._segments[-1].size

    def append(self, block: bytes, count: int, time_ms: int, done: Done) -> None:
        """Take a block of `count` events. `done` is called on the loop once it is durable.

        Raises `LogClosed`, `LogFull` or `Unavailable` at once where it is known not to fit.
        """
        if self._closed:
            raise LogClosed("the log is closed")
        if self.trouble and time.monotonic() < self._probe_at:
            raise LogFull(self.trouble, _RETRY_SECONDS)
        length = len(block) + HEAD_BYTES
        inflight = self._inflight
        if self.size() + inflight + length > self._max_bytes:
            self._set_trouble(f"the log has reached log.bytes ({self._max_bytes})")
            raise LogFull(self.trouble, _RETRY_SECONDS)
        if inflight + length > self._inflight_limit:
            raise Unavailable("more is waiting for the disk than limits.inflight_bytes", 1)
        self.queue.room = max(self.queue.room, length)
        self.queue.put(block, count, time_ms, done)

    @property
    def _inflight(self) -> int:
        """Bytes that wait or are being written."""
        return self.queue.bytes + (self._writing[1] if self._writing is not None else 0)

    def _make_room(self) -> None:
        """Let the queue take what surely fits; in trouble, nothing without a question."""
        limit = min(self._max_bytes - self.size(), self._inflight_limit)
        self.queue.room = 0 if self.trouble or self._closed else limit - self._inflight

    async def append_wait(self, block: bytes, count: int, time_ms: int) -> int:
        """`append`, waited for: the offset of the first event."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def done(offset: int, error: Unavailable | None) -> None:
            if not future.done():
                if error is None:
                    future.set_result(offset)
                else:
                    future.set_exception(error)

        self.append(block, count, time_ms, done)
        return await future

    def barrier(self, done: Done) -> None:
        """Call `done` once all that was appended before is durable; at once if it is."""
        if not self.queue.waiting and not self._writing:
            tell([Record(self._end, 0, 0, b"", done)], None)
        elif self.queue.waiting:
            self.queue.waiting.append(Record(-1, 0, 0, b"", done))
        else:
            self._barriers.append(Record(-1, 0, 0, b"", done))

    def _kick_soon(self) -> None:
        if not self._writing and not self._kicked:
            self._kicked, self._gathered = True, 0
            self._gather_until = time.perf_counter() + _GATHER_SECONDS
            asyncio.get_running_loop().call_soon(self._kick)

    def _kick(self) -> None:
        """Hand all that waits to the writer, once the loop has nothing more to add to it.

        A sync costs as much as some requests do: while more of them lie ready, they are read first.
        """
        waiting = len(self.queue.waiting)
        if waiting > self._gathered and time.perf_counter() < self._gather_until:
            self._gathered = waiting
            asyncio.get_running_loop().call_soon(self._kick)
            return
        self._kicked = False
        if self._writing or not waiting:
            return
        length, batch = self.queue.bytes, self.queue.take()
        buffers, end = frame_group(batch, self._end)
        self._writing = (batch, length, end)
        self._write(buffers)

    def _write(self, buffers: list[bytes]) -> None:
        """Begin to write what `_writing` tells of; a segment without room for it is left first."""
        last = self._segments[-1]
        loop = asyncio.get_running_loop()
        if not self._listening:
            loop.add_reader(self._writer.fileno, self._written)
            self._listening = True
        if self._distrusted or (
            last.size and last.size + sum(map(len, buffers)) > self._segment_bytes
        ):
            rolled = loop.run_in_executor(None, self._roll, last, self._end)
            rolled.add_done_callback(lambda future: self._rolled(future, buffers))
            return
        if last.size > self._segment_bytes * _PREPARE_AT:
            self._spare.prepare()
        self._writer.submit(last.fd, last.size, buffers)

    def _written(self) -> None:
        """The writer is done with its job."""
        if (result := self._writer.take()) is not None:
            number, seconds = result
            self._finish(OSError(number, os.strerror(number)) if number else None, seconds)

    def _roll(self, last: Segment, base: int) -> Segment:
        """In a thread, while nothing is written: end the last segment, and make the next one."""
        if last.size:
            with suppress(OSError):
                os.ftruncate(last.fd, last.size)
                last.load_index().save(last.index_path, last.size)
        else:
            last.delete()
        return self._new_segment(base)

    def _rolled(self, future: asyncio.Future[Segment], buffers: list[bytes]) -> None:
        last = self._segments[-1]
        try:
            segment = future.result()
        except OSError as error:
            self._finish(error, 0.0)
            return
        if last.size:
            last.limit = segment.base
            self._sealed_bytes += last.size
        else:
            self._segments.pop()
        self._segments.append(segment)
        self._distrusted = False
        self._writer.submit(segment.fd, 0, buffers)

    def _new_segment(self, base: int) -> Segment:
        path = segment_path(self._folder, base)
        if not (hasattr(self, "_spare") and self._spare.take(path)):
            path.touch(mode=0o600)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        segment = Segment(path, base, 0)
        segment.index = Index()
        segment.open()
        return segment

    def _finish(self, error: OSError | None, seconds: float) -> None:
        """On the loop: the group is durable, or has failed as a whole."""
        assert self._writing is not None
        batch, length, end = self._writing
        self._writing = None
        failure = None
        if error is None:
            self._made_durable(batch, length, end)
            SYNC_SECONDS.observe(seconds)
        else:
            failure = self._failed(error)
            # What waits is given up too: it may hold requests whose duplicates were in the group,
            # and a 200 for those would be a promise that nobody keeps.
            batch = batch + self.queue.take()
        self._make_room()
        barriers, self._barriers = self._barriers, []
        tell(batch, failure)
        tell(barriers, failure)
        if self.queue.waiting:
            self._kick_soon()
        elif self._idle is not None:
            self._idle.set()

    def _made_durable(self, batch: list[Record], length: int, end: int) -> None:
        segment = self._segments[-1]
        index = segment.load_index()
        position = segment.size
        for record in batch:
            if record.count:
                index.note(record.offset, position, record.time_ms)
                position += HEAD_BYTES + len(record.payload)
                self._tail.add(record)
        segment.size = position
        SYNC_EVENTS.inc(end - self._end)
        LOG_APPENDED_BYTES.inc(length)
        LOG_BYTES.set(self.size())
        LOG_END.set(end)
        self._end = end
        if self.trouble:
            self._set_trouble("")
        if self._grown is not None:
            self._grown.set()

    def _failed(self, error: OSError) -> Unavailable:
        """Make sure that what was half written is never read; say why it failed."""
        segment = self._segments[-1]
        try:
            os.ftruncate(segment.fd, segment.size)
        except OSError:
            _log.error("a failed write could not be taken back", extra={"file": segment.path.name})
        full = error.errno in _NO_ROOM
        self._distrusted = self._distrusted or not full
        what = "the disk is full" if full else f"the disk failed: {error.strerror}"
        self._set_trouble(what)
        return LogFull(what, _RETRY_SECONDS) if full else Unavailable(what, _RETRY_SECONDS)

    def _set_trouble(self, trouble: str) -> None:
        self._probe_at = time.monotonic() + _PROBE_SECONDS
        if trouble and self._probing is None:
            self._probing = asyncio.get_running_loop().call_later(_PROBE_SECONDS, self._probe)
        if trouble != self.trouble:
            if trouble:
                _log.error("events are refused", extra={"reason": trouble})
            else:
                _log.info("events are accepted again")
        self.trouble = trouble
        self._make_room()
        LOG_FULL.set(1 if trouble else 0)

    def _probe(self) -> None:
        """Find out whether the trouble is over, for a router that is not ready gets no events."""
        self._probing = None
        if self._closed or not self.trouble or self._writing or self.queue.waiting:
            return
        if self.size() + min(_PROBE_ROOM, self._max_bytes // 16) > self._max_bytes:
            self._set_trouble(self.trouble)
            return
        # Zeros after the last frame mean nothing to a reader.
        self._writing = ([], 0, self._end)
        self._write([_PROBE_PAGE])

    def read(self, offset: int, max_bytes: int = 1 << 20) -> list[Record]:
        """Durable records from the one that holds `offset`: about `max_bytes`, at least one.

        [] at the end. Raises `LogCorrupt` for a damaged frame, `ValueError` before the start.
        """
        if offset >= self._end:
            return []
        if offset < self.start:
            raise ValueError(f"offset {offset} is gone: the log begins at {self.start}")
        records = self._tail.read(offset, max_bytes)
        place = bisect_right(self._segments, offset, key=lambda segment: segment.base) - 1
        while not records and place < len(self._segments):
            records = self._segments[place].read(offset, max_bytes)
            place += 1
        return records

    def skip_corrupt(self, offset: int) -> int:
        """Past the damage at `offset`: the next offset that can be read, or the end."""
        place = bisect_right(self._segments, offset, key=lambda segment: segment.base) - 1
        found = self._segments[place].next_good(offset)
        if found is not None:
            return found
        return self._segments[place + 1].base if place + 1 < len(self._segments) else self._end

    def segments(self) -> list[Segment]:
        """Oldest first; for who reads their files in a thread (router/log/search.py)."""
        return list(self._segments)

    async def wait(self, offset: int) -> None:
        """Return once the event at `offset` is durable."""
        while self._end <= offset:
            if self._grown is None or self._grown.is_set():
                self._grown = asyncio.Event()
            await self._grown.wait()

    def offset_at(self, time_ms: int) -> int:
        """Offset of the first event received at or after `time_ms`; the end without one."""
        for place, segment in enumerate(self._segments):
            following = self._segments[place + 1 : place + 2]
            first = following[0].first_time() if following else None
            if first is not None and first < time_ms:
                continue
            if (found := segment.offset_at(time_ms)) is not None:
                return found
        return self._end

    def retain(self, *, floor: int, keep_after_ms: int) -> int:
        """Delete whole segments below `floor`: those older than `keep_after_ms`, and as many more
        as bring the size under nine tenths of the limit. Returns the new start."""
        while len(self._segments) > 1 and self._segments[1].base <= floor:
            first_kept = self._segments[1].first_time()
            old = first_kept is not None and first_kept < keep_after_ms
            if not old and self.size() <= self._max_bytes * 0.9:
                break
            self._drop_first()
        return self.start

    def sacrifice(self, new_start: int) -> int:
        """Delete whole segments below `new_start`, delivered or not. Returns the new start."""
        while len(self._segments) > 1 and self._segments[1].base <= new_start:
            self._drop_first()
        return self.start

    def _drop_first(self) -> None:
        segment = self._segments.pop(0)
        self._sealed_bytes -= segment.size
        segment.close()
        self._tail.drop_before(self.start)
        if self._spare.keep(segment.path):
            segment.index_path.unlink(missing_ok=True)
        else:
            segment.delete()
        self._make_room()
        LOG_BYTES.set(self.size())

    async def close(self) -> None:
        """Make durable what is pending, then let go of the folder."""
        self._closed = True
        self._make_room()
        while self._writing or self.queue.waiting:
            self._idle = asyncio.Event()
            self._kick_soon()
            await self._idle.wait()
        if self._probing is not None:
            self._probing.cancel()
        if self._listening:
            asyncio.get_running_loop().remove_reader(self._writer.fileno)
        self._writer.close()
        self._spare.close()
        for segment in self._segments:
            segment.close()
        os.close(self._lock)
