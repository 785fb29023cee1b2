"""The edge's server: one listening socket, its connections, and a workspace that may change."""

from __future__ import annotations

import asyncio
import ctypes
from contextlib import suppress

from router.dedup import Dedup
from router.edge.intake import Intake
from router.edge.protocol import Connection, Connections
from router.edge.rejected import Rejected
from router.edge.routes import Routes
from router.log import EventLog
from router.workspace.models import Workspace

_BACKLOG = 4096
_POLL_SECONDS = 0.01
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 4 * 1024 * 1024


class Edge:
    """The tracking API over one event log."""

    def __init__(self, log: EventLog, dedup: Dedup, rejected: Rejected) -> None:
        self._rejected = rejected
        self._intake = Intake(log, dedup, rejected)
        self._routes = Routes(self._intake)
        self._connections = Connections(self._routes.handle)
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self.port = 0
        """Where it listens, once started."""

    def apply(self, workspace: Workspace) -> None:
        """Use the sources and limits of `workspace` from the next request on."""
        self._intake.apply(workspace)
        self._routes.public_url = workspace.settings.server.public_url
        self._connections.limits = workspace.settings.limits
        self._rejected.max_bytes = workspace.settings.limits.rejected_bytes

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Raises `OSError` where the address is taken."""
        _keep_freed_memory()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._connections), host, port, backlog=_BACKLOG
        )
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._sweeper = loop.create_task(self._connections.sweep(self.measure))

    def measure(self) -> None:
        """Bring the metrics up to date."""
        self._intake.measure()
        self._connections.measure()

    async def stop(self, grace_seconds: float) -> None:
        """Accept nobody new, answer what is under way within the grace, and close."""
        if self._server is not None:
            self._server.close()
        await self._connections.finish(grace_seconds)
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper
        self.measure()


def _keep_freed_memory() -> None:
    """Let glibc reuse the memory of bodies: by default it maps and unmaps each of that size."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, 4 * _KEPT_BYTES)
