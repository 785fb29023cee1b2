"""How a violation of a schema is told to people."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

MAX_CHARS = 80
_KINDS = {
    dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number",
    type(None): "null",
}  # fmt: skip


class Violation(msgspec.Struct, frozen=True):
    """`pointer` is where in the value (RFC 6901, "" is all of it), `keyword` what it breaks,
    `schema_path` where that stands in the schema."""

    pointer: str
    keyword: str
    schema_path: str
    message: str


def kind_name(value: Any) -> str:
    return _KINDS.get(type(value), type(value).__name__)


def brief(value: Any) -> str:
    """The value as JSON, cut to 80 characters."""
    if isinstance(value, str):
        value = value[: MAX_CHARS + 1]
    elif isinstance(value, dict | list):
        return f"an {kind_name(value)} of {len(value)}"
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return "a very large integer" if value.bit_length() > 1000 else cut(str(value))
    try:
        return cut(orjson.dumps(value).decode())
    except (TypeError, ValueError):
        return cut(repr(value))


def cut(text: str) -> str:
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"


def found(value: Any) -> str:
    """Kind and value: `string "x"`, `null`, `object`."""
    name = kind_name(value)
    return name if value is None or isinstance(value, dict | list) else f"{name} {brief(value)}"


def pointer_of(path: tuple[Any, ...] | None) -> str:
    """The JSON pointer of a path: (path of the parent, step), None for the root."""
    steps = []
    while path is not None:
        path, step = path
        steps.append("/" + str(step).replace("~", "~0").replace("/", "~1"))
    return "".join(reversed(steps))
