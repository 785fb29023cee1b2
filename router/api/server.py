"""The control port's routes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from router import __version__
from router.api.delivery import INDEX, DeliveryBackend, delivery_routes, number
from router.api.guard import make_guard
from router.api.tap import tap
from router.log.feed import Feed
from router.metrics import exposition

_INDEX = f"""Event Router {__version__}, control port

GET  /health /ready /metrics
GET  /v1/destinations               state of every destination
GET  /v1/tap?type=&source=&where=   live events, JSON lines
GET  /v1/rejected?limit=            refused events, newest first
POST /v1/reload
{INDEX}"""


class Backend(DeliveryBackend, Protocol):
    """What the API needs of the running router; `router.app` provides it."""

    data: Path
    feed: Feed

    def ready(self) -> str: ...
    def destinations(self) -> list[dict[str, object]]: ...
    def rejected(self, limit: int, reason: str | None) -> list[dict[str, Any]]: ...
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
            web.post("/v1/reload", self._reload),
            *delivery_routes(backend),
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
        return web.Response(text=_INDEX)

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
        limit = number(request, "limit", 100)
        return web.json_response(self._backend.rejected(limit, request.query.get("reason")))

    async def _reload(self, _: web.Request) -> web.Response:
        error = await self._backend.reload()
        if error:
            return web.json_response({"error": error}, status=422)
        return web.json_response({"status": "reloaded"})
