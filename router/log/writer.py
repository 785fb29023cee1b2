"""The one thread that writes: a group of frames, one `fdatasync`, and back to the loop."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

_IOV_MAX = 1000


class Job(NamedTuple):
    """Buffers to make durable at `position` of `fd`."""

    fd: int
    position: int
    buffers: list[bytes]


Finished = Callable[[OSError | None, float], None]
"""Called in the writer's thread with what went wrong, and the seconds it took."""


def _write(job: Job) -> None:
    position = job.position
    buffers: list[bytes | memoryview] = list(job.buffers)
    while buffers:
        written = os.pwritev(job.fd, buffers[:_IOV_MAX], position)
        position += written
        done = 0
        while done < len(buffers) and written >= len(buffers[done]):
            written -= len(buffers[done])
            done += 1
        del buffers[:done]
        if written:
            buffers[0] = memoryview(buffers[0])[written:]


class Writer:
    """Runs one job at a time."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Job, Finished] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job, finished: Finished) -> None:
        self._jobs.put((job, finished))

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, finished = item
            started = time.perf_counter()
            failure: OSError | None = None
            try:
                _write(job)
                os.fdatasync(job.fd)
            except OSError as error:
                failure = error
            finished(failure, time.perf_counter() - started)
