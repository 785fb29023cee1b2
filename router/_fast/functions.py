"""The functions of expressions, of every module that holds some. docs/expressions.md is made of it.

Every function is total: arguments of a type it has no use for give null (or false for a test), never
an exception. None has side effects, and none takes longer than in proportion to its input times its
pattern.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from router._fast import (
    functions_agents,
    functions_codes,
    functions_lists,
    functions_numbers,
    functions_people,
    functions_text,
    functions_times,
)
from router._fast.function_table import TABLE, Function, text_of

__all__ = ["GROUPS", "SPECIAL", "TABLE", "Function", "prepared", "text_of"]

GROUPS = ("Text", "Numbers", "Types", "Times", "Lists", "Objects", "Hashes and encodings",
          "People and places", "Choices")  # fmt: skip
MODULES = (functions_text, functions_numbers, functions_times, functions_lists, functions_codes,
           functions_people, functions_agents)  # fmt: skip
"""What enters functions in the table."""

SPECIAL = {
    "contains": Function(
        "contains(text, part)",
        "Does the text contain the part? Case counts. Of a list: is it an item?",
        'contains("analytics.js", "js")',
        True,
        "Text",
        2,
        2,
        None,
    ),
    "if": Function(
        "if(condition, then, else)",
        "`then` where the condition is true, else `else`, or null where there is none.",
        'if(1 > 2, "a", "b")', "b", "Choices", 2, 3, None),
    "coalesce": Function(
        "coalesce(values…)", "The first that is not null; the same as `??`.",
        "coalesce(null, missing, 1)", 1, "Choices", 1, None, None),
    "map": Function(
        "map(list, expression)", "The expression for each `item`. Of an object: for each member's value, "
        "null ones left out.",
        "map([{n: 1}, {n: 2}], item.n * 2)", [2, 4], "Lists", 2, 2, None),
    "filter": Function(
        "filter(list, condition)", "The items for which the condition is true of `item`; of an object, "
        "the members.",
        "filter([1, 5, 9], item > 4)", [5, 9], "Lists", 2, 2, None),
    "now": Function(
        "now()", "The time of evaluation, as an ISO time.",
        "now()", "2026-01-02T03:04:05.678Z", "Times", 0, 0, None),
}  # fmt: skip
"""Functions for which the compiler makes nodes of their own."""


def prepared(name: str, trees: list[tuple[Any, ...]]) -> Callable[..., Any]:
    """The function for a call with these arguments (trees of parse.py), made ready for those that
    are literals. Raises `ValueError` with a message where they make no sense."""
    entry = TABLE[name]
    assert entry.call is not None
    if entry.prepare is None:
        return entry.call
    literals = [tree[1] if tree[0] == "literal" else None for tree in trees]
    return entry.prepare(literals) or entry.call
