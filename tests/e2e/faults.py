"""A vendor that fails in every way a vendor can: an HTTP server below any framework's manners."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

Fate = Callable[[list[dict[str, Any]]], str]
"""From a request's events to what happens to it: a key of `FATES`, a status such as "503", or
"partial" where the rows are told apart."""

FATES = ("ok", "500", "503", "429", "429-date", "reset", "cut", "hang", "dribble", "silent", "html")


class FaultSink:
    """Keeps what it accepted, by messageId, with the times. Runs on a thread of its own."""

    def __init__(self, fate: Fate = lambda _: "ok") -> None:
        self.fate = fate
        self.refused_rows: set[str] = set()
        """With "partial": these messageIds are refused, all others taken."""
        self.accepted: Counter[str] = Counter()
        self.first: dict[str, float] = {}
        """When each was accepted first, in seconds since 1970."""
        self.delay = 0.0
        """Seconds between taking events and saying so."""
        self.fates: Counter[str] = Counter()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 24)
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").lower().split("\r\n")
                sizes = [line[15:] for line in lines if line.startswith("content-length:")]
                body = json.loads(await reader.readexactly(int(sizes[0])))
                events = body.get("batch", [body])
                fate = self.fate(events)
                self.fates[fate] += 1
                if not await self._answer(fate, events, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _accept(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self.accepted[event["messageId"]] += 1
            self.first.setdefault(event["messageId"], time.time())

    async def _answer(
        self, fate: str, events: list[dict[str, Any]], writer: asyncio.StreamWriter
    ) -> bool:
        """False ends the connection."""
        match fate:
            case "ok":
                self._accept(events)
                await asyncio.sleep(self.delay)
                writer.write(_answer(200, b"{}"))
            case "partial":
                self._accept([e for e in events if e["messageId"] not in self.refused_rows])
                errors = [{"index": i, "error": "bad row"} for i, event in enumerate(events)
                          if event["messageId"] in self.refused_rows]  # fmt: skip
                writer.write(_answer(200, json.dumps({"errors": errors}).encode()))
            case "429":
                writer.write(_answer(429, b"slow down", "Retry-After: 1"))
            case "429-date":
                when = formatdate(time.time() + 1, usegmt=True)
                writer.write(_answer(429, b"slow down", f"Retry-After: {when}"))
            case "reset":
                writer.transport.abort()
                return False
            case "cut":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of")
                return False
            case "hang":
                await asyncio.sleep(5)
                return False
            case "dribble":
                for byte in _answer(200, b"{}") * 20:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.05)
            case "silent":
                return False
            case "html":
                writer.write(_answer(502, b"<html><h1>Bad gateway</h1>" + b"x" * 5000))
            case _:
                writer.write(_answer(int(fate), f"status {fate}".encode()))
        await writer.drain()
        return True

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


def _answer(status: int, body: bytes, *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def catalogue_file(batch: int, timeout: float = 0.5, concurrency: int = 4) -> str:
    """A private destination whose answers tell rows apart."""
    return f"""\
name = "Faulty"
url = "settings.url"
verified = "own"

[settings.url]
type = "url"
required = true

[limits]
timeout = {timeout}
concurrency = {concurrency}

[[responses]]
status = ["2xx"]
has = "errors"
then = "delivered"
each = "errors"
at = "index"
because = "error"
verdict = "dropped"

[actions.send]
when = "true"
body = {{ batch = "rows" }}
batch = {{ events = {batch}, bytes = 500000, seconds = 0.1 }}

[[tests]]
does = "rows share a request"
settings = {{ url = "https://example.com/in" }}
events = '[{{"type": "track", "messageId": "m"}}]'
sends = '[{{"url": "https://example.com/in", "body": {{"batch": [{{"type": "track", "messageId": "m"}}]}}}}]'
"""
