"""Expressions walked as the trees that the parser gives, as plainly as can be.

Functions are taken from the table: what is compared is everything around them.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

from router._fast.functions import TABLE, text_of


def evaluate(node: tuple[Any, ...], roots: dict[str, Any]) -> Any:
    """`roots` holds "$", "settings" and "item"."""
    match node:
        case ("literal", value):
            return value
        case ("path", root, keys):
            found = roots[root]
            for key in keys:
                found = member(found, key)
            return found
        case ("get", inner, key):
            return member(evaluate(inner, roots), key)
        case ("not", inner):
            return evaluate(inner, roots) is not True
        case ("and", parts):
            return all(evaluate(part, roots) is True for part in parts)
        case ("or", parts):
            return any(evaluate(part, roots) is True for part in parts)
        case ("??", parts):
            return first_value(parts, roots)
        case ("compare", operator, left, right):
            return compared(operator, evaluate(left, roots), evaluate(right, roots))
        case ("arithmetic", operator, left, right):
            return calculated(operator, evaluate(left, roots), evaluate(right, roots))
        case ("list", parts):
            return [evaluate(part, roots) for part in parts]
        case ("object", members):
            pairs = [(key, evaluate(part, roots)) for key, part in members]
            found = {}
            for key, value in pairs:
                if value is not None:
                    found[key] = value
            return found
        case ("template", parts):
            return "".join(text_of(evaluate(part, roots)) or "" for part in parts)
        case ("call", name, arguments, _):
            return called(name, arguments, roots)
    raise ValueError(node)


def called(name: str, arguments: list[Any], roots: dict[str, Any]) -> Any:
    if name == "if":
        chosen = arguments[1:2] if evaluate(arguments[0], roots) is True else arguments[2:]
        return evaluate(chosen[0], roots) if chosen else None
    if name == "coalesce":
        return first_value(arguments, roots)
    if name in ("map", "filter"):
        items = evaluate(arguments[0], roots)
        if isinstance(items, dict):
            pairs = [
                (key, item, evaluate(arguments[1], {**roots, "item": item}))
                for key, item in items.items()
            ]
            if name == "map":
                return {key: result for key, _, result in pairs if result is not None}
            return {key: item for key, item, result in pairs if result is True}
        if not isinstance(items, list):
            return None
        results = [(item, evaluate(arguments[1], {**roots, "item": item})) for item in items]
        if name == "map":
            return [result for _, result in results]
        return [item for item, result in results if result is True]
    values = [evaluate(argument, roots) for argument in arguments]
    if name == "contains":
        return contains(*values)
    call = TABLE[name].call
    assert call is not None
    return call(*values)


def contains(text: Any, part: Any) -> bool:
    if isinstance(text, list):
        return any(same(item, part) for item in text)
    return isinstance(text, str) and isinstance(part, str) and part in text


def first_value(parts: list[Any], roots: dict[str, Any]) -> Any:
    for part in parts:
        value = evaluate(part, roots)
        if value is not None:
            return value
    return None


def member(value: Any, key: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(str(key))
    if isinstance(value, list) and re.fullmatch("[0-9]{1,9}", str(key)):
        return value[int(key)] if int(key) < len(value) else None
    return None


def kind(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return type(value).__name__
    return "number"


def same(a: Any, b: Any) -> bool:
    if kind(a) != kind(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def compared(operator: str, a: Any, b: Any) -> bool:
    if operator in ("=", "!="):
        return same(a, b) is (operator == "=")
    if operator == "in":
        return isinstance(b, list) and any(same(a, item) for item in b)
    if kind(a) != "number" or kind(b) != "number":
        return False
    return bool({"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator])


def calculated(operator: str, a: Any, b: Any) -> Any:
    if operator == "+" and "str" in (kind(a), kind(b)):
        return None if a is None or b is None else (text_of(a) or "") + (text_of(b) or "")
    if kind(a) != "number" or kind(b) != "number" or (operator in "/%" and b == 0):
        return None
    try:
        if operator == "%":
            whole = isinstance(a, int) and isinstance(b, int)
            found: Any = a - b * math.trunc(Fraction(a, b)) if whole else math.fmod(a, b)
        else:
            found = {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b,
                     "/": lambda: a / b}[operator]()  # fmt: skip
        if isinstance(found, int) and not -(2**63) <= found < 2**64:
            found = float(found)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
