"""The table that functions of expressions are entered in, and what all of them share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import orjson

F = TypeVar("F", bound=Callable[..., Any])

MOST_CHARS = 1_000_000
"""Longest text that a function makes of shorter ones."""


class Function(NamedTuple):
    """`most` is None where any number of arguments is taken. `example` is an expression that gives
    `gives`. `call` is None where the compiler makes a node of its own. `prepare` makes of the
    arguments that are literals (None for others) a function for just that call, or None; it
    raises `ValueError` with a message for literals that make no sense."""

    usage: str
    help: str
    example: str
    gives: Any
    group: str
    least: int
    most: int | None
    call: Callable[..., Any] | None
    prepare: Callable[[list[Any]], Callable[..., Any] | None] | None = None


TABLE: dict[str, Function] = {}


def function(
    usage: str,
    help_: str,
    example: str,
    gives: Any,
    *,
    group: str,
    names: tuple[str, ...] = (),
    least: int | None = None,
    most: int | None = -1,
    prepare: Callable[[list[Any]], Callable[..., Any] | None] | None = None,
) -> Callable[[F], F]:
    """Enter a function under the name in `usage`, and under further `names`."""
    name, _, rest = usage.partition("(")
    count = len([part for part in rest.rstrip(")").split(",") if part.strip()])
    entry = Function(usage, help_, example, gives, group, count if least is None else least,
                     count if most == -1 else most, None, prepare)  # fmt: skip

    def enter(call: F) -> F:
        for each in (name, *names):
            TABLE[each] = entry._replace(call=call, usage=f"{each}({rest}")
        return call

    return enter


def text_of(value: Any) -> str | None:
    """A value as text: strings as they are, the rest as JSON; None for null."""
    if isinstance(value, str):
        return value
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # nested deeper, or a number larger, than JSON is written here
        return str(value) if isinstance(value, int) and abs(value) < 10**4000 else None


def bytes_of(value: Any) -> bytes | None:
    """The text of a value in UTF-8."""
    text = text_of(value)
    return None if text is None else text.encode("utf-8", "surrogatepass")


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    """Is it a number other than an infinity and NaN?"""
    return isinstance(value, int | float) and is_number(value) and abs(value) < math.inf


def number_that_fits(value: float) -> float | None:
    """A number that JSON can hold: whole ones beyond 64 bits as doubles, infinities as null."""
    if isinstance(value, int):
        if -(1 << 63) <= value < 1 << 64:
            return value
        try:
            return float(value)
        except OverflowError:
            return None
    return value if math.isfinite(value) else None


def part_of(value: Any, start: Any, length: Any) -> Any:
    """A part of a text or a list: from `start`, below 0 from the end, at most `length` long."""
    if not is_finite(start) or (length is not None and not is_finite(length)):
        return None
    size = len(value)
    begin = int(min(start, size)) if start >= 0 else size + int(max(start, -size))
    count = size if length is None else int(max(0, min(length, size)))
    return value[begin : begin + count]
