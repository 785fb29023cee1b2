"""A destination written in a test: its TOML, compiled, and what it sends."""

from __future__ import annotations

import asyncio
import tomllib
from typing import Any

import msgspec
import orjson

from router.destinations import Compiled, compile_destination
from router.destinations.examples import exchange, show, verdict_texts
from router.destinations.http import Answer
from router.destinations.inherit import inherited
from router.destinations.spec import Spec
from router.event import Event, restore_event
from router.workspace.models import Destination

NOW_MS = 1_767_323_045_678
"""2026-01-02T03:04:05.678Z"""


def spec_of(text: str) -> Spec:
    head = 'name = "Acme"\nurl = "\'https://acme.example/\'"\n'
    table = tomllib.loads(text if text.lstrip().startswith("name") else head + text)
    return msgspec.convert(inherited(table, None), Spec)


def compiled(text: str, settings: dict[str, Any] | None = None, **more: Any) -> Compiled:
    table = {"destination": "acme", "settings": settings or {}, **more}
    return compile_destination(spec_of(text), "acme", msgspec.convert(table, Destination))


def event(**members: Any) -> Event:
    whole = {"type": "track", "event": "E", "userId": "u", "messageId": "m", **members}
    return restore_event(orjson.dumps(whole), 1, "web", 0)


def sent(
    one: Compiled, *events: Event, answers: list[Answer] | None = None
) -> list[dict[str, Any]]:
    """The requests for the events together, as plain data."""
    found = asyncio.run(exchange(one, list(events), NOW_MS, answers))
    return [show(request) for request in found.requests]


def verdicts(one: Compiled, *events: Event, answers: list[Answer]) -> list[str]:
    """What became of the rows, of actions that need answers to make requests."""
    found = asyncio.run(exchange(one, list(events), NOW_MS, answers))
    return [text for reply in found.replies for text in verdict_texts(reply)]


def answer(status: int = 200, body: Any = None, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else orjson.dumps({} if body is None else body)
    return Answer(status, headers, data)
