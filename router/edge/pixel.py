"""The pixel API: an event in a GET's query, for e-mails and pages without scripts."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from router.edge.auth import query_pairs
from router.edge.message import Response

_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
GIF = Response(200, _GIF, content_type=b"image/gif", headers=((b"Cache-Control", b"no-store"),))
_MAX_DEPTH = 8


def pixel_body(query: bytes) -> bytes:
    """The event as JSON: from `data` (base64, padded or not, either alphabet), or put together
    from dotted members such as `properties.subject`. Raises `ValueError`."""
    pairs = query_pairs(query)
    data = next((value for name, value in pairs if name == "data"), None)
    if data is not None:
        return _decode(data)
    event: dict[str, Any] = {}
    for name, value in pairs:
        _put(event, name.split("."), value)
    return orjson.dumps(event)


def _decode(data: str) -> bytes:
    text = data.strip().replace("-", "+").replace("_", "/").replace(" ", "+").rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("data is not base64") from None


def _put(event: dict[str, Any], path: list[str], value: str) -> None:
    if len(path) > _MAX_DEPTH:
        raise ValueError(f"{'.'.join(path)} is nested too deeply")
    for name in path[:-1]:
        following = event.setdefault(name, {})
        if not isinstance(following, dict):
            return
        event = following
    event[path[-1]] = value
