"""What the edge refused, kept for people to look at: JSON Lines, the oldest file goes first.

Written by a thread of its own. Nothing here may slow the edge down: beyond a bound of bytes waiting,
rejections are only counted.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from router._fast.envelope import Rejection, format_time
from router.metrics import REJECTED, REJECTED_LOST

_log = logging.getLogger(__name__)
_EVENT_BYTES = 64 * 1024
_WAITING_BYTES = 8 * 1024 * 1024
_FILES = 8
_WRITE_KEY = re.compile(rb'"(write_?[kK]ey)"(\s*):(\s*)"(?:[^"\\]|\\.)*("|\\?$)')
_Entry = tuple[int, str, str, Rejection]


class Rejected:
    """The store in `folder`, of at most `max_bytes`."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._waiting: deque[_Entry] = deque()
        self._waiting_bytes = 0
        self._closing = False
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._number = max((_number(path) for path in _files(folder)), default=0)
        self._thread = threading.Thread(target=self._run, name="rejected", daemon=True)
        self._thread.start()

    def add_all(self, source: str, ip: str, rejections: list[Rejection]) -> None:
        """Count rejections of a source ("" where it is not known), and keep them soon."""
        now_ms = int(time.time() * 1000)
        for rejection in rejections:
            REJECTED.labels(source, rejection[1]).inc()
            size = len(rejection[4]) + 256
            if self._waiting_bytes + size > _WAITING_BYTES:
                REJECTED_LOST.inc()
                continue
            self._waiting_bytes += size
            self._waiting.append((now_ms, source, ip, rejection))
        self._wake.set()

    def flush(self) -> None:
        """Write what waits, here and now."""
        with self._writing:
            entries = []
            while self._waiting:
                entries.append(self._waiting.popleft())
            self._waiting_bytes -= sum(len(entry[3][4]) + 256 for entry in entries)
            if entries:
                try:
                    self._write(b"".join(map(_line, entries)))
                except OSError as error:
                    REJECTED_LOST.inc(len(entries))
                    _log.warning("rejected events are not kept", extra={"error": str(error)})

    def _write(self, lines: bytes) -> None:
        path = self._folder / f"{self._number:08d}.jsonl"
        if path.exists() and path.stat().st_size + len(lines) > self.max_bytes // _FILES:
            self._number += 1
            path = self._folder / f"{self._number:08d}.jsonl"
        with path.open("ab") as file:
            file.write(lines)
        files = _files(self._folder)
        total = sum(each.stat().st_size for each in files)
        for each in files[:-1]:
            if total <= self.max_bytes:
                break
            total -= each.stat().st_size
            each.unlink()

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait()
            self._wake.clear()
            self.flush()

    async def close(self) -> None:
        """Write what waits, and end the thread."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        self.flush()


def _files(folder: Path) -> list[Path]:
    """Oldest first."""
    return sorted(path for path in folder.glob("*.jsonl") if path.stem.isdecimal())


def _number(path: Path) -> int:
    return int(path.stem)


def _line(entry: _Entry) -> bytes:
    time_ms, source, ip, (_, reason, field, message, raw) = entry
    raw = _WRITE_KEY.sub(rb'"\1"\2:\3""', raw)
    item: dict[str, Any] = {
        "time": format_time(time_ms),
        "source": source,
        "reason": reason,
        "field": field,
        "message": message,
    }
    event: Any = None
    if len(raw) <= _EVENT_BYTES:
        try:
            event = orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass
    if isinstance(event, dict) and event.get("messageId"):
        item["messageId"] = event["messageId"]
    if ip:
        item["ip"] = ip
    if event is not None:
        item["event"] = orjson.Fragment(raw)
    elif raw:
        item["event"] = raw[:_EVENT_BYTES].decode("utf-8", "replace")
    return orjson.dumps(item) + b"\n"


def read_rejected(folder: Path, limit: int, reason: str | None = None) -> Iterator[dict[str, Any]]:
    """At most `limit` entries, newest first; of one `reason` only, if given."""
    for path in reversed(_files(folder)):
        try:
            lines = path.read_bytes().splitlines()
        except FileNotFoundError:
            continue
        for line in reversed(lines):
            if limit <= 0:
                return
            try:
                item = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if reason is None or item.get("reason") == reason:
                limit -= 1
                yield item
