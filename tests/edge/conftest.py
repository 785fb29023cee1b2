"""A real edge on a real socket, with the real log behind it."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvloop
from prometheus_client import Counter

from router.dedup import Dedup
from router.edge.rejected import Rejected, read_rejected
from router.edge.server import Edge
from router.event import unpack_block
from router.log import EventLog
from router.workspace.models import Limits, Server, Settings, Source, Workspace

OK = (200, b'{"success":true}')
"""Status and body of the usual answer."""
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Harness:
    """An edge with sources `web` (key `wk`), `strict` (`wk-strict`) and `off` (`wk-off`)."""

    def __init__(
        self, folder: Path, log_bytes: int = 1 << 30, inflight_bytes: int = 64 << 20
    ) -> None:
        self.folder = folder
        self.log = EventLog.open(
            folder / "log",
            segment_bytes=min(64 << 20, log_bytes),
            max_bytes=log_bytes,
            inflight_bytes=inflight_bytes,
        )
        self.dedup = Dedup.open(folder / "dedup", self.log, 24)
        self.rejected = Rejected(folder / "rejected", 1 << 20)
        self.edge = Edge(self.log, self.dedup, self.rejected)
        self.split = False
        self.configure()

    def configure(self, server: Server | None = None, **limits: Any) -> None:
        self.edge.apply(Workspace(
            settings=Settings(limits=Limits(**limits), server=server or Server()),
            sources={
                "web": Source(name="Web", write_key="wk"),
                "strict": Source(name="Strict", write_key="wk-strict", strict=True),
                "off": Source(name="Off", write_key="wk-off", enabled=False),
                "captured": Source(name="Captured", write_key="WK_TEST"),
                "captured-old": Source(name="Old", write_key="WK_OLD"),
            },
            destinations={}, digest="",
        ))  # fmt: skip

    async def __aenter__(self) -> Harness:
        await self.edge.start("127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.edge.stop(1)
        await self.dedup.close()
        await self.rejected.close()
        await self.log.close()

    def stored(self) -> list[dict[str, Any]]:
        return [orjson.loads(raw) for raw in self.stored_raw()]

    def stored_raw(self) -> list[bytes]:
        found: list[bytes] = []
        offset = self.log.start
        while records := self.log.read(offset):
            for record in records:
                found += unpack_block(record.payload).events
            offset = records[-1].offset + records[-1].count
        return found

    def refused(self) -> list[dict[str, Any]]:
        self.rejected.flush()
        return list(read_rejected(self.folder / "rejected", 1000))

    async def raw(self, *parts: bytes, pause: float = 0.0, eof: bool = True) -> bytes:
        """Send bytes as they are; what comes back until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.edge.port)
        for part in parts:
            writer.write(part)
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)
        if eof and writer.can_write_eof():
            writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer

    async def send(
        self, method: str, path: str, body: bytes | Any = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request, in one packet or two; status, headers (lower case) and body of the answer."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        whole = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data
        if self.split:
            return parse_answer(await self.raw(whole[:-1], whole[-1:], pause=0.002))
        return parse_answer(await self.raw(whole))

    def count(self, metric: Counter, *labels: str) -> float:
        """What a metric of this process stands at."""
        self.edge.measure()
        return float((metric.labels(*labels) if labels else metric)._value.get())


def parse_answer(data: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), {k.lower(): v for k, v in headers.items()}, body


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def track(**members: Any) -> dict[str, Any]:
    return {"userId": "u", "event": "E", "writeKey": "wk", **members}


async def post(edge: Harness, path: str, body: Any, **headers: str) -> tuple[int, bytes]:
    status, _, answer = await edge.send("POST", path, body, **headers)
    return status, answer


async def one(edge: Harness, event: Any, path: str = "/v1/track", **headers: str) -> dict[str, Any]:
    """Send an event that is fine; the one thing stored."""
    assert await post(edge, path, event, **headers) == OK
    (stored,) = edge.stored()
    return stored


@pytest.fixture
def event_loop_policy() -> uvloop.EventLoopPolicy:
    """The loop that `router serve` runs on."""
    return uvloop.EventLoopPolicy()


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Harness]:
    async with Harness(tmp_path) as harness:
        yield harness


@pytest.fixture(params=["lane", "split"])
async def api(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    """The edge by both ways: a request in one packet may take the lane, in two it never does."""
    async with Harness(tmp_path) as harness:
        harness.split = request.param == "split"
        yield harness
