"""Are two requests the same in meaning? JSON equal, order of members and of the query ignored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

IGNORED_HEADERS = {"user-agent", "content-length", "accept", "connection", "host"}
"""Marks of the client, not of the request."""


def plain(request: dict[str, Any]) -> dict[str, Any]:
    """A request as a value to compare: JSON texts within forms and texts as what they hold."""
    parts = urlsplit(request["url"])
    headers = {
        name.lower(): str(value)
        for name, value in (request.get("headers") or {}).items()
        if name.lower() not in IGNORED_HEADERS
    }
    kind = headers.pop("content-type", "")
    body = request.get("body")
    if isinstance(body, str) and "urlencoded" in kind:
        body = dict(parse_qsl(body, keep_blank_values=True))
    return {
        "method": request.get("method", "POST"),
        "url": {
            "base": f"{parts.scheme}://{parts.netloc}{unquote(parts.path)}".rstrip("/"),
            "query": decoded(dict(parse_qsl(parts.query, keep_blank_values=True))),
        },
        "headers": headers,
        "body": decoded(body) if body not in (None, "", {}, b"") else None,
    }


def decoded(value: Any) -> Any:
    """JSON texts as their values."""
    if isinstance(value, dict):
        return {key: decoded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [decoded(inner) for inner in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return decoded(orjson.loads(value))
        except orjson.JSONDecodeError:
            return value
    return value


def without(value: Any, paths: Iterable[str]) -> Any:
    """`value` without what the paths lead to; `*` is every member or item."""
    for path in paths:
        value = _without(value, path.split("."))
    return value


def _without(value: Any, steps: list[str]) -> Any:
    step, rest = steps[0], steps[1:]
    if isinstance(value, list):
        if step == "*":
            return [item if not rest else _without(item, rest) for item in value] if rest else []
        if step.isdecimal() and int(step) < len(value) and rest:
            return [_without(x, rest) if i == int(step) else x for i, x in enumerate(value)]
        return value
    if not isinstance(value, dict):
        return value
    found = {}
    for key, inner in value.items():
        if step in ("*", key):
            if rest:
                found[key] = _without(inner, rest)
        else:
            found[key] = inner
    return found


def difference(wanted: Any, found: Any, at: str = "") -> str:
    """The first place in which two values differ, or ""."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in {**wanted, **found}:
            place = f"{at}.{key}" if at else key
            if key not in found:
                return f"{place}: {_short(wanted[key])} is missing"
            if key not in wanted:
                return f"{place}: {_short(found[key])} is more"
            if text := difference(wanted[key], found[key], place):
                return text
        return ""
    if isinstance(wanted, list) and isinstance(found, list):
        if len(wanted) != len(found):
            return f"{at}: {len(found)} items, not {len(wanted)}"
        pairs = zip(wanted, found, strict=True)
        texts = (difference(w, f, f"{at}.{i}") for i, (w, f) in enumerate(pairs))
        return next((text for text in texts if text), "")
    return "" if _equal(wanted, found) else f"{at}: {_short(found)}, not {_short(wanted)}"


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=1e-12)
    return type(a) is type(b) and bool(a == b)


def _short(value: Any) -> str:
    return repr(value)[:120]


def at(value: Any, steps: list[str]) -> list[Any]:
    """What a path leads to: several values where it goes through `*`."""
    found = [value]
    for step in steps:
        inner: list[Any] = []
        for each in found:
            if isinstance(each, dict):
                inner += each.values() if step == "*" else [each[step]] if step in each else []
            elif isinstance(each, list) and step == "*":
                inner += each
        found = inner
    return found


def with_rows(request: dict[str, Any], path: str) -> dict[str, Any]:
    """The request with the rows at `path` for its body."""
    rows = at(request, path.split("."))
    if len(rows) == 1 and isinstance(rows[0], list):
        rows = rows[0]
    return {**request, "body": rows}


def request_difference(
    wanted: dict[str, Any],
    found: dict[str, Any],
    ignore: Iterable[str] = (),
    rows: Sequence[str] = (),
) -> str:
    """What differs between a recorded request and ours, or "". Of headers only the recorded ones
    count."""
    left, right = without(plain(wanted), ignore), without(plain(found), ignore)
    if rows:
        left, right = with_rows(left, rows[0]), with_rows(right, rows[1])
    names = left.get("headers", {})
    right["headers"] = {key: value for key, value in right["headers"].items() if key in names}
    return difference(left, right)


def requests_difference(
    wanted: list[dict[str, Any]],
    found: list[dict[str, Any]],
    ignore: Iterable[str] = (),
    rows: Sequence[str] = (),
) -> str:
    """What differs between two lists of requests, whose order does not matter."""
    if len(wanted) != len(found):
        urls = [each["url"] for each in found]
        return f"{len(found)} requests {urls}, not {[each['url'] for each in wanted]}"
    first = ""
    left = list(found)
    for request in wanted:
        texts = [request_difference(request, other, ignore, rows) for other in left]
        if "" in texts:
            left.pop(texts.index(""))
        elif not first:
            first = texts[0]
    return first


def contained_difference(
    wanted: list[dict[str, Any]],
    found: list[dict[str, Any]],
    ignore: Iterable[str] = (),
    rows: Sequence[str] = (),
) -> str:
    """What keeps the recorded requests from being among ours, or ""."""
    left = list(found)
    for request in wanted:
        texts = [request_difference(request, other, ignore, rows) for other in left]
        if "" not in texts:
            nearest = [text for text in texts if not text.startswith("url.base")]
            return (nearest or texts or [f"nothing is sent, not {request['url']}"])[0]
        left.pop(texts.index(""))
    return ""
