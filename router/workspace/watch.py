"""Tells when a workspace's files changed, gathered over a moment so that one save is one change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
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


def signature(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, times and sizes of the workspace's files: changes where no notice of one arrives, as
    on a network file system."""
    found = []
    for path in sorted(folder.rglob("*")):
        if _is_workspace_file(Change.modified, str(path)):
            with suppress(OSError):
                status = path.stat()
                found.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(found)
