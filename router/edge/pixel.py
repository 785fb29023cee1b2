"""Events from image tags and e-mails: a GET whose query is the event, answered by a 1x1 GIF."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from router.edge.auth import parse_query
from router.edge.message import Response

GIF = Response(
    200,
    base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"),
    content_type=b"image/gif",
    headers=((b"Cache-Control", b"no-store, no-cache, must-revalidate"),),
)
_MAX_PARTS = 20


def pixel_body(query: bytes) -> bytes:
    """The event in a pixel's query: base64 of its JSON in `data`, or dotted names of members."""
    values = parse_query(query)
    if data := values.get("data"):
        return _decode(data[-1])
    event: dict[str, Any] = {}
    for name, texts in values.items():
        _put(event, name.split("."), texts[-1])
    return orjson.dumps(event)


def _decode(text: str) -> bytes:
    """base64, plain or URL-safe, padded or not; a `+` may have become a space on its way."""
    plain = text.replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4))
    except (binascii.Error, ValueError):
        return text.encode("utf-8", "replace")


def _put(event: dict[str, Any], names: list[str], text: str) -> None:
    """`properties.subject=x` as {"properties": {"subject": "x"}}; what does not fit is left out."""
    if len(names) > _MAX_PARTS:
        return
    *path, last = names
    for name in path:
        event = event.setdefault(name, {})
        if not isinstance(event, dict):
            return
    event.setdefault(last, text)
