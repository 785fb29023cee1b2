"""docs/expressions.md follows the table of functions, and what it says is so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from router._fast import expr_reference
from router._fast.expr import compile
from router._fast.expr_reference import CONDITIONS, EVENT, NOW_MS, VALUES
from router._fast.functions import GROUPS, SPECIAL, TABLE, Function

PAGE = Path(__file__).parents[2] / "docs" / "expressions.md"
FUNCTIONS = {**TABLE, **SPECIAL}


def test_the_page_follows_the_table() -> None:
    assert PAGE.read_text() == expr_reference.reference(), (
        "run: python -m router._fast.expr_reference > docs/expressions.md"
    )


@pytest.mark.parametrize(("text", "gives"), VALUES)
def test_the_examples_of_values(text: str, gives: Any) -> None:
    assert compile(text).eval(EVENT) == gives


@pytest.mark.parametrize(("text", "holds"), CONDITIONS)
def test_the_examples_of_conditions(text: str, holds: bool) -> None:
    assert compile(text).test(EVENT) is holds


@pytest.mark.parametrize("entry", FUNCTIONS.values(), ids=FUNCTIONS)
def test_the_example_of_each_function(entry: Function) -> None:
    found = compile(entry.example).eval({}, {}, NOW_MS)
    assert found == entry.gives
    assert type(found) is type(entry.gives)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_used_as_it_says(name: str) -> None:
    entry = FUNCTIONS[name]
    assert entry.usage.startswith(f"{name}(")
    assert entry.group in GROUPS
    arguments = ", ".join(["null"] * entry.least)
    compile(f"{name}({arguments})")
