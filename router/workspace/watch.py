"""Tells when a workspace's files changed, gathered over a moment so that one save is one change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from watchfiles import Change, awatch


def _is_workspace_file(_: Change, path: str) -> bool:
    name = Path(path).name
    return not name.startswith(".") and name.endswith((".toml", ".json", ".py"))


async def watch_workspace(folder: Path, changed: Callable[[], None], stop: asyncio.Event) -> None:
    """Call `changed` after each burst of changes below `folder`, until `stop` is set."""
    async for _ in awatch(
        folder,
        watch_filter=_is_workspace_file,
        stop_event=stop,
        debounce=400,
        step=100,
        recursive=True,
    ):
        changed()
