"""HTTP/1.1 for the tracking API: an asyncio protocol around llhttp, no framework in between.

A connection reads requests and hands each to `Handler`, which answers now or later; answers leave in
the order of their requests. Time-outs are kept by one sweep a second over all connections.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import cast

import httptools
from msgspec.structs import replace

from router._fast.http import scan_request
from router._fast.lane import Lane, Line, Slot
from router.edge.cors import cors_headers
from router.edge.message import SUCCESS, Request, Respond, Response, refusal
from router.metrics import CONNECTIONS, REFUSED_CONNECTIONS, REQUESTS
from router.workspace.models import Limits

Handler = Callable[[Request, Respond], None]

_KEPT = frozenset({
    b"authorization", b"content-encoding", b"origin", b"host", b"x-forwarded-for",
    b"x-forwarded-proto", b"x-retry-count", b"access-control-request-headers", b"expect",
    b"content-length", b"transfer-encoding", b"connection",
})  # fmt: skip
_PIPELINE = 64
_SWEEP_SECONDS = 1.0
_LINGER_SECONDS = 2.0
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_IDLE, _HEADERS, _BODY, _CLOSING = range(4)


class Connections:
    """What all connections of a server share: limits, the handler, the clock, the sweep."""

    def __init__(self, handler: Handler, lane: Lane) -> None:
        self.handler, self.lane = handler, lane
        self.limits = Limits()
        self.now = 0.0
        self.date = b""
        self._stopping = False
        self.all: set[Connection] = set()
        self.statuses: dict[int, int] = {}
        self._success: dict[bytes, bytes] = {}
        self.tick()

    @property
    def stopping(self) -> bool:
        """True once every answer is to be the last of its connection."""
        return self._stopping

    def stop(self) -> None:
        self._stopping = True
        self.lane.open = False

    def tick(self) -> None:
        """Once a second: the clock, the Date header, and who has taken too long."""
        self.now = self.lane.now = time.monotonic()
        date = formatdate(usegmt=True).encode()
        if date != self.date:
            self.date = date
            self._success.clear()
            self.lane.success = self.success(b"")
        for connection in list(self.all):
            connection.check_time(self.now)

    def count(self) -> None:
        """Bring the metrics up to date; they are kept as plain numbers between two sweeps."""
        answered, self.lane.answered = self.lane.answered, 0
        self.statuses[200] = self.statuses.get(200, 0) + answered
        for status, number in self.statuses.items():
            REQUESTS.labels(str(status)).inc(number)
        self.statuses.clear()
        CONNECTIONS.set(len(self.all))

    async def sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.tick()
            self.count()

    def success(self, origin: bytes) -> bytes:
        """The usual answer, kept rendered for each origin for a second."""
        found = self._success.get(origin)
        if found is None:
            if len(self._success) > 1000:
                self._success.clear()
            found = self._success[origin] = self.render(SUCCESS, origin, True, b"")
        return found

    def render(self, response: Response, origin: bytes, keep_alive: bool, http10: bytes) -> bytes:
        status = response.status
        lines = [
            b"HTTP/1.1 %d %b" % (status, HTTPStatus(status).phrase.encode()),
            b"Date: " + self.date,
            b"Content-Type: " + response.content_type,
            b"Content-Length: %d" % len(response.body),
        ]
        if not keep_alive:
            lines.append(b"Connection: close")
        elif http10:
            lines.append(b"Connection: keep-alive")
        lines += [b"%b: %b" % header for header in response.headers]
        if origin:
            lines += [b"%b: %b" % header for header in cors_headers(origin)]
        return b"\r\n".join(lines) + b"\r\n\r\n" + (b"" if response.bare else response.body)


class Connection(Line, asyncio.Protocol):
    """One client. The lane takes what is usual; the callbacks in the middle are llhttp's."""

    def __init__(self, shared: Connections) -> None:
        super().__init__(shared.lane, deque())
        self._shared = shared
        self._parser = httptools.HttpRequestParser(self)
        self.since = shared.now
        self._paused = self._clogged = False
        self._begin()

    def _begin(self) -> None:
        self._enter(_IDLE)
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._chunks: list[bytes] = []
        self._raw_bytes = self._head_size = self._body_size = 0

    def _enter(self, phase: int) -> None:
        self._phase, self.idle = phase, phase == _IDLE
        if phase == _CLOSING:
            self.since = self._shared.now

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods of asyncio.Transport without being one.
        self.transport = transport = cast(asyncio.Transport, transport)
        shared = self._shared
        if len(shared.all) >= shared.limits.connections:
            REFUSED_CONNECTIONS.labels("cap").inc()
            self._enter(_CLOSING)
            transport.abort()
            return
        peer = transport.get_extra_info("peername")
        self.peer = peer[0].encode() if isinstance(peer, tuple) else b""
        shared.all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._shared.all.discard(self)
        self._enter(_CLOSING)
        self.slots.clear()

    def eof_received(self) -> bool:
        """A client may half-close after its last request: what is pending is answered first."""
        self.last = True
        return bool(self.slots)

    def pause_writing(self) -> None:
        """The client does not read its answers: read no more of its requests meanwhile."""
        self._clogged = True
        self._pause()

    def resume_writing(self) -> None:
        self._clogged = False
        if len(self.slots) < _PIPELINE // 2:
            self._resume()

    def receive(self, data: bytes) -> None:
        """Bytes that the lane has not taken."""
        if self._phase == _CLOSING:
            return
        if self._phase == _IDLE:
            limits = self._shared.limits
            usual = scan_request(data, limits.header_bytes, limits.body_bytes)
            if usual is not None:
                self._take(b"POST", *usual, not self._shared.stopping, "1.1")
                return
            self._enter(_HEADERS)
            self.since = self._shared.now
        self._raw_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._fail("bad_request", f"not a valid HTTP request: {error}")
        else:
            # Within a body this is what came since its last byte: chunk extensions and trailers.
            if self._raw_bytes > self._shared.limits.header_bytes:
                self._fail("headers_too_large", "the headers exceed limits.header_bytes")

    def _feed(self, data: bytes) -> None:
        """An offer to upgrade the connection may be ignored (RFC 9110, 7.8), and Java's own client
        makes one with every plain request; but llhttp stops at it, and has to be told again."""
        while True:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as stop:
                if self._phase == _CLOSING:
                    return
                data = self._without_upgrade() + data[stop.args[0] :]
                self._parser = httptools.HttpRequestParser(self)

    def _without_upgrade(self) -> bytes:
        """The head of the request that llhttp stopped at, without the offer."""
        method, version = self._parser.get_method(), self._parser.get_http_version().encode()
        headers, target = self._headers, self._target
        wanted = headers.pop(b"connection", b"").lower()
        for option in (b"close", b"keep-alive"):
            if option in wanted:
                headers[b"connection"] = option
        self._begin()
        lines = [b"%b %b HTTP/%b" % (method, target, version)]
        lines += [b"%b: %b" % header for header in headers.items()]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def on_message_begin(self) -> None:
        # Also where only a piece of the method has come: what follows is llhttp's, not the lane's.
        if self._phase == _IDLE:
            self._enter(_HEADERS)
            self.since = self._shared.now

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._phase == _BODY:  # a trailer, which is no header (RFC 9110, 6.5.1)
            return
        self._head_size += len(name) + len(value) + 4
        name = name.lower()
        if name not in _KEPT:
            return
        if name == b"content-length":
            self._body_size = int(value) if value.isdigit() else 0
        elif name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            self._fail("bad_request", "Transfer-Encoding has to be chunked, or absent")
        elif name == b"x-forwarded-for" and name in self._headers:
            value = self._headers[name] + b"," + value
        self._headers[name] = value

    def on_headers_complete(self) -> None:
        if self._phase == _CLOSING:
            return
        if self._parser.get_method() == b"CONNECT":
            self._fail("bad_request", "this is no proxy")
        if self._parser.should_upgrade():
            return
        limits = self._shared.limits
        self._enter(_BODY)
        self.since = self._shared.now
        if self._head_size + len(self._target) > limits.header_bytes:
            self._fail("headers_too_large", "the headers exceed limits.header_bytes")
        elif self._body_size > limits.body_bytes:
            self._fail("body_too_large", self._body_limit)
        elif self._headers.get(b"expect", b"").lower() == b"100-continue" and self.transport:
            self.transport.write(_CONTINUE)
        self._body_size = self._raw_bytes = 0

    @property
    def _body_limit(self) -> str:
        return f"the body exceeds limits.body_bytes ({self._shared.limits.body_bytes})"

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        self._raw_bytes = 0
        if self._body_size > self._shared.limits.body_bytes:
            self._fail("body_too_large", self._body_limit)
        elif self._phase != _CLOSING:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        if self._phase == _CLOSING or self._parser.should_upgrade():
            return
        parser, headers, chunks = self._parser, self._headers, self._chunks
        keep_alive = parser.should_keep_alive() and not self._shared.stopping
        target, body = self._target, chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._begin()
        self._take(
            parser.get_method(), target, headers, body, keep_alive, parser.get_http_version()
        )

    def _take(
        self, method: bytes, target: bytes, headers: dict[bytes, bytes], body: bytes,
        keep_alive: bool, version: str,
    ) -> None:  # fmt: skip
        """Hand on a whole request."""
        self.since = self._shared.now
        slot = Slot(self, headers.get(b"origin", b""), keep_alive, version)
        self.slots.append(slot)
        respond = slot.respond
        if method == b"HEAD":
            respond = partial(_respond_bare, slot)
        self._shared.handler(Request(method, target, headers, body, self.peer.decode()), respond)
        if len(self.slots) >= _PIPELINE:
            self.full()

    def full(self) -> None:
        """More requests are under way than a client may have: read no further."""
        self._pause()

    def answered(self, slot: Slot, response: Response) -> None:
        """Render an answer; write it, and those behind it that wait, when it is its turn."""
        shared = self._shared
        shared.statuses[response.status] = shared.statuses.get(response.status, 0) + 1
        if response is SUCCESS and slot.keep_alive and slot.version == "1.1":
            slot.data = shared.success(slot.origin)
        else:
            slot.keep_alive = slot.keep_alive and not response.close
            http10 = b"1.0" if slot.version == "1.0" else b""
            slot.data = shared.render(response, slot.origin, slot.keep_alive, http10)
        self.send_answers()

    def send_answers(self) -> None:
        """Write the answers whose turn it is."""
        transport, slots = self.transport, self.slots
        if transport is None or transport.is_closing():
            return
        while slots and (data := slots[0].data) is not None:
            transport.write(data)
            if not slots.popleft().keep_alive:
                self._close()
                return
        if self.last and not slots:
            self._close()
        elif self._paused and not self._clogged and len(slots) < _PIPELINE // 2:
            self._resume()

    def _fail(self, code: str, message: str) -> None:
        """Refuse what is no request, after the answers that are still owed."""
        if self._phase == _CLOSING:
            return
        slot = Slot(self, self._headers.get(b"origin", b""), False, "1.1")
        self.slots.append(slot)
        self._enter(_CLOSING)
        slot.respond(refusal(code, message))

    def _close(self) -> None:
        """Close after what was written has left; what still arrives is thrown away meanwhile, or
        the client's system might drop our answer with a reset."""
        self._enter(_CLOSING)
        self.slots.clear()
        transport = self.transport
        if transport is None:
            return
        if transport.can_write_eof() and not self.last:
            transport.write_eof()
            asyncio.get_running_loop().call_later(_LINGER_SECONDS, transport.close)
            self._resume()
        else:
            transport.close()

    def _pause(self) -> None:
        if not self._paused and self.transport is not None:
            self._paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and self.transport is not None and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def check_time(self, now: float) -> None:
        """Close the connection if it takes too long over what it is doing."""
        limits, taken = self._shared.limits, now - self.since
        if self._phase == _HEADERS and taken > limits.header_seconds:
            REFUSED_CONNECTIONS.labels("header_timeout").inc()
            self._fail("timeout", "the headers took longer than limits.header_seconds")
        elif self._phase == _BODY and taken > limits.body_seconds:
            REFUSED_CONNECTIONS.labels("body_timeout").inc()
            self._fail("timeout", "the body took longer than limits.body_seconds")
        elif self._phase == _IDLE and not self.slots and taken > limits.idle_seconds:
            self._close()
        elif self._phase == _CLOSING and taken > limits.idle_seconds:
            # Its last answers were never read: a transport would wait for that without end.
            self.abort()

    def finish(self) -> None:
        """The server stops: close now if nothing is under way, else after the answer."""
        if self._phase == _IDLE and not self.slots:
            self._close()

    @property
    def busy(self) -> bool:
        if self.slots or self._phase in (_HEADERS, _BODY):
            return True
        return self.transport is not None and self.transport.get_write_buffer_size() > 0

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


def _respond_bare(slot: Slot, response: Response) -> None:
    slot.respond(replace(response, bare=True))
