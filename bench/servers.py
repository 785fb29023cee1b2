"""What is measured, each in a process of its own: `python -m bench.servers NAME DIR`, with
`edge`, `aiohttp` (on asyncio's own loop, as it comes) or `aiohttp-uvloop`.

Prints the port it listens on, and runs until its standard input ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import uvloop
from aiohttp import web

from router.dedup import Dedup
from router.edge.rejected import Rejected
from router.edge.server import Edge
from router.log import EventLog
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
    trimmer = asyncio.get_running_loop().create_task(trim(log))
    print(server.port, flush=True)
    await until_eof()
    trimmer.cancel()
    await server.stop(1)
    await dedup.close()
    await log.close()


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


if __name__ == "__main__":
    os.sched_setaffinity(0, {0})
    if sys.argv[1] == "aiohttp":
        asyncio.run(plain())
    elif sys.argv[1] == "aiohttp-uvloop":
        uvloop.run(plain())
    else:
        uvloop.run(edge(Path(sys.argv[2])))
