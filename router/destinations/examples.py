"""Runs the examples in a catalogue file, and shows what an instance would send for an event."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec
import orjson

from router.destinations.compiled import Compiled, NotApplicable, compile_destination
from router.destinations.outcome import Outcome, Reply
from router.destinations.request import Request, Row
from router.destinations.spec import Spec, Test
from router.event import Event, restore_event
from router.workspace.models import Destination


class Failure(msgspec.Struct):
    """An example that does not hold."""

    does: str
    problem: str


def transform(compiled: Compiled, events: list[Event], now_ms: int) -> list[Request]:
    """The requests for `events`, as full batches, in the order of the actions. Raises
    `NotApplicable`."""
    batches: dict[tuple[int, str], list[list[Row]]] = {}
    for event in events:
        rows = compiled.map(event)
        for row in [] if isinstance(rows, str) else rows:
            open_batches = batches.setdefault((row.action, row.key), [])
            if not open_batches or len(open_batches[-1]) >= compiled.batches[row.action].events:
                open_batches.append([])
            open_batches[-1].append(row)
    return [compiled.request(rows, now_ms) for key in sorted(batches) for rows in batches[key]]


def run_examples(slug: str, spec: Spec) -> list[Failure]:
    """Every example that fails, and every action that none of them reaches."""
    failures: list[Failure] = []
    reached: set[str] = set()
    for test in spec.tests:
        try:
            problem = _run(slug, spec, test, reached)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        if problem:
            failures.append(Failure(test.does, problem))
    for name in spec.actions:
        if name not in reached:
            failures.append(Failure(name, "no example reaches this action"))
    return failures


def _run(slug: str, spec: Spec, test: Test, reached: set[str]) -> str:
    """What is wrong, or ""."""
    instance = Destination(destination=slug, settings=test.settings)
    compiled = compile_destination(spec, slug, instance)
    events = [
        restore_event(orjson.dumps(event), number, "test", 0)
        for number, event in enumerate(orjson.loads(test.events))
    ]
    try:
        rows = [row for event in events for row in compiled.rows(event)]
    except NotApplicable as error:
        if test.drops and test.drops in str(error):
            return ""
        return f"dropped because {error}"
    if test.drops:
        return "nothing was dropped"
    reached |= {compiled.actions[row.action].name for row in rows}
    if test.reply:
        return _check_reply(test, compiled, rows)
    return _check_requests(test, transform(compiled, events, 0))


def _check_requests(test: Test, requests: list[Request]) -> str:
    expected = orjson.loads(test.sends)
    if len(expected) != len(requests):
        return f"{len(requests)} requests instead of {len(expected)}"
    for wanted, request in zip(expected, requests, strict=True):
        sent = show(request)
        for part in ("method", "url", "body"):
            default = "POST" if part == "method" else sent[part]
            if (value := wanted.get(part, default)) != sent[part]:
                return f"{part} is {sent[part]!r} instead of {value!r}"
        for name, value in wanted.get("headers", {}).items():
            if request.headers.get(name) != value:
                return f"header {name} is {request.headers.get(name)!r} instead of {value!r}"
    return ""


def show(request: Request) -> dict[str, Any]:
    """A request as plain data: a JSON body as its value, a form's as its members."""
    kind = request.headers.get("Content-Type", "")
    body: Any = request.body.decode(errors="replace")
    if kind == "application/json" and "Content-Encoding" not in request.headers:
        body = orjson.loads(request.body)
    elif kind == "application/x-www-form-urlencoded":
        body = dict(_form_members(body))
    return {"method": request.method, "url": request.url, "headers": request.headers, "body": body}


def _form_members(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)


def _check_reply(test: Test, compiled: Compiled, rows: list[Row]) -> str:
    reply = orjson.loads(test.reply)
    body = reply.get("body", "")
    data = body.encode() if isinstance(body, str) else orjson.dumps(body)
    judged: Reply = compiled.judge(rows, reply["status"], reply.get("headers", {}), data)
    given = [
        verdict.outcome.value
        + (f": {verdict.reason}" if verdict.outcome is not Outcome.delivered else "")
        for verdict in judged.verdicts
    ]
    return "" if given == test.gives else f"gives {given} instead of {test.gives}"
