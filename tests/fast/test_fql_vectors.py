"""Segment's FQL: its documentation, its Actions, its browser library's compiled form and its lexer.

What is left out is listed here, each with its reason; nothing is skipped silently.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router._fast.expr import compile, compile_tree
from router._fast.fql_ir import parse_matcher
from router._fast.parse import parse, tokens
from router.errors import ExpressionError
from tests.reference.actions import matches

FILE = Path(__file__).parents[3] / "shared" / "vectors" / "fql" / "fql_vectors.json"
if not FILE.exists():
    pytest.skip(f"no vectors at {FILE}", allow_module_level=True)
CASES: list[dict[str, Any]] = json.loads(FILE.read_text())

OPT_OUT = {
    "fql-0074": 'typeof(true) is "bool" in the documentation, "boolean" in the browser library',
    "fql-0123": "the text is a division without its right side, an error of the parser here",
    "fql-0364": "a syntax tree that holds an error, without a text",
    "fql-0352": "a syntax tree that holds an error, without a text",
}
"""Cases that do not hold here, or say nothing about a text."""

SUPERSET = {
    "fql-0122": "`!` alone is a token, and refused by the parser",
    "fql-0124": "`abc/` is two tokens, and refused by the parser",
    "fql-0125": "`$` is the whole event",
    "fql-0128": "`*` is a token, and refused by the parser",
    "fql-0130": "`/` is a token, and refused by the parser",
    "fql-0257": "`length` is a function of the documented language",
    "fql-0258": "`lowercase` is a function of the documented language",
    "fql-0259": "`typeof` is a function of the documented language",
}
"""Texts that Segment's open lexer or parser refuses and this language reads."""

OTHER_TEXT = {
    "fql-0004": "the text is a string in quotes, the compiled form a path",
    "fql-0005": "the text is a string in quotes, the compiled form a path",
    **dict.fromkeys(
        ["fql-0104", "fql-0105", "fql-0106", "fql-0107"], "the text is that of another case"
    ),
}
"""Cases whose text is not what was compiled: only the compiled form is evaluated."""


def cases(dialect: str) -> list[Any]:
    found = [case for case in CASES if case["dialect"] == dialect]
    assert found
    return [pytest.param(case, id=case["id"]) for case in found if case["id"] not in OPT_OUT]


@pytest.mark.parametrize("case", cases("fql-doc"))
def test_the_documentation(case: dict[str, Any]) -> None:
    assert compile(case["expr"]).test(case["event"]) is case["expected"]


@pytest.mark.parametrize("case", cases("tsub-ir"))
def test_the_compiled_form(case: dict[str, Any]) -> None:
    matcher = {"type": case["matcher_type"], "ir": case["ir"]}
    if "expected_error" in case:
        with pytest.raises(ExpressionError):
            compile_tree(parse_matcher(matcher))
        return
    assert compile_tree(parse_matcher(matcher)).test(case["event"]) is case["expected"]


@pytest.mark.parametrize("case", cases("tsub-ir"))
def test_the_text_of_the_compiled_form(case: dict[str, Any]) -> None:
    if "expr" not in case or case["id"] in OTHER_TEXT:
        return
    if "expected_error" in case:
        with pytest.raises(ExpressionError):
            compile(case["expr"])
    else:
        assert compile(case["expr"]).test(case["event"]) is case["expected"]


KINDS = {"word": "ident", "number": "number", "string": "string", "end": "eos", ".": "dot",
         "(": "parenleft", ")": "parenright", "[": "brackleft", "]": "brackright", ",": "comma",
         "=": "operator", "!=": "operator", "<": "operator", "<=": "operator", ">": "operator",
         ">=": "operator", "!": "operator"}  # fmt: skip
WORDS = {"and": "conditional", "or": "conditional", "null": "null"}


def segments_tokens(text: str) -> list[tuple[str, str]]:
    """Our tokens as Segment's lexer names them: a sign belongs to its number."""
    found: list[tuple[str, str]] = []
    sign = ""
    for token in tokens(text):
        if token.kind in "+-":
            sign = token.kind
            continue
        kind = WORDS.get(token.text, "ident") if token.kind == "word" else KINDS[token.kind]
        end = token.column + len(token.text) + 1
        name = re.sub(r"\\(.)", r"\1", token.text)
        value = text[token.column - 1 : end] if kind == "string" else sign + name
        found.append((kind, "eos" if kind == "eos" else value))
        sign = ""
    return found


@pytest.mark.parametrize("case", cases("fql-lexer"))
def test_the_lexer(case: dict[str, Any]) -> None:
    if case["id"] == "fql-0125":
        assert compile(case["expr"]).eval({"a": 1}) == {"a": 1}
    elif "expected_error" in case:
        with pytest.raises(ExpressionError):
            parse(case["expr"]) if case["id"] in SUPERSET else tokens(case["expr"])
    else:
        wanted = [(token["type"], token["value"]) for token in case["expected_tokens"]]
        assert segments_tokens(case["expr"]) == wanted


@pytest.mark.parametrize("case", cases("fql-parser"))
def test_the_parser_reads_what_segments_does(case: dict[str, Any]) -> None:
    if "expected_error" in case and case["id"] not in SUPERSET:
        with pytest.raises(ExpressionError):
            compile(case["expr"])
    else:
        compile(case["expr"])


@pytest.mark.parametrize("case", cases("actions-eval"))
def test_a_subscribe(case: dict[str, Any]) -> None:
    event = case["event"] if isinstance(case["event"], dict) else {}
    expected = case["expected"]
    if "note" in case:
        # These were evaluated by their syntax tree, and the note tells what their text gives.
        assert f"text gives {json.dumps(not expected)}" in case["note"]
        expected = not expected
    assert compile(case["expr"], "actions").test(event) is expected


VALUES = st.sampled_from([None, True, False, 0, 10, 99, 100, 123, 123.5, 456, 2, "", "x", "X", "Xa",
                          "aX", "Nike", "true", "123", "456", "Product Added", "Order Completed",
                          "track", "identify", "Catalog", "Home", "bar", "baz", "hello", []])  # fmt: skip
KEYS = ["name", "value", "label", "price", "premium", "logins", "plan", "total", "age", "test",
        "foo", "bar", "baz", "baz alp", "zaz", "property 1", "property dos"]  # fmt: skip
INNER = st.recursive(
    VALUES, lambda inner: st.dictionaries(st.sampled_from(KEYS), inner, max_size=6), max_leaves=6
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(["type", "event", "name", "userId"], VALUES),
        **dict.fromkeys(["properties", "traits", "context"], INNER),
    },
)


@pytest.mark.parametrize("case", cases("actions-parse") + cases("actions-generate"))
@given(EVENTS)
@settings(max_examples=30)
def test_a_subscribe_means_its_syntax_tree(case: dict[str, Any], event: dict[str, Any]) -> None:
    tree = case.get("expected_ast") or case.get("ast")
    if tree is None or case["expr"] == "type = ":
        # Segment's parser takes the end of the text for the value `eos`.
        with pytest.raises(ExpressionError):
            compile(case["expr"], "actions")
        return
    assert compile(case["expr"], "actions").test(event) is matches(tree, event)


def test_every_opt_out_names_a_case() -> None:
    assert {*OPT_OUT, *SUPERSET, *OTHER_TEXT} <= {case["id"] for case in CASES}
