"""The language of `subscribe` in Segment's Actions, as trees of parse.py.

It is written as FQL is, and differs in what it means: an `and` and an `or` in one group make the
group what the last of them says, and a negated test is false where there is no value to test.
Segment leaves out a condition on a field it does not know, and never matches brackets in brackets;
here both mean what they say.
"""

from __future__ import annotations

from router._fast.parse import Node, parse
from router.errors import ExpressionError

_TESTS = frozenset({"contains", "match"})


def parse_actions(text: str) -> Node:
    """The tree of a `subscribe`. Raises `ExpressionError`, for a value that is no test too."""
    return _condition(parse(text, flat=True), text)


def _condition(tree: Node, text: str) -> Node:
    kind = tree[0]
    if kind in ("and", "or"):
        return (kind, [_condition(part, text) for part in tree[1]])
    if kind == "compare":
        return _comparison(tree)
    if kind == "call" and tree[1] in _TESTS:
        return tree
    if kind == "not" and tree[1][0] == "call" and tree[1][1] in _TESTS:
        return _where("string", tree[1][2][0], tree)
    if kind == "not":
        return ("not", _condition(tree[1], text))
    raise ExpressionError(
        "this is a value, not a test", text=text, column=1, hint='write `… = "…"`, say'
    )


def _comparison(tree: Node) -> Node:
    _, operator, left, right = tree
    number = right[0] == "literal" and type(right[1]) in (int, float)
    return _where("number", left, tree) if operator == "!=" and number else tree


def _where(kind: str, value: Node, test: Node) -> Node:
    """The test, false where the value is of another kind."""
    return ("and", [("compare", "=", ("call", "typeof", [value], 0), ("literal", kind)), test])
