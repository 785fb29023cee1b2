"""The load on the other core: `load.c`, compiled when it is first needed.

A Python client would be slower than the server it measures.
"""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from tempfile import gettempdir

import msgspec

MARK = b"@@@@@@@@@@"
"""In a request's bytes: replaced by the request's number, so that each messageId is new."""

_SOURCE = Path(__file__).with_name("load.c")


class Plan(msgspec.Struct):
    """`count` requests over `connections`; `request` is sent as it is but for `MARK`."""

    port: int
    request: bytes
    count: int
    connections: int = 32
    first: int = 0
    """Number of the first request."""
    core: int = -1
    """The core to run on, -1 for any."""
    rate: float = 0.0
    """Requests a second that are due whether or not earlier ones are answered, each timed from when
    it was due; 0: every connection sends its next request when it has its answer."""


class Result(msgspec.Struct):
    """Rates in requests a second, times in seconds."""

    rate: float
    p50: float
    p99: float
    failed: int


@cache
def driver() -> Path:
    """The compiled driver; made anew when its source is newer."""
    program = Path(gettempdir()) / "event-router-bench-load"
    if not program.exists() or program.stat().st_mtime < _SOURCE.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-o", program, _SOURCE], check=True)
    return program


def drive(plan: Plan) -> Result:
    """Run `plan` in a process of its own. Raises `CalledProcessError` where the server goes away."""
    done = subprocess.run(
        [driver(), str(plan.port), str(plan.count), str(plan.connections), str(plan.first),
         str(plan.core), str(plan.rate)],
        input=plan.request, check=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    return msgspec.json.decode(done.stdout, type=Result)


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A request's bytes, with the headers that Segment's Node SDK sends."""
    lines = [
        f"POST {path} HTTP/1.1", "host: 127.0.0.1:8080", "connection: keep-alive",
        "Content-Type: application/json", "User-Agent: analytics-node-next/latest",
        "Authorization: Basic YmVuY2g6", "accept: */*", "accept-language: *",
        "sec-fetch-mode: cors", "accept-encoding: gzip, deflate",
        f"content-length: {len(body)}", *headers,
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
