"""What is measured, each in a process of its own: `python -m bench.servers NAME DIR [URL]`, with
`edge`, `delivering` (the whole router, with one webhook in batches to URL), `sink` (what it delivers
to, on the load's core), `aiohttp` (on asyncio's own loop, as it comes) or `aiohttp-uvloop`.

Prints the port it listens on, and runs until its standard input ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import uvloop
from aiohttp import web

from router.app import App
from router.dedup import Dedup
from router.edge.rejected import Rejected
from router.edge.server import Edge
from router.log import EventLog
from router.memory import calm_gc
from router.workspace.models import Settings, Source, Workspace

MIB = 1024 * 1024


async def until_eof() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def edge(folder: Path) -> None:
    """The whole edge with its log and deduplication, without delivery."""
    log = EventLog.open(
        folder / "log", segment_bytes=64 * MIB, max_bytes=4096 * MIB, inflight_bytes=64 * MIB
    )
    dedup = Dedup.open(folder / "dedup", log, 24)
    rejected = Rejected(folder / "rejected", MIB)
    server = Edge(log, dedup, rejected)
    server.apply(Workspace(
        settings=Settings(), sources={"bench": Source(name="Bench", write_key="bench")},
        destinations={}, digest="",
    ))  # fmt: skip
    dedup.start()
    await server.start("127.0.0.1", 0)
    calm_gc()
    trimmer = asyncio.get_running_loop().create_task(trim(log))
    print(server.port, flush=True)
    await until_eof()
    trimmer.cancel()
    await server.stop(1)
    await dedup.close()
    await log.close()


async def delivering(folder: Path, url: str) -> None:
    """The whole router, as `router serve` runs it."""
    for name, text in {
        "workspace/router.toml": "[server]\nport = 0\n[control]\nport = 0\n[log]\nhours = 0.001\n",
        "workspace/sources/bench.toml": 'name = "Bench"\nwrite_key = "bench"\n',
        "workspace/destinations/sink.toml": f'destination = "webhook"\n[settings]\n'
        f'url = "{url}"\nbatch = true\n',
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    app = App(folder / "workspace", folder / "data", {})
    await app.start()
    print(app.edge.port, flush=True)
    await until_eof()
    await app.stop()


class Sink(asyncio.Protocol):
    """Answers 200 to every POST with a Content-Length, and reads nothing else of it."""

    def __init__(self) -> None:
        self._left, self._head = 0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        while data:
            if self._left == 0:
                head, end, data = (self._head + data).partition(b"\r\n\r\n")
                if not end:
                    self._head = head
                    return
                self._head = b""
                self._left = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            taken = min(self._left, len(data))
            self._left -= taken
            data = data[taken:]
            if self._left == 0:
                self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")  # type: ignore[attr-defined]


async def sink() -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await until_eof()


async def trim(log: EventLog) -> None:
    """Retention as the running router has it: what everybody has read may go."""
    while True:
        await asyncio.sleep(1)
        log.retain(floor=log.end, keep_after_ms=1 << 62)


async def plain() -> None:
    """The baseline: an aiohttp handler that reads the body and stores nothing."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=b'{"success":true}', content_type="application/json")

    app = web.Application(client_max_size=4 * MIB)
    app.router.add_post("/v1/{name}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await until_eof()
    await runner.cleanup()


def main(name: str, folder: str, *more: str) -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores) if name == "sink" else min(cores)})
    if name == "aiohttp":
        asyncio.run(plain())
    elif name == "aiohttp-uvloop":
        uvloop.run(plain())
    elif name == "edge":
        uvloop.run(edge(Path(folder)))
    elif name == "delivering":
        uvloop.run(delivering(Path(folder), *more))
    elif name == "sink":
        uvloop.run(sink())


if __name__ == "__main__":
    main(*sys.argv[1:])
