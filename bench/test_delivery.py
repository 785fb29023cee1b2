"""From the log to a local sink, against a loop that only posts the same bytes through aiohttp."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import orjson
import pytest
import uvloop

from bench.conftest import Server
from bench.test_edge import event
from router.delivery.dead_letters import DeadLetters
from router.delivery.fleet import Fleet
from router.delivery.overview import Overview
from router.destinations import catalog, compile_destination
from router.event import pack_block
from router.log import EventLog
from router.log.feed import Feed
from router.memory import calm_gc, keep_memory
from router.store import Store
from router.workspace.models import Batch, Destination, Settings, Workspace

_ROUNDS = 5
_CONCURRENCY = 4
_SINGLE_CONCURRENCY = 16
_EVENTS = 200_000
_SINGLES = 8_000
_PACE = 1_000
_PACED_SECONDS = 4
MIB = 1024 * 1024


@pytest.fixture(scope="module", autouse=True)
def one_core() -> Iterator[None]:
    """We on one core, the sink on the other."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    keep_memory()
    calm_gc()
    yield
    gc.unfreeze()
    os.sched_setaffinity(0, before)


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = Server("sink", tmp_path_factory.mktemp("sink"))
    yield f"http://127.0.0.1:{server.port}/"
    server.stop()


def stored(number: int) -> bytes:
    """An event as the edge stores it."""
    body = event(None) | {"receivedAt": "2026-11-24T05:22:51.900Z"}
    return orjson.dumps({"messageId": f"m-{number:08d}-0123456789abcdef0123"} | body)


async def fill(log: EventLog, first: int, count: int) -> None:
    """Append `count` events in blocks of 20, received now."""
    for start in range(first, first + count, 20):
        events = [stored(number) for number in range(start, min(start + 20, first + count))]
        size = len(events)
        await log.append_wait(
            pack_block("web", [0] * size, [0] * size, events), size, int(time.time() * 1000)
        )


class Bench:
    """A log with events, and fleets on it that begin at its start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = EventLog.open(
            folder / "log", segment_bytes=64 * MIB, max_bytes=4096 * MIB, inflight_bytes=64 * MIB
        )
        self.feed = Feed(self.log)

    @asynccontextmanager
    async def fleet(self, destinations: dict[str, Destination]) -> AsyncIterator[Fleet]:
        """Runs `destinations` until the block ends; their state is new each time."""
        place = self.folder / f"run-{time.time_ns()}"
        store, overview = Store(place / "state"), Overview(place / "overview")
        fleet = Fleet(self.feed, store, DeadLetters(place / "dead", MIB), overview)
        known = catalog()
        compiled = {
            id_: compile_destination(known.spec(one.destination), id_, one)
            for id_, one in destinations.items()
        }
        settings = Settings()
        workspace = Workspace(settings=settings, sources={}, destinations=destinations, digest="")
        self.feed.start()
        overview.start()
        await fleet.start(workspace, compiled)
        try:
            yield fleet
        finally:
            for consumer in fleet.consumers.values():
                await consumer.stop(0)
            await fleet.stop()
            await self.feed.stop()
            await store.close()
            await overview.close()


def webhook(url: str, batch: int, **more: Any) -> Destination:
    return Destination(
        destination="webhook", start="earliest",
        settings={"url": url, "batch": batch > 1},
        batch=Batch(events=batch if batch > 1 else None), **more,
    )  # fmt: skip


async def until_done(fleet: Fleet, ids: list[str], end: int) -> None:
    while any(fleet.consumers[id_].tracker.cursor < end for id_ in ids):
        await asyncio.sleep(0.002)


async def post_all(url: str, bodies: list[bytes], concurrency: int) -> None:
    """The baseline: the bodies are there, and go out."""
    left = iter(bodies)
    async with aiohttp.ClientSession() as session:

        async def worker() -> None:
            for body in left:
                async with session.post(
                    url, data=body, headers={"Content-Type": "application/json"}
                ) as answer:
                    await answer.read()

        await asyncio.gather(*(worker() for _ in range(concurrency)))


def measure(
    benchmark: Any, folder: Path, url: str, batch: int, count: int, concurrency: int
) -> None:
    """Rounds of both in turn; notes the ratio of their median times, and CPU per event."""
    times: list[float] = []
    cpu: list[float] = []
    baseline: list[float] = []

    async def main() -> None:
        bench = Bench(folder)
        await fill(bench.log, 0, count)
        for _ in range(_ROUNDS):
            bodies = [
                stored(at)
                if batch == 1
                else b'{"batch":[%b]}'
                % b",".join([stored(number) for number in range(at, at + batch)])
                for at in range(0, count, batch)
            ]
            started = time.perf_counter()
            await post_all(url, bodies, concurrency)
            baseline.append(time.perf_counter() - started)
            del bodies
            async with bench.fleet({"sink": webhook(url, batch, concurrency=concurrency)}) as fleet:
                started, busy = time.perf_counter(), time.process_time()
                await until_done(fleet, ["sink"], bench.log.end)
                times.append(time.perf_counter() - started)
                cpu.append((time.process_time() - busy) / count)
        await bench.log.close()

    benchmark.pedantic(lambda: uvloop.run(main()), rounds=1)
    ours, theirs = median(times), median(baseline)
    benchmark.extra_info.update(
        ratio=theirs / ours,
        baseline=f"aiohttp posting the same bytes, {count / theirs:,.0f} events/s against "
        f"{count / ours:,.0f}; {median(cpu) * 1e6:.1f} µs of CPU an event",
    )  # fmt: skip


@pytest.mark.benchmark(group="delivery")
def test_batches_of_100(benchmark: Any, tmp_path: Path, sink: str) -> None:
    benchmark.extra_info["floor"] = 0.60
    measure(benchmark, tmp_path, sink, 100, _EVENTS, _CONCURRENCY)


@pytest.mark.benchmark(group="delivery")
def test_one_event_a_request(benchmark: Any, tmp_path: Path, sink: str) -> None:
    benchmark.extra_info["floor"] = 0.70
    measure(benchmark, tmp_path, sink, 1, _SINGLES, _SINGLE_CONCURRENCY)


@asynccontextmanager
async def slow_sink(seconds: float) -> AsyncIterator[str]:
    """Takes one request after the other, `seconds` each."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(size)
                await asyncio.sleep(seconds)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=4 * MIB)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    server.close()


class Isolation:
    """Two healthy destinations, alone or beside one that never answers and one that is slow."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.hole = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.healthy = {"a": webhook(url, 100), "b": webhook(url, 100)}

    @asynccontextmanager
    async def fleet(self, bench: Bench, troubled: bool) -> AsyncIterator[Fleet]:
        async with slow_sink(100 / (0.1 * _PACE)) as slow:
            others = {
                "hole": webhook(f"http://127.0.0.1:{self.hole.getsockname()[1]}/", 100),
                "slow": webhook(slow, 100, concurrency=1),
            }
            async with bench.fleet(self.healthy | (others if troubled else {})) as fleet:
                yield fleet

    async def backlog(self, bench: Bench, troubled: bool) -> float:
        """Seconds until both healthy ones have worked off the whole log."""
        started = time.perf_counter()
        async with self.fleet(bench, troubled) as fleet:
            await until_done(fleet, ["a", "b"], bench.log.end)
            return time.perf_counter() - started

    async def paced(self, bench: Bench, troubled: bool) -> float:
        """The 99th percentile of the healthy ones' latency at a steady pace, in seconds."""
        async with self.fleet(bench, troubled) as fleet:
            await until_done(fleet, ["a", "b"], bench.log.end)
            for id_ in ("a", "b"):
                fleet.overview.of(id_).take()
            started = time.monotonic()
            for number in range(_PACE * _PACED_SECONDS // 20):
                await asyncio.sleep(max(0.0, started + number * 20 / _PACE - time.monotonic()))
                await fill(bench.log, 1_000_000 + number * 20, 20)
            await until_done(fleet, ["a", "b"], bench.log.end)
            found = [fleet.overview.summary(id_, 5)["latency"]["p99"] for id_ in ("a", "b")]
            return max(found)


@pytest.mark.benchmark(group="delivery")
@pytest.mark.parametrize("what", ["throughput", "p99"])
def test_healthy_destinations_beside_a_black_hole_and_a_slow_one(
    benchmark: Any, tmp_path: Path, sink: str, what: str
) -> None:
    """Alone over beside: 1.0 is perfect isolation."""
    alone: list[float] = []
    beside: list[float] = []

    async def main() -> None:
        bench, isolation = Bench(tmp_path), Isolation(tmp_path, sink)
        await fill(bench.log, 0, _EVENTS if what == "throughput" else 100)
        run = isolation.backlog if what == "throughput" else isolation.paced
        for _ in range(_ROUNDS):
            alone.append(await run(bench, troubled=False))
            beside.append(await run(bench, troubled=True))
        await bench.log.close()
        isolation.hole.close()

    benchmark.pedantic(lambda: uvloop.run(main()), rounds=1)
    one, two = median(alone), median(beside)
    benchmark.extra_info.update(
        ratio=one / two, floor=0.9,
        baseline=f"the same two alone, {one * 1e3:,.1f} ms against {two * 1e3:,.1f}",
    )  # fmt: skip
