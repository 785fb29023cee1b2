"""A real router process and a sink to deliver to, for tests that look from outside."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from aiohttp import web

KEY = "wk-test"


class Sink:
    """An HTTP server on its own thread that keeps what it is sent."""

    def __init__(self, port: int = 0) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[int], tuple[int, bytes]] = lambda _: (200, b"{}")
        self.port = port
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()

    async def _start(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{tail:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        status, answer = self.answer(len(self.bodies))
        if status == 200:
            self.bodies.append(body)
            self.headers.append(dict(request.headers))
        return web.Response(status=status, body=answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def raw_events(self) -> list[bytes]:
        """Bodies of a webhook that sends one event a request."""
        return list(self.bodies)

    def events(self) -> list[dict[str, Any]]:
        """Every event delivered, whether alone or in a batch."""
        found: list[dict[str, Any]] = []
        for body in list(self.bodies):
            value = json.loads(body)
            found += value.get("batch", [value])
        return found

    def wait_for(self, count: int, seconds: float = 20) -> list[dict[str, Any]]:
        deadline = time.monotonic() + seconds
        while len(events := self.events()) < count:
            assert time.monotonic() < deadline, f"{len(events)} of {count} events arrived"
            time.sleep(0.02)
        return events

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


class Router:
    """`router serve` as a subprocess on a folder of its own."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.workspace, self.data = folder / "workspace", folder / "data"
        self.log_file = folder / "router.log"
        (self.workspace / "sources").mkdir(parents=True, exist_ok=True)
        (self.workspace / "destinations").mkdir(exist_ok=True)
        self.write("router.toml", settings)
        self.write("sources/web.toml", f'name = "Web"\nwrite_key = "{KEY}"\n')
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def write(self, name: str, text: str) -> None:
        (self.workspace / name).write_text(text)

    def webhook(self, id_: str, url: str, more: str = "", settings: str = "") -> None:
        self.write(
            f"destinations/{id_}.toml",
            f'destination = "webhook"\n{more}\n[settings]\nurl = "{url}"\n{settings}\n',
        )

    def start(self, *flags: str) -> Router:
        self.data.mkdir(exist_ok=True)
        (self.data / "running.json").unlink(missing_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "router", "serve", "--workspace", str(self.workspace),
                 "--data", str(self.data), "--port", str(self.port), "--control-port", "0",
                 *flags],
                stdout=log, stderr=log, env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while not (self.data / "running.json").exists():
            assert self._process.poll() is None, self.log_file.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log_file.read_text()[-3000:]
            time.sleep(0.02)
        found = json.loads((self.data / "running.json").read_text())
        self.edge, self.control = found["edge"], found["control"]
        self.port = int(self.edge.rsplit(":", 1)[1])
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(40)

    def get(self, path: str) -> Any:
        with urlopen(self.control + path, timeout=10) as response:
            return json.loads(response.read())

    def metrics(self) -> dict[str, float]:
        with urlopen(self.control + "/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        return {
            name: float(value)
            for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        }

    def log(self) -> str:
        return self.log_file.read_text()
