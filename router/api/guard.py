"""Who may use the control port: the bearer token, and no page of a foreign site."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

_OPEN = frozenset({"/", "/health", "/ready", "/metrics"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _host_name(header: str) -> str:
    if header.startswith("["):
        return header[1:].split("]", 1)[0]
    return header.rsplit(":", 1)[0] if ":" in header else header


def make_guard(host: str, token: str) -> Middleware:
    """A middleware. Without a token only requests addressed to loopback names are served, so that
    a web page cannot reach the API by a name of its own that resolves here (DNS rebinding)."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if token and request.path not in _OPEN:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), token.encode()):
                return _refusal(401, "send `Authorization: Bearer <control.token>`")
        if not token and host in _LOOPBACK and _host_name(request.host) not in _LOOPBACK:
            return _refusal(403, "this port answers only to 127.0.0.1 and localhost")
        if request.method not in _SAFE and "Origin" in request.headers:
            origin = request.headers["Origin"].split("://", 1)[-1]
            if origin != request.host:
                return _refusal(403, "a page of another site may not change anything here")
        return await handler(request)

    return guard


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
