"""How a command finds and asks the running router."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import click
import msgspec
import orjson

from router.app import Running
from router.errors import NotRunning, RouterError

_F = TypeVar("_F", bound=Callable[..., Any])
_opener = build_opener(ProxyHandler({}))


def data_option(function: _F) -> _F:
    """`--data`, the folder by which a command finds its router."""
    return click.option(
        "--data", type=click.Path(path_type=Path), default=Path("data"), show_default=True,
        envvar="ROUTER_DATA", help="Data folder of the router.",
    )(function)  # fmt: skip


def control_options(function: _F) -> _F:
    """`--data`, `--control` and `--token`."""
    function = click.option(
        "--token", envvar="ROUTER_TOKEN", default="", help="Bearer token (control.token)."
    )(function)
    function = click.option(
        "--control", envvar="ROUTER_CONTROL", default="",
        help="Control URL; found through --data by default.",
    )(function)  # fmt: skip
    return data_option(function)


def running(data: Path) -> Running:
    """Where the router of `data` answers. Raises `NotRunning`."""
    try:
        found = msgspec.json.decode((data / "running.json").read_bytes(), type=Running)
        os.kill(found.pid, 0)
    except PermissionError:
        return found
    except (OSError, msgspec.DecodeError):
        raise NotRunning(
            f"no router runs on data folder {data}: start one with `router serve`, "
            "or name its folder with --data"
        ) from None
    return found


class Control:
    """The control API of one router."""

    def __init__(self, data: Path, url: str, token: str) -> None:
        self.url = (url or running(data).control).rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def _open(
        self, path: str, body: Any = None, timeout: float | None = 30, method: str | None = None
    ) -> HTTPResponse:
        data = None if body is None else orjson.dumps(body)
        headers = self._headers | ({"Content-Type": "application/json"} if data else {})
        try:
            response: HTTPResponse = _opener.open(
                Request(self.url + path, data=data, headers=headers, method=method),
                timeout=timeout,
            )
            return response
        except HTTPError as error:
            raise RouterError(f"{error.code}: {_message(error.read())}") from None
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise NotRunning(f"no router answers at {self.url}: {reason}") from None

    def get(self, path: str, timeout: float = 30) -> Any:
        return orjson.loads(self._open(path, timeout=timeout).read())

    def post(self, path: str, body: Any) -> Any:
        return orjson.loads(self._open(path, body).read())

    def delete(self, path: str) -> Any:
        return orjson.loads(self._open(path, method="DELETE").read())

    def lines(self, path: str) -> Iterator[bytes]:
        """Lines of a stream, without end."""
        with self._open(path, timeout=None) as response:
            for line in response:
                if line.strip():
                    yield line


def _message(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body.decode(errors="replace")[:300]


def seconds_text(seconds: float | None) -> str:
    """A span of time for people: `2.5ms`, `12ms`, `1.5s`, `3.0m`, `25h`; `-` for None."""
    if seconds is None:
        return "-"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if seconds >= size * (1 if unit == "s" else 2):
            return f"{seconds / size:.{int(seconds < 10 * size)}f}{unit}"
    return f"{seconds * 1000:.{int(seconds < 0.01)}f}ms"
