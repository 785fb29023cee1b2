"""HTTP/1.1 to vendors: llhttp reads the answers (httptools), connections are kept and used again.

Only what delivery needs of a client: one request at a time on a connection, a body that is there as
a whole, an answer read up to a limit. What needs more (a proxy) goes through aiohttp. Why it is our
own: docs/decisions/004.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import aiohappyeyeballs
import httptools
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

_KEEP_SECONDS = 15.0
_DNS_SECONDS = 60.0
_HAPPY_SECONDS = 0.25
_HEAD_BYTES = 64 * 1024
_Origin = tuple[str, str, int]
_OnHead = Callable[[], None]


class Broken(Exception):
    """The connection ended, or what came is no HTTP, before the answer was whole."""


class TooSlow(Exception):
    """No connection came about in time."""


class _Connection(asyncio.Protocol):
    """One connection and the answer that is being read from it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[None] | None = None
        self._on_head: _OnHead | None = None
        self.idle_since = 0.0
        self.begun = False
        """Did anything of the answer come?"""
        self.closed = False
        self.status = 0
        self.headers: CIMultiDict[str] = CIMultiDict()
        self.chunks: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is of no class of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def ask(
        self, head: bytes, body: bytes, bodyless: bool, on_head: _OnHead
    ) -> asyncio.Future[None]:
        """Send a request; the future ends when the answer is whole, or with `Broken`."""
        assert self._transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self._bodyless, self._on_head = bodyless, on_head
        self.status, self.begun = 0, False
        self.headers, self.chunks = CIMultiDict(), []
        self._room, self._head_room = self._limit, _HEAD_BYTES
        self._in_body = self._keep = False
        self._answer = asyncio.get_running_loop().create_future()
        if len(body) < 4096:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        return self._answer

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.close()
            return
        self.begun = True
        if not self._in_body:
            self._head_room -= len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._answer.done():
                self._fail(type(error).__name__)
            return
        if self._head_room < 0 and not self._in_body:
            self._fail("the head is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.add(name.decode("latin-1"), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            self.headers = CIMultiDict()
            return
        self._in_body = True
        if self._on_head is not None:
            self._on_head()
        if self._bodyless:
            # A 2xx or 3xx to HEAD tells the length of a body that does not come.
            self._finish(False)

    def on_body(self, data: bytes) -> None:
        self.chunks.append(data)
        self._room -= len(data)
        if self._room <= 0:
            self._finish(False)

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self._finish(self._parser.should_keep_alive())

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self._answer is None or self._answer.done():
            return
        sized = "Content-Length" in self.headers or "Transfer-Encoding" in self.headers
        if self._in_body and not sized and error is None:
            # Its end is the connection's (RFC 9112, section 6.3).
            self._finish(False)
        else:
            self._fail(type(error).__name__ if error is not None else "ServerDisconnected")

    def _finish(self, keep: bool) -> None:
        assert self._answer is not None
        if not self._answer.done():
            self._keep = keep
            self._answer.set_result(None)

    def _fail(self, why: str) -> None:
        assert self._answer is not None
        if not self._answer.done():
            self._answer.set_exception(Broken(why))

    @property
    def usable(self) -> bool:
        """May another request go over it?"""
        return self._keep and not self.closed

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()


class _Host:
    """The connections to one origin."""

    def __init__(self) -> None:
        self.idle: list[_Connection] = []
        self.count = 0
        self.waiting: deque[asyncio.Future[None]] = deque()


class Wire:
    """Connections by origin. Lives on one loop.

    `connect_seconds` bounds each connection's making, `per_host` how many there are to one origin,
    `limit` the bytes of an answer that are read.
    """

    def __init__(
        self, resolver: AbstractResolver, *, connect_seconds: float, per_host: int, limit: int
    ) -> None:
        self._resolver, self._connect_seconds = resolver, connect_seconds
        self._per_host, self._limit = per_host, limit
        self._hosts: dict[_Origin, _Host] = {}
        self._names: dict[tuple[str, int], tuple[float, list[aiohappyeyeballs.AddrInfoType]]] = {}
        self._tls: ssl.SSLContext | None = None
        self._heads: dict[tuple[str, URL], bytes] = {}

    async def send(
        self, method: str, url: URL, headers: dict[str, str], body: bytes, on_head: _OnHead
    ) -> tuple[int, CIMultiDict[str], bytes]:
        """One request and its answer. `on_head` is called when the answer's head is there.

        Raises `Broken`, `TooSlow`, `OSError` (`ssl.SSLError` among it) or `ValueError`.
        """
        head = self._head(method, url, headers, len(body))
        origin = (url.scheme, url.raw_host or "", url.port or 0)
        while True:
            host, connection = await self._take(origin)
            again = connection.idle_since > 0
            connection.idle_since = 0.0
            try:
                await connection.ask(head, body, method == "HEAD", on_head)
            except Broken:
                connection.close()
                if again and not connection.begun:
                    # The other side had closed it meanwhile: that says nothing of the request.
                    continue
                raise
            finally:
                self._give_back(host, connection)
            return connection.status, connection.headers, b"".join(connection.chunks)[: self._limit]

    def _head(self, method: str, url: URL, headers: dict[str, str], length: int) -> bytes:
        start = self._heads.get((method, url))
        if start is None:
            if url.scheme not in ("http", "https") or not url.raw_host:
                raise ValueError("the URL has no scheme or host that can be asked")
            host = f"[{url.raw_host}]" if ":" in url.raw_host else url.raw_host
            if not url.is_default_port():
                host += f":{url.port}"
            start = f"{method} {url.raw_path_qs} HTTP/1.1\r\nHost: {host}\r\n".encode("ascii")
            if len(self._heads) >= 1000:
                self._heads.clear()
            self._heads[method, url] = start
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        if body_allowed(method) or length:
            lines.append(f"Content-Length: {length}\r\n")
        text = "".join(lines)
        if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
            raise ValueError("a header has a line end in it")
        return start + text.encode("utf-8") + b"\r\n"

    async def _take(self, origin: _Origin) -> tuple[_Host, _Connection]:
        host = self._hosts.get(origin)
        if host is None:
            host = self._hosts[origin] = _Host()
        while host.count - len(host.idle) >= self._per_host:
            turn = asyncio.get_running_loop().create_future()
            host.waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._next(host)
                raise
        now = asyncio.get_running_loop().time()
        while host.idle:
            connection = host.idle.pop()
            if not connection.closed and now - connection.idle_since < _KEEP_SECONDS:
                return host, connection
            host.count -= 1
            connection.close()
        host.count += 1
        try:
            return host, await self._connect(*origin)
        except BaseException:
            host.count -= 1
            self._next(host)
            raise

    def _give_back(self, host: _Host, connection: _Connection) -> None:
        answer = connection._answer
        if answer is not None and answer.done() and not answer.cancelled() and connection.usable:
            connection.idle_since = asyncio.get_running_loop().time()
            host.idle.append(connection)
        else:
            host.count -= 1
            connection.close()
        self._next(host)

    @staticmethod
    def _next(host: _Host) -> None:
        while host.waiting:
            turn = host.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    async def _connect(self, scheme: str, name: str, port: int) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_seconds):
                sock = await aiohappyeyeballs.start_connection(
                    await self._addresses(name, port), happy_eyeballs_delay=_HAPPY_SECONDS
                )
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                tls = self._context() if scheme == "https" else None
                _, connection = await loop.create_connection(
                    lambda: _Connection(self._limit), sock=sock, ssl=tls,
                    server_hostname=name.rstrip(".") if tls else None,
                )  # fmt: skip
        except TimeoutError:
            raise TooSlow from None
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    async def _addresses(self, name: str, port: int) -> list[aiohappyeyeballs.AddrInfoType]:
        """Where `name` is, asked anew after a minute."""
        now = asyncio.get_running_loop().time()
        known = self._names.get((name, port))
        if known is not None and now < known[0]:
            return known[1]
        found: list[aiohappyeyeballs.AddrInfoType] = []
        for each in await self._resolver.resolve(name, port):
            family = socket.AddressFamily(each["family"])
            address = (each["host"], each["port"])
            if family is socket.AF_INET6:
                plain, _, scope = each["host"].partition("%")
                address = (plain, each["port"], 0, int(scope) if scope.isdecimal() else 0)  # type: ignore[assignment]
            found.append((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address))
        if len(self._names) >= 1000:
            self._names.clear()
        self._names[name, port] = (now + _DNS_SECONDS, found)
        return found

    async def close(self) -> None:
        """Close what is idle; what is in use is closed by its user."""
        for host in self._hosts.values():
            for connection in host.idle:
                connection.close()
            host.idle.clear()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)


def body_allowed(method: str) -> bool:
    """Has a request of this method a body as a rule, so that its length is told even if 0?"""
    return method not in ("GET", "HEAD", "DELETE", "OPTIONS", "TRACE")
