"""The edge, durable, against an aiohttp handler that only reads the body; rounds interleaved."""

from __future__ import annotations

import gzip
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import pytest

from bench.conftest import Server
from bench.load import MARK, Result, post

_ROUNDS = 5
_SYNCS = 500
_CONNECTIONS = 128
"""Enough that the server's core is the limit, and not the wait for the disk."""
_PACES = [2_000, 10_000]
"""Requests a second of the latency test; the second is half of what the aiohttp baseline can take."""


def event(number: int | None) -> dict[str, Any]:
    """About 1 KB; with a number, its messageId is new in every request."""
    body: dict[str, Any] = {
        "type": "track", "event": "Order Completed", "userId": "user-8f14e45f",
        "anonymousId": "5d2c1a4e-6b7f-4a53-9f1e-0c2b7d8e9f10",
        "timestamp": "2026-11-24T05:22:51.142Z",
        "context": {
            "library": {"name": "analytics-node", "version": "3.1.0"}, "locale": "en-US",
            "page": {"url": "https://shop.example.com/checkout/done", "title": "Thank you",
                     "path": "/checkout/done", "referrer": "https://shop.example.com/checkout"},
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126 Safari",
        },
        "properties": {
            "orderId": "50314b8e9bcf", "total": 27.5, "revenue": 25.0, "shipping": 3,
            "tax": 2.25, "discount": 2.5, "coupon": "hasbros", "currency": "USD",
            "products": [
                {"product_id": "507f1f77bcf8", "sku": "45790-32", "price": 19, "quantity": 1},
                {"product_id": "505bd76785eb", "sku": "46493-32", "price": 3, "quantity": 2},
            ],
            "note": "leave it at the door " * 3,
        },
        "integrations": {},
    }  # fmt: skip
    if number is not None:
        body["messageId"] = f"{MARK.decode()}-{number:05d}-0123456789abcdef"
    return body


def single() -> bytes:
    return post("/v1/track", orjson.dumps(event(0)))


def batch(size: int, zipped: bool = False) -> bytes:
    """Compressed events have no messageId: the router makes one, and each stays new."""
    events = [event(None if zipped else number) for number in range(size)]
    body = orjson.dumps({"batch": events, "sentAt": "2026-11-24T05:22:51.500Z"})
    if zipped:
        return post("/v1/batch", gzip.compress(body, 6, mtime=0), "Content-Encoding: gzip")
    return post("/v1/batch", body)


def versus(
    benchmark: Any, edge: Server, plain: Server, request: bytes, count: int
) -> tuple[list[Result], list[Result]]:
    """Rounds of both in turn; notes the ratio of their median rates."""
    ours: list[Result] = []
    theirs: list[Result] = []
    edge.load(request, count // 4, _CONNECTIONS)
    plain.load(request, count // 4, _CONNECTIONS)

    def before() -> None:
        theirs.append(plain.load(request, count, _CONNECTIONS))

    benchmark.pedantic(
        lambda: ours.append(edge.load(request, count, _CONNECTIONS)), setup=before, rounds=_ROUNDS
    )
    rate, baseline = median(r.rate for r in ours), median(r.rate for r in theirs)
    benchmark.extra_info.update(
        ratio=rate / baseline, rate=rate,
        baseline=f"aiohttp reading the body, {baseline:,.0f} requests/s against {rate:,.0f}",
    )  # fmt: skip
    return ours, theirs


@pytest.mark.benchmark(group="edge")
def test_single_events(benchmark: Any, edge_server: Server, plain_server: Server) -> None:
    benchmark.extra_info["floor"] = 3.0
    versus(benchmark, edge_server, plain_server, single(), 20_000)


@pytest.mark.benchmark(group="edge")
def test_single_events_while_delivering(
    benchmark: Any, delivering_server: Server, plain_server: Server
) -> None:
    """Everything is also sent on, in batches, to a sink on the load's core."""
    benchmark.extra_info["floor"] = 2.5
    versus(benchmark, delivering_server, plain_server, single(), 60_000)


@pytest.mark.benchmark(group="edge")
@pytest.mark.parametrize("size", [20, 100])
def test_batches(benchmark: Any, edge_server: Server, plain_server: Server, size: int) -> None:
    if size == 100:
        benchmark.extra_info["floor"] = 0.35
    versus(benchmark, edge_server, plain_server, batch(size), 100_000 // size)


@pytest.mark.benchmark(group="edge")
@pytest.mark.parametrize("size", [20, 100])
def test_gzip_batches(benchmark: Any, edge_server: Server, plain_server: Server, size: int) -> None:
    versus(benchmark, edge_server, plain_server, batch(size, zipped=True), 100_000 // size)


def sync_p99(folder: Path) -> float:
    """Seconds: the 99th percentile of overwriting 1 KB of a written file and `fdatasync`."""
    path = folder / "disk"
    path.write_bytes(bytes(4096 * _SYNCS))
    file = os.open(path, os.O_WRONLY)
    os.fsync(file)
    times = []
    for number in range(_SYNCS):
        started = time.perf_counter()
        os.pwrite(file, b"x" * 1024, 4096 * number)
        os.fdatasync(file)
        times.append(time.perf_counter() - started)
    os.close(file)
    path.unlink()
    return sorted(times)[_SYNCS * 99 // 100]


@pytest.mark.benchmark(group="edge")
@pytest.mark.parametrize("pace", _PACES)
def test_latency_of_a_single_event(
    benchmark: Any, edge_server: Server, tmp_path: Path, pace: int
) -> None:
    """The 99th percentile under a steady load, in units of the disk's own."""
    disk: list[float] = []
    ours: list[float] = []
    edge_server.load(single(), 2000)
    benchmark.pedantic(
        lambda: ours.append(edge_server.load(single(), 2 * pace, 64, pace).p99),
        setup=lambda: disk.append(sync_p99(tmp_path)),
        rounds=_ROUNDS,
    )
    benchmark.extra_info.update(
        ratio=median(ours) / median(disk), ceiling=3.0,
        baseline=f"p99 of fdatasync, {median(disk) * 1e3:.2f} ms against {median(ours) * 1e3:.2f} "
        f"at {pace:,} requests/s",
    )  # fmt: skip
