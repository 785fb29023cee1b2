"""The control port's routes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from router import __version__
from router.api.guard import make_guard
from router.api.tap import tap
from router.log.feed import Feed
from router.metrics import exposition

_INDEX = """Event Router {version}, control port

GET  /health /ready /metrics
GET  /v1/destinations               state of every destination
GET  /v1/tap?type=&source=&where=   live events, JSON lines
GET  /v1/dead-letters               counts; /v1/dead-letters/<destination>
POST /v1/dead-letters/<destination>/retry
GET  /v1/rejected?limit=            refused events, newest first
POST /v1/reload
"""


class Backend(Protocol):
    """What the API needs of the running router; `router.app` provides it."""

    data: Path
    feed: Feed

    def ready(self) -> str: ...
    def destinations(self) -> list[dict[str, object]]: ...
    def rejected(self, limit: int, reason: str | None) -> list[dict[str, Any]]: ...
    async def dead_letter_counts(self) -> dict[str, int]: ...
    async def dead_letters(self, destination: str, limit: int) -> list[dict[str, object]]: ...
    async def retry_dead_letters(self, destination: str, ids: set[str] | None) -> int: ...
    async def reload(self) -> str: ...
    def measure(self) -> None: ...


class Api:
    """Serves `backend` on the control port."""

    def __init__(self, backend: Backend, host: str, token: str) -> None:
        self._backend, self._host = backend, host
        self._app = web.Application(middlewares=[make_guard(host, token)])
        self._app.add_routes([
            web.get("/", self._index),
            web.get("/health", self._health),
            web.get("/ready", self._ready),
            web.get("/metrics", self._metrics),
            web.get("/v1/destinations", self._destinations),
            web.get("/v1/tap", self._tap),
            web.get("/v1/rejected", self._rejected),
            web.get("/v1/dead-letters", self._dead_letter_counts),
            web.get("/v1/dead-letters/{destination}", self._dead_letters),
            web.post("/v1/dead-letters/{destination}/retry", self._retry),
            web.post("/v1/reload", self._reload),
        ])  # fmt: skip
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=1.0)
        self.port = 0

    async def start(self, port: int) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(text=_INDEX.format(version=__version__))

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "version": __version__})

    async def _ready(self, _: web.Request) -> web.Response:
        why_not = self._backend.ready()
        if why_not:
            return web.json_response({"status": "not ready", "reason": why_not}, status=503)
        return web.json_response({"status": "ready"})

    async def _metrics(self, _: web.Request) -> web.Response:
        self._backend.measure()
        return web.Response(
            body=exposition(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def _destinations(self, _: web.Request) -> web.Response:
        return web.json_response(self._backend.destinations())

    async def _tap(self, request: web.Request) -> web.StreamResponse:
        return await tap(request, self._backend.feed)

    async def _rejected(self, request: web.Request) -> web.Response:
        limit = _number(request, "limit", 100)
        return web.json_response(self._backend.rejected(limit, request.query.get("reason")))

    async def _dead_letter_counts(self, _: web.Request) -> web.Response:
        return web.json_response(await self._backend.dead_letter_counts())

    async def _dead_letters(self, request: web.Request) -> web.Response:
        limit = _number(request, "limit", 100)
        destination = request.match_info["destination"]
        return web.json_response(await self._backend.dead_letters(destination, limit))

    async def _retry(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else {}
        ids = set(map(str, body["ids"])) if body.get("ids") else None
        destination = request.match_info["destination"]
        count = await self._backend.retry_dead_letters(destination, ids)
        return web.json_response({"retried": count})

    async def _reload(self, _: web.Request) -> web.Response:
        error = await self._backend.reload()
        if error:
            return web.json_response({"error": error}, status=422)
        return web.json_response({"status": "reloaded"})


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    if text and not text.isdecimal():
        raise web.HTTPBadRequest(text=f"{name}: {text!r} is not a number")
    return int(text or default)
