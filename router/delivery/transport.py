"""The one HTTP client all destinations share: pooled, TLS verified, answers capped.

Redirects are followed to the same origin only (RFC 6454): a vendor's answer decides neither who
gets the events nor who gets the credentials.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import aiohttp
from isal import isal_zlib
from isal.igzip_lib import IsalError
from yarl import URL

from router import __version__
from router.delivery.addresses import NotPublic, Resolver, is_public, literal
from router.delivery.wire import Broken, TooSlow, Wire
from router.destinations.request import Request

_ANSWER_BYTES = 1024 * 1024
_CONNECT_SECONDS = 10.0
_CONNECTIONS_PER_HOST = 100
_DNS_SECONDS = 60
_KEEP_ALIVE_SECONDS = 15.0
_REDIRECTS = 3
_SAME_REQUEST = frozenset({307, 308})
_OTHER_REQUEST = frozenset({301, 302, 303})
_HEADERS = {
    "User-Agent": f"EventRouter/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}
_WRONG_HOST = 62
"""X509_V_ERR_HOSTNAME_MISMATCH, whose text has the host in it."""


class Answer(NamedTuple):
    """What a vendor answered; `body` is inflated and cut at 1 MiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unreachable(Exception):
    """No answer came; the text says why without naming the URL, which may hold a secret."""


class Transport:
    """Sends requests. Must be made and closed on the running loop.

    A proxy is taken from the environment as it was then: HTTP_PROXY, HTTPS_PROXY, NO_PROXY.
    """

    def __init__(
        self,
        *,
        connect_seconds: float = _CONNECT_SECONDS,
        connections_per_host: int = _CONNECTIONS_PER_HOST,
    ) -> None:
        self._connect_seconds, self._per_host = connect_seconds, connections_per_host
        self._proxies = getproxies_environment()
        self._anywhere, self._resolver = self._wire(public_only=False)
        self._public, self._public_resolver = self._wire(public_only=True)
        self._session: aiohttp.ClientSession | None = None

    def _wire(self, public_only: bool) -> tuple[Wire, Resolver]:
        resolver = Resolver(public_only)
        wire = Wire(
            resolver, connect_seconds=self._connect_seconds, per_host=self._per_host,
            limit=_ANSWER_BYTES,
        )  # fmt: skip
        return wire, resolver

    def _through_proxy(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, limit_per_host=self._per_host, ttl_dns_cache=_DNS_SECONDS,
                    keepalive_timeout=_KEEP_ALIVE_SECONDS, resolver=self._resolver,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds),
                auto_decompress=False,
            )  # fmt: skip
        return self._session

    async def send(self, request: Request, seconds: float, public_only: bool = False) -> Answer:
        """One request, and at most three redirects to the same origin. Raises `Unreachable`.

        The answer has to begin within `seconds` and to be there within twice that, all redirects
        included. With `public_only` the host may not be in a private network, nor a proxy be
        used, which would look it up by itself.
        """
        clock = asyncio.timeout(seconds)
        begun = asyncio.get_running_loop().time()
        end = begun + 2 * seconds
        try:
            async with clock:
                url = URL(request.url)
                for _ in range(_REDIRECTS):
                    answer = await self._once(request, url, public_only, clock, end)
                    target = _redirect(request.method, url, answer)
                    if target is None:
                        return answer
                    url = target
                    clock.reschedule(begun + seconds)
                return await self._once(request, url, public_only, clock, end)
        except (aiohttp.ServerTimeoutError, TooSlow):
            raise Unreachable(f"no connection within {self._connect_seconds:g} s") from None
        except TimeoutError:
            if clock.when() == end:
                raise Unreachable(f"the answer took more than {2 * seconds:g} s") from None
            raise Unreachable(f"no answer within {seconds:g} s") from None
        except (aiohttp.ClientError, Broken, OSError, ValueError) as error:
            raise Unreachable(_why(error)) from None

    async def _once(
        self, request: Request, url: URL, public_only: bool, clock: asyncio.Timeout, end: float
    ) -> Answer:
        headers = _HEADERS | request.headers
        wire, proxy = self._anywhere, None
        if public_only:
            spelled = literal(url.host or "")
            if spelled is not None and not is_public(spelled):
                raise NotPublic("the host is an address that is not public")
            wire = self._public
        elif self._proxies:
            proxy = _proxy_for(self._proxies, url.scheme, f"{url.host}:{url.port}")
        if proxy is not None:
            return await self._once_proxied(request, url, headers, proxy, clock, end)
        status, found, raw = await wire.send(
            request.method, url, headers, request.body, partial(clock.reschedule, end)
        )
        return Answer(status, found, inflate(raw, found.get("Content-Encoding", "")))

    async def _once_proxied(
        self, request: Request, url: URL, headers: dict[str, str], proxy: str,
        clock: asyncio.Timeout, end: float,
    ) -> Answer:  # fmt: skip
        async with self._through_proxy().request(
            request.method, url, headers=headers, data=request.body, proxy=proxy,
            allow_redirects=False,
        ) as response:  # fmt: skip
            clock.reschedule(end)
            try:
                raw = await _read(response)
            except BaseException:
                response.close()
                raise
            encoding = response.headers.get("Content-Encoding", "")
            return Answer(response.status, response.headers, inflate(raw, encoding))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        await self._anywhere.close()
        await self._public.close()
        await self._resolver.close()
        await self._public_resolver.close()


def _proxy_for(proxies: dict[str, str], scheme: str, host: str) -> str | None:
    if proxy_bypass_environment(host, proxies):
        return None
    return proxies.get(scheme) or proxies.get("all")


def _redirect(method: str, url: URL, answer: Answer) -> URL | None:
    """Where to send the same request again; None where the answer is to be taken as it is.

    301, 302 and 303 make a GET of a POST in practice (RFC 9110, section 15.4), whose 200 would say
    that an event was delivered which nobody got.
    """
    if answer.status not in _SAME_REQUEST and not (
        answer.status in _OTHER_REQUEST and method in ("GET", "HEAD")
    ):
        return None
    location = answer.headers.get("Location", "")
    try:
        target = url.join(URL(location))
    except ValueError:
        return None
    return target if location and target.origin() == url.origin() else None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body as sent, its first MiB."""
    chunks: list[bytes] = []
    room = _ANSWER_BYTES
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        room -= len(chunk)
        if room <= 0:
            response.close()
            break
    return b"".join(chunks)[:_ANSWER_BYTES]


def inflate(body: bytes, encoding: str, limit: int = _ANSWER_BYTES) -> bytes:
    """`body` without its Content-Encoding, at most `limit` bytes, also where it is cut off. What
    is not as it says, or in a coding that was not asked for, is as good as empty."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name in ("gzip", "x-gzip"):
        wbits = 31
    elif name == "deflate":
        # RFC 9110 means zlib; some servers send the bare stream.
        zlib = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
        wbits = 15 if zlib else -15
    else:
        return b""
    try:
        return bytes(isal_zlib.decompressobj(wbits=wbits).decompress(body, limit))
    except IsalError:  # type: ignore[misc]
        return b""


def _why(error: BaseException) -> str:
    if isinstance(error, NotPublic):
        return str(error)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the TLS certificate is refused: {_certificate(error.certificate_error)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the TLS certificate is refused: {_certificate(error)}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {_plain(error.os_error)}"
    if isinstance(error, ValueError):
        return f"the request cannot be made: {type(error).__name__}"
    if isinstance(error, Broken):
        return f"connection failed: {error}"
    if isinstance(error, OSError) and not isinstance(error, aiohttp.ClientError):
        return f"cannot connect: {_plain(error)}"
    return f"connection failed: {type(error).__name__}"


def _certificate(error: BaseException) -> str:
    if getattr(error, "verify_code", 0) == _WRONG_HOST:
        return "it is for another host"
    return getattr(error, "verify_message", "") or type(error).__name__


def _plain(error: OSError) -> str:
    if isinstance(error, NotPublic):
        return str(error)
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS failed"
    if not isinstance(error, socket.gaierror) and error.errno in errno.errorcode:
        # The text of asyncio's own has the address in it.
        return os.strerror(error.errno or 0)
    return error.strerror or type(error).__name__
