"""Live events as JSON lines, while the client listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
from aiohttp import web

from router._fast.expr import compile as compile_expression
from router.errors import ExpressionError
from router.event import KINDS, Event
from router.log.feed import Feed

_READ_BYTES = 64 * 1024
_BEHIND = 20_000
_BEAT_SECONDS = 15.0

Wanted = Callable[[Event], bool]


def _wanted(request: web.Request) -> Wanted:
    source, kind = request.query.get("source"), request.query.get("type")
    user, where = request.query.get("user"), request.query.get("where")
    if kind and kind not in KINDS:
        raise ValueError(f"type: {kind!r} is none of {', '.join(KINDS)}")
    expression = compile_expression(where) if where else None

    def wanted(event: Event) -> bool:
        if source and event.source != source:
            return False
        if kind and KINDS[event.kind] != kind:
            return False
        if user and user not in (event.data.get("userId"), event.data.get("anonymousId")):
            return False
        return expression is None or expression.test(event.data)

    return wanted


def _line(event: Event) -> bytes:
    source = orjson.dumps(event.source)
    return b'{"offset":%d,"source":%b,"event":%b}\n' % (event.offset, source, event.raw)


async def tap(request: web.Request, feed: Feed) -> web.StreamResponse:
    """GET /v1/tap?source=&type=&user=&where=&from=: one line an event, `{"skipped":n}` where the
    client was too slow, an empty line every 15 s."""
    try:
        wanted = _wanted(request)
        position = int(request.query.get("from", feed.log.end))
    except (ValueError, ExpressionError) as error:
        return web.json_response({"error": str(error)}, status=400)
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    while True:
        try:
            async with asyncio.timeout(_BEAT_SECONDS):
                await feed.log.wait(position)
        except TimeoutError:
            await response.write(b"\n")
            continue
        if feed.log.end - position > _BEHIND and "from" not in request.query:
            await response.write(b'{"skipped":%d}\n' % (feed.log.end - position))
            position = feed.log.end
            continue
        events = feed.read(position, _READ_BYTES)
        if not events:
            continue
        position = events[-1].offset + 1
        if lines := b"".join(_line(event) for event in events if wanted(event)):
            await response.write(lines)
        await asyncio.sleep(0)
