"""Destinations that are code: what a catalogue file's `code` entry point is given and returns."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from router.destinations.outcome import Reply
from router.destinations.request import Row


class SinkContext(msgspec.Struct, frozen=True):
    """Where a sink runs: the destination's id, and the data folder."""

    id: str
    data: Path


class Sink(Protocol):
    """Takes rows itself instead of having requests made of them."""

    async def send(self, rows: list[Row]) -> Reply: ...

    async def close(self) -> None: ...
