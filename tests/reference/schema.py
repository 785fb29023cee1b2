"""Draft-07 as its text reads, one keyword after the other: what `router._fast.schema` must agree with.

Without `$ref` and `format`, which the official suite is there for.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any


def equal(a: Any, b: Any) -> bool:
    """Numbers by value, everything else by kind and content; no boolean is a number."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    return bool(a == b)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_type(value: Any, name: str) -> bool:
    if name == "integer":
        return is_number(value) and value == int(value)
    if name == "number":
        return is_number(value)
    kinds = {"null": type(None), "boolean": bool, "string": str, "array": list, "object": dict}
    return isinstance(value, kinds[name])


def valid(schema: Any, value: Any) -> bool:
    if isinstance(schema, bool):
        return schema
    return (
        _any_kind(schema, value)
        and (not isinstance(value, str) or _text(schema, value))
        and (not is_number(value) or _number(schema, value))
        and (not isinstance(value, list) or _array(schema, value))
        and (not isinstance(value, dict) or _object(schema, value))
    )


def _any_kind(schema: dict[str, Any], value: Any) -> bool:
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    chosen = [valid(part, value) for part in schema.get("oneOf", [])]
    branch = True
    if "if" in schema:
        branch = schema.get("then" if valid(schema["if"], value) else "else", True)
    return (
        ("type" not in schema or any(is_type(value, name) for name in types))
        and ("enum" not in schema or any(equal(value, one) for one in schema["enum"]))
        and ("const" not in schema or equal(value, schema["const"]))
        and all(valid(part, value) for part in schema.get("allOf", []))
        and any(valid(part, value) for part in schema.get("anyOf", [True]))
        and ("oneOf" not in schema or sum(chosen) == 1)
        and not ("not" in schema and valid(schema["not"], value))
        and valid(branch, value)
    )


def _text(schema: dict[str, Any], value: str) -> bool:
    return (
        schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value))
        and re.search(schema.get("pattern", ""), value) is not None
    )


def _number(schema: dict[str, Any], value: float) -> bool:
    return (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and not ("exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"])
        and not ("exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"])
        and not (
            "multipleOf" in schema
            and (Fraction(repr(value)) / Fraction(repr(schema["multipleOf"]))).denominator != 1
        )
    )


def _array(schema: dict[str, Any], value: list[Any]) -> bool:
    items = schema.get("items", True)
    if isinstance(items, list):
        rest = schema.get("additionalItems", True)
        judges = items[: len(value)] + [rest] * (len(value) - len(items))
    else:
        judges = [items] * len(value)
    twins = any(equal(a, b) for i, a in enumerate(value) for b in value[:i])
    return (
        schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        and all(map(valid, judges, value))
        and not (schema.get("uniqueItems") and twins)
        and ("contains" not in schema or any(valid(schema["contains"], item) for item in value))
    )


def _object(schema: dict[str, Any], value: dict[str, Any]) -> bool:
    properties = schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    for name, item in value.items():
        judges = [properties[name]] if name in properties else []
        judges += [judge for pattern, judge in patterns.items() if re.search(pattern, name)]
        if not all(valid(judge, item) for judge in judges or [
            schema.get("additionalProperties", True)
        ]):  # fmt: skip
            return False
    for name, needed in schema.get("dependencies", {}).items():
        if name in value and not (
            all(other in value for other in needed)
            if isinstance(needed, list)
            else valid(needed, value)
        ):
            return False
    return (
        schema.get("minProperties", 0) <= len(value) <= schema.get("maxProperties", len(value))
        and all(name in value for name in schema.get("required", []))
        and all(valid(schema.get("propertyNames", True), name) for name in value)
    )
