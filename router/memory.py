"""How the process treats its memory: what glibc gives back, and when Python looks for cycles."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_ARENA_BYTES = 64 * 1024 * 1024


def keep_memory() -> None:
    """Tell glibc not to map and unmap memory for each large body: that costs more than the body."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_THRESHOLD, _ARENA_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _ARENA_BYTES)


def calm_gc() -> None:
    """What is there by now stays: no collection has to look at it again, and those of what comes
    are rarer, for an event makes no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
