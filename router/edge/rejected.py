"""What the edge refused, and why: JSON lines on disk, written off the loop, bounded in size."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import orjson

from router._fast.envelope import Rejection, format_time
from router.metrics import REJECTED_UNRECORDED

_log = logging.getLogger(__name__)
_FILE_BYTES = 4 * 1024 * 1024
_QUEUE_BYTES = 4 * 1024 * 1024
_EVENT_BYTES = 64 * 1024
_FLUSH_SECONDS = 0.5


class Rejected:
    """The store of refused events below `folder`."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._lines: list[bytes] = []
        self._queued = 0
        self._flusher: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._flusher = asyncio.get_running_loop().create_task(self._flush_forever())

    def add(self, source: str, ip: str, rejections: list[Rejection]) -> None:
        """Keep refused events; when more come than can be written, they are only counted."""
        now = format_time(int(time.time() * 1000))
        for _, code, field, message, raw in rejections:
            if self._queued > _QUEUE_BYTES:
                REJECTED_UNRECORDED.inc()
                continue
            shown = {
                "time": now, "source": source, "reason": code, "field": field,
                "message": message, "ip": ip, "event": _without_key(raw),
            }  # fmt: skip
            try:
                line = orjson.dumps(shown)
            except orjson.JSONEncodeError:  # nested deeper than is written
                line = orjson.dumps({**shown, "event": _unreadable(raw)})
            self._lines.append(line)
            self._queued += len(line)

    def flush(self) -> None:
        """Write what is queued. Blocking."""
        lines, self._lines, self._queued = self._lines, [], 0
        if lines:
            self._write(lines)

    def _write(self, lines: list[bytes]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        files = sorted(self._folder.glob("*.jsonl"))
        fresh = not files or files[-1].stat().st_size >= _FILE_BYTES
        path = self._folder / f"{time.time_ns()}.jsonl" if fresh else files[-1]
        with path.open("ab") as file:
            file.write(b"\n".join(lines) + b"\n")
        if fresh:
            files.append(path)
        total = sum(file.stat().st_size for file in files)
        for old in files[:-1]:
            if total <= self._max_bytes:
                break
            total -= old.stat().st_size
            old.unlink()

    async def _flush_forever(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            lines, self._lines, self._queued = self._lines, [], 0
            if lines:
                try:
                    await asyncio.to_thread(self._write, lines)
                except OSError as error:
                    REJECTED_UNRECORDED.inc(len(lines))
                    _log.error("refused events could not be kept", extra={"error": str(error)})

    async def close(self) -> None:
        if self._flusher is not None:
            self._flusher.cancel()
            with suppress(asyncio.CancelledError):
                await self._flusher
        with suppress(OSError):
            self.flush()


def _without_key(raw: bytes) -> Any:
    """The event to show: decoded if it can be, never with its write key."""
    if len(raw) <= _EVENT_BYTES:
        with suppress(orjson.JSONDecodeError):
            value = orjson.loads(raw)
            if isinstance(value, dict):
                value.pop("writeKey", None)
                for item in value.get("batch", []) if isinstance(value.get("batch"), list) else []:
                    if isinstance(item, dict):
                        item.pop("writeKey", None)
            return value
    return _unreadable(raw)


def _unreadable(raw: bytes) -> dict[str, Any]:
    return {"unreadable": True, "bytes": len(raw)}


def read_rejected(folder: Path, limit: int, reason: str | None = None) -> Iterator[dict[str, Any]]:
    """Refused events, newest first, at most `limit`."""
    for path in sorted(folder.glob("*.jsonl"), reverse=True):
        for line in reversed(path.read_bytes().splitlines()):
            try:
                item = msgspec.json.decode(line, type=dict[str, Any])
            except msgspec.DecodeError:
                continue
            if reason is not None and item.get("reason") != reason:
                continue
            if limit <= 0:
                return
            limit -= 1
            yield item


def find_rejected(folder: Path, message_id: str, limit: int = 20) -> list[dict[str, Any]]:
    """Refused events with this id, newest first; only lines that have it in them are decoded."""
    mark = orjson.dumps(message_id)
    found = []
    for path in sorted(folder.glob("*.jsonl"), reverse=True):
        for line in reversed(path.read_bytes().splitlines()):
            if mark not in line:
                continue
            with suppress(orjson.JSONDecodeError):
                item = orjson.loads(line)
                if _has_id(item.get("event"), message_id):
                    found.append(item)
                    if len(found) == limit:
                        return found
    return found


def _has_id(event: Any, message_id: str) -> bool:
    if not isinstance(event, dict):
        return False
    batch = event.get("batch")
    return event.get("messageId") == message_id or (
        isinstance(batch, list) and any(_has_id(item, message_id) for item in batch)
    )
