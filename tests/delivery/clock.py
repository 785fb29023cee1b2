"""A loop whose time jumps ahead when there is nothing to do, so that hours pass in a moment."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any
from unittest.mock import patch

START = 1_800_000_000.0


class _JumpingSelector(selectors.DefaultSelector):
    """Waits only for threads; any other waiting is a jump of the loop's time."""

    loop: JumpingLoop

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if self.loop.jobs or timeout is None:
            return super().select(0.0005)
        self.loop.now += timeout
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """`now` is in seconds since the start."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self.now = 0.0
        self.jobs = 0
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        self.jobs += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _: Any) -> None:
        self.jobs -= 1


def run_ahead(main: Coroutine[Any, Any, None]) -> None:
    """Run `main` with `time.time()` and `time.monotonic()` on the jumping clock."""
    loop = JumpingLoop()
    with (
        patch.object(time, "time", lambda: START + loop.now),
        patch.object(time, "monotonic", lambda: 1000.0 + loop.now),
        asyncio.Runner(loop_factory=lambda: loop) as runner,
    ):
        runner.run(main)
