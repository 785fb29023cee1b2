"""Segment's compiled filters (the `ir` of a routing rule's matcher) to the tree of parse.py.

The form is JSON: a string is a path, `{"value": X}` a literal whose items are forms too, and a list
is an operator or a function with its operands. Where Segment's browser library and its documentation
differ the documentation is followed: a missing value is null, `length` counts bytes.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from router._fast.parse import Node
from router.errors import ExpressionError

_COMPARE = frozenset({"=", "!=", "<", "<=", ">", ">=", "in"})
_FUNCTIONS = {"contains": 2, "match": 2, "lowercase": 1, "typeof": 1, "length": 1}
_MAX_DEPTH = 100


def parse_ir(text: str) -> Node:
    """The tree of an IR's JSON text; the empty text is never true. Raises `ExpressionError`."""
    if not text:
        return ("literal", False)
    try:
        form = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ExpressionError(f"this IR is not JSON: {error}", text=text[:80]) from None
    return _tree(form, 0)


def parse_matcher(matcher: dict[str, Any]) -> Node:
    """The tree of a matcher: of type "all", or "fql" with its `ir`. Raises `ExpressionError`."""
    kind = matcher.get("type")
    if kind == "all":
        return ("literal", True)
    if kind != "fql":
        raise ExpressionError(f"there is no matcher of type `{kind}`", hint="`fql` or `all`")
    ir = matcher.get("ir")
    return parse_ir(ir if isinstance(ir, str) else "")


def _tree(form: Any, depth: int) -> Node:
    if depth > _MAX_DEPTH:
        raise ExpressionError(f"nested deeper than {_MAX_DEPTH}")
    if isinstance(form, str):
        return ("path", "$", [re.sub(r"\\(.)", r"\1", step) for step in _steps(form)])
    if isinstance(form, dict) and "value" in form:
        value = form["value"]
        if isinstance(value, list):
            return ("list", [_tree(item, depth + 1) for item in value])
        return ("literal", value)
    if isinstance(form, list) and form and isinstance(form[0], str):
        return _operation(form[0], [_tree(item, depth + 1) for item in form[1:]])
    raise ExpressionError(f"no form of the IR: {str(form)[:80]}")


def _steps(path: str) -> list[str]:
    """The path cut at its dots, those behind a backslash excepted."""
    return re.findall(r"(?:[^.\\]|\\.)+", path, re.DOTALL)


def _operation(name: str, operands: list[Node]) -> Node:
    count = len(operands)
    if name == "!" and count == 1:
        return ("not", operands[0])
    if name in ("and", "or") and count:
        return (name, operands)
    if name in _COMPARE and count == 2:
        return ("compare", name, *operands)
    if _FUNCTIONS.get(name) == count:
        return ("call", name, operands, 0)
    raise ExpressionError(f"the IR has no `{name}` of {count} operands")
