"""Replay: part of the log is read again for one destination, beside everything else.

What is found goes to the retry store, due at once, so that first attempts go ahead of it and neither
the destination's cursor nor any other destination moves. How far a job has come is committed with
the events it hands over: after a crash it goes on without losing or doubling one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import msgspec

from router._fast.envelope import format_time
from router._fast.expr import Expr
from router._fast.expr import compile as compile_expression
from router.delivery.archived import read_archive
from router.destinations import Compiled, NotApplicable
from router.errors import RouterError
from router.event import Event
from router.log.feed import Feed
from router.store import ALL_PARTS, Retry

_log = logging.getLogger(__name__)
_PREFIX = "replay/"
_MOST_WAITING = 5000
_READ_BYTES = 64 * 1024
_WAIT_SECONDS = 0.2
_SHOWN = 5
_KEPT_JOBS = 20


class JobStore(Protocol):
    """Where retries and the jobs' records go, in one transaction; `router.store` has it."""

    def add_retry(self, destination: str, due_ms: int, retry: Retry) -> None: ...
    def retry_count(self, destination: str) -> int: ...
    def jobs(self) -> dict[str, bytes]: ...
    def set_job(self, name: str, record: bytes | None) -> None: ...
    async def flush(self) -> None: ...


class Target(msgspec.Struct):
    """The destination of a job while it runs."""

    compiled: Compiled
    sources: frozenset[str] | None
    """None: all."""
    look_for_retries: Callable[[], None]


class Job(msgspec.Struct, rename="camel", kw_only=True):
    """One replay. Times in milliseconds since 1970."""

    id: str
    destination: str
    filter: str = ""
    dry_run: bool = False
    state: str = "running"
    """"running", "done", "cancelled" or "failed"."""
    error: str = ""
    created: int = 0
    finished: int = 0
    start: int
    """Offset of the first event in the log."""
    end: int
    """Offset after the last."""
    position: int
    """Offset of the next to read."""
    from_ms: int
    """When the first event was received; the archive is read from there to `archive_until_ms`."""
    to_ms: int
    at_ms: int
    """When the last one that was read was received."""
    archive_until_ms: int = 0
    """0 where nothing comes from the archive."""
    archive_lines: int = 0
    """Lines of the archive that are read."""
    archive_done: bool = True
    read: int = 0
    matched: int = 0
    """Events handed over; in a dry run, those that would be."""
    skipped: dict[str, int] = {}
    """Events that are not for the destination, by reason."""
    shown: list[dict[str, Any]] = []
    """A dry run's first matching events."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Job).decode


class Replays:
    """The jobs of one router. `target` tells the destination that runs under an id, or None;
    `archive` where a file archive is, or None. Lives on the loop."""

    def __init__(
        self,
        feed: Feed,
        store: JobStore,
        target: Callable[[str], Target | None],
        archive: Callable[[], Path | None],
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._feed, self._store, self._target, self._archive = feed, store, target, archive
        self._most_waiting = most_waiting
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Go on with the jobs that an earlier run has left."""
        for name, record in self._store.jobs().items():
            if name.startswith(_PREFIX):
                job = _decode(record)
                self._jobs[job.id] = job
                if job.state == "running":
                    self._run_soon(job)

    async def stop(self) -> None:
        """Jobs go on at the next start."""
        for task in self._tasks.values():
            task.cancel()
        for task in list(self._tasks.values()):
            with suppress(asyncio.CancelledError):
                await task

    def floor(self) -> int:
        """Offset below which no job needs the log."""
        running = [job.position for job in self._jobs.values() if job.state == "running"]
        return min([*running, self._feed.log.end])

    def add(
        self,
        destination: str,
        *,
        from_offset: int | None = None,
        from_ms: int | None = None,
        to_offset: int | None = None,
        to_ms: int | None = None,
        filter: str = "",
        dry_run: bool = False,
    ) -> Job:
        """Begin a job: from an offset or a time on, to before an offset or a time (by default, what
        is there now). Raises `RouterError` where it cannot be done, `ExpressionError`."""
        target = self._target(destination)
        if target is None:
            raise RouterError(f"no enabled destination {destination!r}")
        if filter:
            compile_expression(filter)
        job = self._plan(destination, from_offset, from_ms, to_offset, to_ms)
        job.filter, job.dry_run = filter, dry_run
        if job.archive_until_ms and target.sources is not None:
            raise RouterError(
                f"what was received before {format_time(job.archive_until_ms)} is only in the "
                f"archive, which does not keep an event's source, and {destination} does not take "
                "all sources: begin later"
            )
        self._forget_oldest()
        self._jobs[job.id] = job
        self._save(job)
        self._run_soon(job)
        return job

    def _plan(
        self, destination: str, from_offset: int | None, from_ms: int | None,
        to_offset: int | None, to_ms: int | None,
    ) -> Job:  # fmt: skip
        log = self._feed.log
        now_ms = int(time.time() * 1000)
        if from_offset is not None:
            if not log.start <= from_offset <= log.end:
                raise RouterError(f"the log has the offsets from {log.start} to {log.end}")
            start = from_offset
        else:
            start = log.offset_at(from_ms or 0)
        end = log.end if to_ms is None else log.offset_at(to_ms)
        if to_offset is not None:
            end = min(to_offset, log.end)
        first_ms = self._time_of(start)
        job = Job(
            id=uuid4().hex[:12], destination=destination, created=now_ms, start=start, end=end,
            position=start, from_ms=first_ms, at_ms=first_ms,
            to_ms=self._time_of(end) if to_ms is None else min(to_ms, now_ms),
        )  # fmt: skip
        if from_ms is not None and start == log.start > 0 and self._archive() is not None:
            job.from_ms = job.at_ms = from_ms
            # The block at the log's start may share its millisecond with the last one that is gone.
            job.archive_until_ms = first_ms if to_ms is None else min(first_ms, to_ms - 1)
            job.archive_done = False
        if job.archive_done and job.start >= job.end:
            raise RouterError("there are no events in that range")
        return job

    def _time_of(self, offset: int) -> int:
        """When the event at `offset` was received; now, at the log's end."""
        events = self._feed.read(offset, 1)
        return events[0].time_ms if events else int(time.time() * 1000)

    def all(self) -> list[Job]:
        """Every job, newest first: those that run, and the last that are over."""
        return sorted(self._jobs.values(), key=lambda job: -job.created)

    def get(self, id_: str) -> Job | None:
        return self._jobs.get(id_)

    def cancel(self, id_: str) -> bool:
        """End a job, or forget one that is over; False where there is none. What it has handed
        over is delivered all the same."""
        job = self._jobs.get(id_)
        if job is None:
            return False
        if job.state != "running":
            del self._jobs[id_]
            self._store.set_job(_PREFIX + id_, None)
            return True
        if (task := self._tasks.get(id_)) is not None:
            task.cancel()
        self._finish(job, "cancelled")
        return True

    def _forget_oldest(self) -> None:
        over = [job for job in self.all() if job.state != "running"]
        for job in over[_KEPT_JOBS - 1 :]:
            self.cancel(job.id)

    def _save(self, job: Job) -> None:
        if not job.dry_run:
            self._store.set_job(_PREFIX + job.id, _encode(job))

    def _finish(self, job: Job, state: str, error: str = "") -> None:
        job.state, job.error, job.finished = state, error, int(time.time() * 1000)
        self._save(job)
        _log.info("replay ended", extra={
            "destination": job.destination, "job": job.id, "state": state, "matched": job.matched,
            "error": error,
        })  # fmt: skip

    def _run_soon(self, job: Job) -> None:
        task = asyncio.get_running_loop().create_task(self._run(job), name=f"replay {job.id}")
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))

    async def _run(self, job: Job) -> None:
        try:
            expression = compile_expression(job.filter) if job.filter else None
            if not job.archive_done:
                await self._run_archive(job, expression)
            await self._run_log(job, expression)
        except Exception as error:
            _log.exception("replay failed", extra={"job": job.id})
            self._finish(job, "failed", f"{type(error).__name__}: {error}")
        else:
            self._finish(job, "done")

    async def _run_archive(self, job: Job, expression: Expr | None) -> None:
        if (folder := self._archive()) is None:
            raise RouterError("the file archive is gone from the workspace")
        batches = read_archive(folder, job.from_ms, job.archive_until_ms, job.archive_lines)
        while True:
            target = await self._room(job)
            batch = await asyncio.to_thread(_next, batches)
            if batch is None:
                break
            lines, events = batch
            self._hand_over(job, target, expression, events)
            job.archive_lines = lines
            await self._commit(job, target)
        job.archive_done = True

    async def _run_log(self, job: Job, expression: Expr | None) -> None:
        while job.position < job.end:
            target = await self._room(job)
            events = self._feed.read(job.position, _READ_BYTES)
            if not events:
                break
            self._hand_over(job, target, expression, [e for e in events if e.offset < job.end])
            job.position = min(events[-1].offset + 1, job.end)
            await self._commit(job, target)

    async def _room(self, job: Job) -> Target:
        """Wait until the destination runs and few enough events wait for it."""
        while True:
            target = self._target(job.destination)
            if target is not None and (
                job.dry_run or self._store.retry_count(job.destination) < self._most_waiting
            ):
                return target
            await asyncio.sleep(_WAIT_SECONDS)

    async def _commit(self, job: Job, target: Target) -> None:
        if job.dry_run:
            await asyncio.sleep(0)
            return
        self._save(job)
        # A job that is cancelled does not take what others have staged with it.
        await asyncio.shield(self._store.flush())
        target.look_for_retries()

    def _hand_over(
        self, job: Job, target: Target, expression: Expr | None, events: list[Event]
    ) -> None:
        for event in events:
            job.read += 1
            job.at_ms = max(job.at_ms, event.time_ms)
            if reason := _not_for(event, target, expression):
                job.skipped[reason] = job.skipped.get(reason, 0) + 1
                continue
            job.matched += 1
            if not job.dry_run:
                now_ms = int(time.time() * 1000)
                self._store.add_retry(job.destination, now_ms, _retry_of(event, now_ms))
            elif len(job.shown) < _SHOWN:
                job.shown.append(
                    {"offset": event.offset, "source": event.source, "event": event.data}
                )


def _next(batches: Iterator[tuple[int, list[Event]]]) -> tuple[int, list[Event]] | None:
    return next(batches, None)


def _not_for(event: Event, target: Target, expression: Expr | None) -> str:
    """Why the event is left out; "" where it is not. One that cannot be mapped is handed over, to
    become a dead letter that says so."""
    if target.sources is not None and event.source not in target.sources:
        return "source"
    if expression is not None and not expression.test_doc(event.doc):
        return "not asked for"
    try:
        rows = target.compiled.map(event)
    except NotApplicable:
        return ""
    except Exception:
        return ""
    if isinstance(rows, str):
        return rows
    return "" if rows else "no_action"


def _retry_of(event: Event, now_ms: int) -> Retry:
    return Retry(
        event.offset, event.source, event.kind, event.flags, event.raw, event.time_ms,
        part=ALL_PARTS, attempts=1, first_ms=now_ms, reason="replayed", since_ms=now_ms,
    )  # fmt: skip


def describe_job(job: Job) -> dict[str, Any]:
    """A job as plain data: what the API gives. `share` is how much of its time is read, of 1."""
    span = job.to_ms - job.from_ms
    share = 1.0 if job.state == "done" else 0.0 if span <= 0 else (job.at_ms - job.from_ms) / span
    return {
        "id": job.id,
        "destination": job.destination,
        "filter": job.filter,
        "dryRun": job.dry_run,
        "state": job.state,
        "error": job.error,
        "share": round(min(max(share, 0.0), 1.0), 4),
        "created": format_time(job.created),
        "finished": format_time(job.finished) if job.finished else None,
        "from": format_time(job.from_ms),
        "to": format_time(job.to_ms),
        "offsets": [job.start, job.end],
        "fromArchive": bool(job.archive_until_ms),
        "read": job.read,
        "matched": job.matched,
        "skipped": job.skipped,
        "shown": job.shown,
    }
