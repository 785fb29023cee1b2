"""`router send`"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import orjson
from rich.progress import Progress

from router.cli._control import data_option, running
from router.errors import NotRunning, RouterError
from router.event import KINDS
from router.workspace.load import load_workspace

_BATCH_EVENTS, _BATCH_BYTES = 100, 400_000
_TRIES = 10

_SAMPLES: dict[str, dict[str, Any]] = {
    "identify": {"traits": {"email": "ann@example.com", "plan": "pro"}},
    "track": {"event": "Order Completed", "properties": {"orderId": "o-1", "total": 42.5}},
    "page": {"name": "Home", "properties": {"url": "https://example.com/"}},
    "screen": {"name": "Start", "properties": {}},
    "group": {"groupId": "g-1", "traits": {"name": "Acme"}},
    "alias": {"previousId": "anonymous-1"},
}


@click.command(
    epilog="\b\nExamples:\n  router send                      one sample of each call type\n"
    "  router send --type track\n  router send --file events.jsonl\n"
    "  router send --url https://events.example.com --write-key KEY"
)
@click.option(
    "--type", "kinds", type=click.Choice(KINDS), multiple=True, help="Only these samples."
)
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Send these events instead: JSON lines, each with a type.",
)
@click.option("--url", default="", help="The edge; found through --data by default.")
@click.option(
    "--write-key",
    default="",
    envvar="ROUTER_WRITE_KEY",
    help="The source's key; the first source's by default.",
)
@data_option
def command(
    kinds: tuple[str, ...], file: Path | None, url: str, write_key: str, data: Path
) -> None:
    """Send sample events, or those of a file, to a running router."""
    if not url or not write_key:
        found = running(data)
        url = url or found.edge
        write_key = write_key or _first_key(Path(found.workspace))
    sender = _Sender(url, write_key)
    if file is None:
        for kind in kinds or tuple(_SAMPLES):
            event = {"type": kind, "messageId": f"sample-{uuid.uuid4()}", "userId": "u-1"}
            sender.send([orjson.dumps(event | _SAMPLES[kind])])
            click.echo(f"{kind}: accepted ({event['messageId']})")
        return
    with Progress(transient=True) as progress, file.open("rb") as lines:
        task = progress.add_task("sending", total=file.stat().st_size)
        count = 0
        for batch in _batches(lines):
            sender.send(batch)
            count += len(batch)
            progress.advance(task, sum(len(line) + 1 for line in batch))
    click.echo(f"{count} events accepted")


def _first_key(workspace: Path) -> str:
    for source in load_workspace(workspace).sources.values():
        if source.enabled:
            return source.write_key
    raise RouterError("the workspace has no enabled source: add one, or give --write-key")


def _batches(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise RouterError(f"line {number} is not JSON: {error}") from None
        if batch and (len(batch) == _BATCH_EVENTS or size + len(text) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text) + 1
    if batch:
        yield batch


class _Sender:
    """One keep-alive connection; what is refused for now (429, 503) is sent again."""

    def __init__(self, url: str, write_key: str) -> None:
        parts = urlsplit(url)
        self._url = url
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=30)
        token = base64.b64encode(f"{write_key}:".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}

    def send(self, events: list[bytes]) -> None:
        body = b'{"batch":[' + b",".join(events) + b"]}"
        for _ in range(_TRIES):
            try:
                self._connection.request("POST", "/v1/batch", body, self._headers)
                response = self._connection.getresponse()
                answer = response.read()
            except OSError as error:
                raise NotRunning(f"no router answers at {self._url}: {error}") from None
            if response.status == 200:
                return
            if response.status not in (429, 503):
                raise RouterError(f"{response.status}: {answer.decode(errors='replace')[:500]}")
            time.sleep(int(response.headers.get("Retry-After", "1")))
        raise RouterError("the router is overloaded: try again later")
