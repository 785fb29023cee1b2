"""The one HTTP client all destinations share: pooled, TLS verified, answers capped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp

from router import __version__
from router.destinations.request import Request

_ANSWER_BYTES = 1024 * 1024
_CONNECT_SECONDS = 10.0


class Answer(NamedTuple):
    """What a vendor answered; `body` is cut at 1 MiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unreachable(Exception):
    """No answer came; the text says why without naming the URL, which may hold a secret."""


class Transport:
    """Sends requests. Must be made and closed on the running loop."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=0, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"EventRouter/{__version__}"},
            trust_env=True,
            auto_decompress=True,
        )

    async def send(self, request: Request, seconds: float) -> Answer:
        """One request; redirects are answers like any other. Raises `Unreachable`."""
        try:
            async with self._session.request(
                request.method,
                request.url,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS),
            ) as response:
                return Answer(response.status, response.headers, await _read(response))
        except TimeoutError:
            raise Unreachable(f"no answer within {seconds:g} s") from None
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(f"cannot connect: {_plain(error.os_error)}") from None
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise Unreachable(f"connection failed: {type(error).__name__}") from None
        except ValueError as error:
            raise Unreachable(f"the request cannot be made: {type(error).__name__}") from None

    async def close(self) -> None:
        await self._session.close()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) >= _ANSWER_BYTES:
            response.close()
            return body[:_ANSWER_BYTES]
    return body


def _plain(error: OSError) -> str:
    return error.strerror or type(error).__name__
