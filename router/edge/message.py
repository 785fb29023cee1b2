"""A request as the edge sees it, and an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import orjson


class Request(msgspec.Struct, gc=False):
    """One HTTP request. Header names are lower case, and only those the edge reads are kept."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes
    peer: str
    """Address of the other end of the connection."""


class Response(msgspec.Struct, frozen=True):
    """One HTTP answer; CORS headers are added where the request has an Origin."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    close: bool = False
    bare: bool = False
    """Sent without its body, whose length is told all the same: the answer to HEAD."""


Respond = Callable[[Response], None]

SUCCESS = Response(200, b'{"success":true}')


def as_json(value: Any, status: int = 200) -> Response:
    return Response(status, orjson.dumps(value))


def refusal(code: str, message: str, field: str = "", status: int = 400) -> Response:
    """What SDKs can live with: 400 is the one status that every one of them drops at once."""
    body = {"success": False, "code": code, "message": message, "field": field}
    return as_json(body, status)


def overload(message: str, retry_after: int) -> Response:
    """503 with Retry-After: every SDK keeps its events and tries again."""
    body = orjson.dumps({"success": False, "code": "unavailable", "message": message, "field": ""})
    return Response(503, body, headers=((b"Retry-After", b"%d" % retry_after),))
