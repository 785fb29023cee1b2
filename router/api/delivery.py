"""Routes about delivery: dead letters, the overview, replays and traces."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any, Protocol

import orjson
from aiohttp import web

from router.api.times import parse_span, parse_time
from router.delivery.overview import KEPT_MINUTES, Overview
from router.delivery.replay import Replays, describe_job
from router.delivery.trace import Tracer
from router.errors import RouterError

INDEX = """\
GET  /v1/dead-letters               counts
GET  /v1/dead-letters/<destination>?reason=&since=&limit=
POST /v1/dead-letters/<destination>/retry     {"ids", "reason", "since", "limit"}
GET  /v1/overview?destination=&from=&to=&step=
GET  /v1/trace/<messageId>?since=   what happened to one event
GET  /v1/replay                     jobs, newest first
POST /v1/replay                     {"destination", "from", "to", "filter", "dryRun"}
DELETE /v1/replay/<id>              end a job
"""

_ROWS = 2000
"""Steps of an answer where the client does not choose their length."""


class DeliveryBackend(Protocol):
    """What these routes need of the running router."""

    overview: Overview
    replays: Replays
    tracer: Tracer

    async def dead_letter_counts(self) -> dict[str, int]: ...
    async def dead_letters(
        self, destination: str, limit: int, reason: str, since_ms: int
    ) -> list[dict[str, object]]: ...
    async def retry_dead_letters(
        self, destination: str, ids: set[str] | None, limit: int, reason: str, since_ms: int
    ) -> int: ...


def delivery_routes(backend: DeliveryBackend) -> list[web.RouteDef]:
    """All of them, for `aiohttp.web`."""
    letters = "/v1/dead-letters/{destination}"
    return [
        web.get("/v1/dead-letters", partial(_counts, backend)),
        web.get(letters, partial(_letters, backend)),
        web.post(f"{letters}/retry", partial(_retry, backend)),
        web.get("/v1/overview", partial(_overview, backend)),
        web.get("/v1/trace/{id:.+}", partial(_trace, backend)),
        web.get("/v1/replay", partial(_jobs, backend)),
        web.post("/v1/replay", partial(_replay, backend)),
        web.delete("/v1/replay/{id}", partial(_cancel, backend)),
    ]


def number(request: web.Request, name: str, default: int) -> int:
    """A parameter that counts. Raises `web.HTTPBadRequest`."""
    text = request.query.get(name, "")
    if text and not (text.isdecimal() and len(text) < 10):
        raise refused(f"{name}: {text!r} is not a number")
    return int(text or default)


def refused(message: str, status: type[web.HTTPException] = web.HTTPBadRequest) -> Exception:
    """What a handler raises to answer with `message`."""
    body = orjson.dumps({"error": message}).decode()
    return status(text=body, content_type="application/json")


def _now_ms() -> int:
    return int(time.time() * 1000)


def _time(given: Any, name: str, default: int) -> int:
    if given in (None, ""):
        return default
    try:
        return parse_time(str(given), _now_ms())
    except ValueError as error:
        raise refused(f"{name}: {error}") from None


async def _body(request: web.Request, known: dict[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """The request's JSON object, with the members in `known` only, each of its type."""
    try:
        body = orjson.loads(await request.read() or b"{}")
    except orjson.JSONDecodeError as error:
        raise refused(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise refused("the body has to be an object")
    for name, value in body.items():
        if name not in known:
            raise refused(f"{name} is not known here, but {', '.join(known)}")
        if value is not None and not isinstance(value, known[name]):
            raise refused(f"{name} has the wrong type")
    return {name: value for name, value in body.items() if value is not None}


async def _counts(backend: DeliveryBackend, _: web.Request) -> web.Response:
    return web.json_response(await backend.dead_letter_counts())


async def _letters(backend: DeliveryBackend, request: web.Request) -> web.Response:
    query = request.query
    letters = await backend.dead_letters(
        request.match_info["destination"],
        number(request, "limit", 100),
        query.get("reason", ""),
        _time(query.get("since"), "since", 0),
    )
    return web.json_response(letters, dumps=_dumps)


async def _retry(backend: DeliveryBackend, request: web.Request) -> web.Response:
    body = await _body(request, {"ids": list, "reason": str, "since": str, "limit": int})
    count = await backend.retry_dead_letters(
        request.match_info["destination"],
        set(map(str, body["ids"])) if body.get("ids") else None,
        body.get("limit", 0),
        body.get("reason", ""),
        _time(body.get("since"), "since", 0),
    )
    return web.json_response({"retried": count})


async def _overview(backend: DeliveryBackend, request: web.Request) -> web.Response:
    """`rows` by time, and one row a destination of the whole span as `summary`. `step` is a whole
    number of minutes, by default as many as make at most 2000 steps."""
    query = request.query
    until_ms = _time(query.get("to"), "to", _now_ms() + 1)
    since_ms = _time(query.get("from"), "from", until_ms - 3_600_000)
    since_ms = max(since_ms, until_ms - KEPT_MINUTES * 60_000)
    try:
        step = parse_span(query["step"]) if query.get("step") else 60
    except ValueError as error:
        raise refused(f"step: {error}") from None
    step = max(step, -(-(until_ms - since_ms) // (_ROWS * 1000)))
    ask = partial(backend.overview.query, query.get("destination") or None, since_ms, until_ms)
    rows = await asyncio.to_thread(ask, step)
    whole = await asyncio.to_thread(ask, 1 << 40)
    for row in whole:
        del row["time"]
    return web.json_response({"rows": rows, "summary": whole}, dumps=_dumps)


async def _trace(backend: DeliveryBackend, request: web.Request) -> web.Response:
    since_ms = _time(request.query.get("since"), "since", 0)
    found = await backend.tracer.trace(request.match_info["id"], since_ms)
    return web.json_response(found, dumps=_dumps)


async def _jobs(backend: DeliveryBackend, _: web.Request) -> web.Response:
    return web.json_response([describe_job(job) for job in backend.replays.all()], dumps=_dumps)


async def _replay(backend: DeliveryBackend, request: web.Request) -> web.Response:
    """`from` and `to` are times, or, where they are numbers, offsets."""
    body = await _body(request, {
        "destination": str, "from": (str, int), "to": (str, int), "filter": str, "dryRun": bool,
    })  # fmt: skip
    if "destination" not in body or "from" not in body:
        raise refused("destination and from are needed")
    try:
        job = backend.replays.add(
            body["destination"],
            **_place(body["from"], "from"),
            **(_place(body["to"], "to") if "to" in body else {}),
            filter=body.get("filter", ""),
            dry_run=body.get("dryRun", False),
        )
    except RouterError as error:
        raise refused(str(error), web.HTTPUnprocessableEntity) from None
    return web.json_response(describe_job(job), status=202, dumps=_dumps)


def _place(given: str | int, name: str) -> dict[str, Any]:
    """An offset or a time as `Replays.add` takes it."""
    if isinstance(given, int) or given.strip().isdecimal():
        text = str(given).strip()
        if len(text) > 18 or isinstance(given, bool):
            raise refused(f"{name}: {text[:40]} is no offset")
        return {f"{name}_offset": int(text)}
    return {f"{name}_ms": _time(given, name, 0)}


async def _cancel(backend: DeliveryBackend, request: web.Request) -> web.Response:
    if not backend.replays.cancel(request.match_info["id"]):
        raise refused("there is no such job", web.HTTPNotFound)
    return web.json_response({"status": "ended"})


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()
