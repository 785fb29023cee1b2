"""Runs the examples in a catalogue file, and shows what an instance would send for an event."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import orjson

from router.destinations.compiled import Compiled, NotApplicable, compile_destination
from router.destinations.http import Answer, Recorder
from router.destinations.outcome import Outcome, Reply
from router.destinations.request import Request, Row
from router.destinations.spec import Spec, Test
from router.event import Event, restore_event
from router.workspace.models import Destination, Mapping


class Failure(msgspec.Struct):
    """An example that does not hold."""

    does: str
    problem: str


class Sent(msgspec.Struct):
    """What became of events: the requests in order, and the verdicts of the rows sent by steps,
    code or with a token, which need an answer to be made."""

    requests: list[Request]
    replies: list[Reply]


def batches_of(compiled: Compiled, events: list[Event]) -> list[list[Row]]:
    """The rows for `events` as full batches, in the order of the actions. Raises `NotApplicable`."""
    batches: dict[tuple[int, str], list[list[Row]]] = {}
    for event in events:
        rows = compiled.map(event)
        for row in [] if isinstance(rows, str) else rows:
            open_batches = batches.setdefault((row.action, row.key), [])
            if not open_batches or len(open_batches[-1]) >= compiled.batches[row.action].events:
                open_batches.append([])
            open_batches[-1].append(row)
    places = sorted(batches, key=lambda place: place[0])
    return [rows for place in places for rows in batches[place]]


async def exchange(
    compiled: Compiled, events: list[Event], now_ms: int, answers: list[Answer] | None = None
) -> Sent:
    """The requests for `events`, none of them really sent: `answers` come back in their order, then
    200 and `{}`. Raises `NotApplicable`."""
    sent = Sent([], [])
    recorder = Recorder(answers)
    compiled.set_now(now_ms)
    for rows in batches_of(compiled, events):
        if compiled.needs_send(rows[0].action):
            sent.replies.append(await compiled.send(rows, recorder, now_ms))
            sent.requests += recorder.requests
            recorder.requests = []
        elif compiled.sink is None or rows:
            sent.requests.append(compiled.request(rows, now_ms))
    return sent


def transform(compiled: Compiled, events: list[Event], now_ms: int) -> list[Request]:
    """`exchange`'s requests, for callers outside a running loop."""
    return asyncio.run(exchange(compiled, events, now_ms)).requests


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


def example_instance(slug: str, test: Test) -> Destination:
    mappings = msgspec.convert(test.mappings, dict[str, Mapping])
    return Destination(destination=slug, settings=test.settings, mappings=mappings)


def _run(slug: str, spec: Spec, test: Test, reached: set[str]) -> str:
    """What is wrong, or ""."""
    compiled = compile_destination(spec, slug, example_instance(slug, test))
    compiled.assume_token("token")
    compiled.set_now(0)
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
        lacking = [f"{field} is required" for _, field in compiled.not_applicable]
        return "" if test.drops in lacking and not rows else "nothing was dropped"
    reached |= {compiled.actions[row.action].of for row in rows}
    if test.reply:
        return _check_reply(test, compiled, rows)
    answers = [_answer(each) for each in orjson.loads(test.replies or "[]")]
    sent = asyncio.run(exchange(compiled, events, 0, answers))
    return _check_requests(test, sent.requests) or _check_verdicts(test, sent.replies)


def _answer(given: dict[str, Any]) -> Answer:
    body = given.get("body", {})
    data = body.encode() if isinstance(body, str) else orjson.dumps(body)
    return Answer(given.get("status", 200), given.get("headers", {}), data)


def _check_requests(test: Test, requests: list[Request]) -> str:
    expected = orjson.loads(test.sends)
    if len(expected) != len(requests):
        return f"{len(requests)} requests instead of {len(expected)}: {[r.url for r in requests]}"
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


def _check_verdicts(test: Test, replies: list[Reply]) -> str:
    if not test.gives:
        return ""
    given = [text for reply in replies for text in verdict_texts(reply)]
    return "" if given == test.gives else f"gives {given} instead of {test.gives}"


def show(request: Request) -> dict[str, Any]:
    """A request as plain data: a JSON body as its value, a form's as its members."""
    kind = request.headers.get("Content-Type", "")
    body: Any = request.body.decode(errors="replace")
    if "json" in kind and "ndjson" not in kind and "Content-Encoding" not in request.headers:
        try:
            body = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            pass
    elif kind.startswith("application/x-www-form-urlencoded"):
        body = dict(parse_qsl(body, keep_blank_values=True))
    return {"method": request.method, "url": request.url, "headers": request.headers, "body": body}


def verdict_texts(reply: Reply) -> list[str]:
    return [
        verdict.outcome.value
        + (f": {verdict.reason}" if verdict.outcome is not Outcome.delivered else "")
        for verdict in reply.verdicts
    ]


def _check_reply(test: Test, compiled: Compiled, rows: list[Row]) -> str:
    answer = _answer(orjson.loads(test.reply))
    judged = compiled.judge(rows, answer.status, answer.headers, answer.body)
    given = verdict_texts(judged)
    return "" if given == test.gives else f"gives {given} instead of {test.gives}"
