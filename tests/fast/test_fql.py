"""Segment's FQL in its three forms, by cases of our own; test_fql_vectors.py has Segment's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router._fast.expr import compile, compile_tree
from router._fast.fql_ir import parse_ir, parse_matcher
from router._fast.globs import glob_matches
from router.errors import ExpressionError

EVENT: dict[str, Any] = {
    "type": "track",
    "event": "Order Completed",
    "properties": {
        "total": 5,
        "text": "5",
        "plan": None,
        "tags": ["a", 1],
        "my key": {"a.b": True},
    },
}


@pytest.mark.parametrize(
    ("text", "router", "actions"),
    [
        ('type = "track" and event = "x" or userId = "u"', False, True),
        ('type = "track" or event = "x" and userId = "u"', True, False),
        ('type = "track" and (event = "x" or userId = null)', True, True),
        ('!contains(properties.x, "a")', True, False),
        ('!contains(properties.total, "a")', True, False),
        ('!contains(properties.text, "a")', True, True),
        ('!match(properties.plan, "a*")', True, False),
        ("properties.x != 4", True, False),
        ("properties.text != 4", True, False),
        ("properties.total != 4", True, True),
        ('properties.x != "4"', True, True),
        ("properties.total = 5", True, True),
        ('properties.total = "5"', False, False),
        ("properties.plan = null", True, True),
        ("properties.x != null", False, False),
        ("!(properties.total = 4)", True, True),
    ],
)
def test_what_a_text_means_as_an_expression_and_as_a_subscribe(
    text: str, router: bool, actions: bool
) -> None:
    assert compile(text).test(EVENT) is router
    assert compile(text, "actions").test(EVENT) is actions


@pytest.mark.parametrize("text", ["", "typo", 'type * "a"', "true", "length(event)", "a and b = 1"])
def test_a_subscribe_is_made_of_tests(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile(text, "actions")


def test_there_are_two_dialects() -> None:
    with pytest.raises(ValueError, match="no dialect"):
        compile("true", "latin")


@pytest.mark.parametrize(
    ("form", "holds"),
    [
        (["=", "type", {"value": "track"}], True),
        (["!", ["=", "type", {"value": "track"}]], False),
        (["=", "properties.missing", {"value": None}], True),
        (["in", {"value": "a"}, "properties.tags"], True),
        (["in", "properties.total", {"value": [{"value": 5}, "type"]}], True),
        (["contains", ["lowercase", "event"], {"value": "order"}], True),
        (["<", ["length", "userId"], {"value": 1}], True),
        (["=", ["typeof", "properties.tags"], {"value": "list"}], True),
        ("properties.my key.a\\.b", True),
        ("properties.text", False),
        ({"value": True}, True),
    ],
)
def test_compiled_filters(form: Any, holds: bool) -> None:
    assert compile_tree(parse_ir(json.dumps(form))).test(EVENT) is holds


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "[1]", "{}", "3", '["nope", "a"]', '["=", "a"]', '["and"]', '["match", "a"]',
     "[" * 100_000, '["!",' * 5000 + '"a"' + "]" * 5000, '["!",' * 500 + '"a"' + "]" * 500],
)  # fmt: skip
def test_what_is_no_compiled_filter_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_ir(text)


def test_matchers() -> None:
    assert compile_tree(parse_matcher({"type": "all"})).test({})
    assert not compile_tree(parse_matcher({"type": "fql"})).test({})
    with pytest.raises(ExpressionError, match="no matcher of type"):
        parse_matcher({"type": "regex"})


@pytest.mark.parametrize(
    ("glob", "text", "fits"),
    [
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("?", "", False),
        ("a*c", "abbc", True),
        ("a*c", "abbcd", False),
        ("*a?c*", "xxabcyy", True),
        ("[a-c][^a-c]", "bd", True),
        ("[a-c][^a-c]", "bb", False),
        ("[\\]]", "]", True),
        ("[]", "", False),
        ("[^]", "a", False),
        ("[a-]", "a", False),
        ("a\\", "a", False),
        ("\\*", "*", True),
        ("\\*", "a", False),
        ("A", "a", False),
        ("?", "😀", True),
    ],
)
def test_globs(glob: str, text: str, fits: bool) -> None:
    assert glob_matches(glob, text) is fits


def plainly_fits(glob: str, text: str) -> bool:
    if not glob:
        return not text
    if glob[0] == "*":
        return any(plainly_fits(glob[1:], text[i:]) for i in range(len(text) + 1))
    return bool(text) and glob[0] in ("?", text[0]) and plainly_fits(glob[1:], text[1:])


@given(st.text("ab*?", max_size=7), st.text("ab", max_size=8))
def test_globs_are_what_trying_everything_finds(glob: str, text: str) -> None:
    assert glob_matches(glob, text) is plainly_fits(glob, text)


@given(st.text("ab*?[]^-\\é😀", max_size=8), st.text("ab]^-\\é😀\n\ud800", max_size=8))
@settings(max_examples=500)
def test_a_literal_glob_fits_what_one_from_the_event_does(glob: str, text: str) -> None:
    literal = compile_tree(("call", "match", [("path", "$", ["text"]), ("literal", glob)], 1))
    wanted = glob_matches(glob, text)
    assert literal.test({"text": text}) is wanted
    assert compile("match(text, glob)").test({"text": text, "glob": glob}) is wanted


def test_subscribe_takes_operators_in_upper_case() -> None:
    expression = compile('type = "track" AND event = "Product Added"', dialect="actions")
    assert expression.test({"type": "track", "event": "Product Added"})
    assert not expression.test({"type": "track", "event": "Product Removed"})
