"""The edge as a server: it listens, routes, is reconfigured while running, and stops gracefully."""

from __future__ import annotations

import asyncio
import logging
import socket

from router import __version__
from router.dedup import Dedup
from router.edge.auth import SourceState, key_of_header, key_of_query
from router.edge.cors import preflight
from router.edge.intake import Intake
from router.edge.message import SUCCESS, Request, Respond, Response, as_json, refusal
from router.edge.pixel import GIF, pixel_body
from router.edge.protocol import Connection, Connections
from router.edge.rejected import Rejected
from router.edge.routes import Action, Route, find_route, settings_key
from router.edge.sdk_settings import rudder_config, segment_settings
from router.log import EventLog
from router.memory import keep_memory
from router.workspace.models import Server, Workspace

_log = logging.getLogger(__name__)
_BACKLOG = 1024
_STOP_POLL = 0.01


class Edge:
    """Serves the tracking API on one port."""

    def __init__(self, log: EventLog, dedup: Dedup, rejected: Rejected) -> None:
        self._intake = Intake(log, dedup, rejected)
        self._connections = Connections(self.handle, self._intake.lane)
        self._sources: dict[bytes, SourceState] = {}
        self._settings = Server()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self.port = 0

    def apply(self, workspace: Workspace) -> None:
        """Take up a workspace's sources and limits, between two events."""
        self._intake.count()
        self._sources = {
            source.write_key.encode(): SourceState(id_, source)
            for id_, source in workspace.sources.items()
        }
        self._settings = workspace.settings.server
        self._connections.limits = workspace.settings.limits
        self._intake.apply(workspace.settings, self._sources)

    async def start(self, host: str, port: int) -> None:
        keep_memory()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._connections), host, port, backlog=_BACKLOG
        )
        for listener in self._server.sockets:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._sweeper = loop.create_task(self._connections.sweep())

    async def stop(self, grace_seconds: float) -> None:
        """Accept no more connections, answer what is being received, close."""
        connections = self._connections
        connections.stop()
        if self._server is not None:
            self._server.close()
        for connection in list(connections.all):
            connection.finish()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_seconds
        while loop.time() < deadline and any(each.busy for each in connections.all):
            await asyncio.sleep(_STOP_POLL)
        for connection in list(connections.all):
            connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.measure()

    def measure(self) -> None:
        """Bring the metrics up to date."""
        self._intake.count()
        self._connections.count()

    def handle(self, request: Request, respond: Respond) -> None:
        """Answer one request, now or once its events are durable. Never raises."""
        try:
            self._handle(request, respond)
        except Exception:
            _log.exception("request failed")
            respond(refusal("internal_error", "the router could not handle this", status=503))

    def _handle(self, request: Request, respond: Respond) -> None:
        target = request.target
        if not target.startswith(b"/") and b"://" in target:  # as to a proxy (RFC 9112, 3.2.2)
            target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
        path, _, query = target.partition(b"?")
        if request.method == b"OPTIONS":
            respond(preflight(request))
            return
        route = find_route(path)
        if route is None:
            respond(_unknown(request))
        elif request.method not in route.methods:
            allowed = ", ".join(sorted(method.decode() for method in route.methods))
            respond(refusal("wrong_method", f"this path takes {allowed}"))
        elif route.action is Action.batch:
            self._intake.take(request, query, True, route.kind, respond)
        elif route.action is Action.single:
            self._intake.take(request, query, False, route.kind, respond)
        elif route.action is Action.pixel:
            if request.method == b"GET":
                self._pixel(request, query, route, respond)
            else:
                respond(GIF)
        else:
            respond(self._page(request, path, query, route.action))

    def _pixel(self, request: Request, query: bytes, route: Route, respond: Respond) -> None:
        """Always the image; 503 beside it only where the event could not be kept."""

        def answer(response: Response) -> None:
            respond(GIF if response.status != 503 else response)

        try:
            body = pixel_body(query)
        except ValueError as error:
            body = b""
            _log.debug("pixel refused", extra={"error": str(error)})
        request.body = body
        self._intake.take(request, query, False, route.kind, answer)

    def _page(self, request: Request, path: bytes, query: bytes, action: Action) -> Response:
        if action is Action.telemetry:
            return SUCCESS
        if action is Action.about:
            if path == b"/robots.txt":
                return Response(200, b"User-agent: *\nDisallow: /\n", content_type=b"text/plain")
            return as_json({"name": "event-router", "version": __version__, "status": "ok"})
        if action is Action.script:
            return refusal(
                "not_installed",
                "this router does not serve the browser SDK's files: "
                "load @segment/analytics-next from your own bundle",
                status=404,
            )
        key = settings_key(path) if action is Action.settings else None
        key = (
            key
            or key_of_header(request.headers.get(b"authorization", b""))
            or (key_of_query(query))
        )
        source = self._sources.get(key)
        if source is None or not source.enabled:
            return refusal("unknown_write_key", "no enabled source has this write key", "writeKey")
        if action is Action.settings:
            return segment_settings(source, request, self._settings)
        return rudder_config(source)


def _unknown(request: Request) -> Response:
    """400 for POSTs, which some SDKs would repeat for ever after a 404."""
    status = 400 if request.method == b"POST" else 404
    return refusal(
        "unknown_path",
        "there is nothing at this path; events go to /v1/batch or /v1/track, /v1/identify, …",
        status=status,
    )
