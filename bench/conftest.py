"""Servers on one core and the load on the other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.load import Plan, Result, drive

ROOT = Path(__file__).parents[1]
LOAD_CORE = max(os.sched_getaffinity(0))


class Server:
    """A process of `bench.servers`."""

    def __init__(self, kind: str, folder: Path, *more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.servers", kind, str(folder), *more],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        self._next = 0

    def load(self, request: bytes, count: int, connections: int = 32, rate: float = 0.0) -> Result:
        """Send `count` requests; nobody else runs meanwhile."""
        plan = Plan(self.port, request, count, connections, self._next, LOAD_CORE, rate)
        self._next += count
        result = drive(plan)
        assert result.failed == 0, f"{result.failed} requests were not answered 200"
        return result

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)


@pytest.fixture(scope="module")
def edge_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server("edge", tmp_path_factory.mktemp("edge"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def plain_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server("aiohttp", tmp_path_factory.mktemp("plain"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def delivering_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("delivering")
    sink = Server("sink", folder)
    server = Server("delivering", folder, f"http://127.0.0.1:{sink.port}/")
    yield server
    server.stop()
    sink.stop()
