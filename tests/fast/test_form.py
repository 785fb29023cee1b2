"""Forms and queries as they are written, against urllib and against decoding what is written."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router._fast.document import Document
from router._fast.expr import MissingField, compile, compile_fields
from router._fast.functions import text_of
from router._fast.output import form_of
from tests.fast.test_expr_document import EVENTS, LITERALS, NAMES, PATHS, SETTINGS, TEXTS, VALUES

NUMBERS = st.sampled_from(
    ["0", "-0", "1.50", "5.0", "-0.0", "1e5", "0.1", "0.00012", "0.00001", "1.5e-7",
     "123456789012345678", "1234567890123456789", "18446744073709551616", "0.1234567890123456789",
     "123456789.123456", "1234567890.123456", "9007199254740993", "-1.25", "100000000000000000000.5"]
)  # fmt: skip


def form(members: dict[str, Any]) -> bytes:
    """What Python makes of decoded members."""
    texts = {name: text_of(value) for name, value in members.items()}
    return urlencode({name: text for name, text in texts.items() if text is not None}).encode()


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=5), st.booleans())
def test_texts_are_quoted_as_urllib_does_it(members: dict[str, str], plus: bool) -> None:
    wanted = urlencode(members) if plus else urlencode(members, quote_via=quote)
    assert form_of(members, plus).decode() == wanted
    assert form_of({name: text.encode() for name, text in members.items()}, plus) == wanted.encode()


def test_every_byte_is_quoted_as_urllib_does_it() -> None:
    for code in (*range(256), 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF):
        assert form_of({"a": chr(code)}) == urlencode({"a": chr(code)}).encode()


@given(EVENTS, st.booleans(), st.sampled_from(["$", "a", "properties", "missing", "{x: a, y: b}"]))
def test_an_events_members_are_written_as_they_decode(
    event: dict[str, Any], ascii_only: bool, text: str
) -> None:
    raw = json.dumps(event, ensure_ascii=ascii_only).encode()
    expr = compile(text)
    value = orjson.loads(expr.write_doc(Document(raw)))
    assert expr.write_form_doc(Document(raw)) == form(value if isinstance(value, dict) else {})


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=6),
    st.dictionaries(
        st.sampled_from(["x", "a", "b!", "n", "é &"]), PATHS | LITERALS | TEXTS, max_size=4
    ),
    st.sampled_from(["$", "properties", "settings", "merge(a, b)"]) | st.none(),
)
@settings(max_examples=500)
def test_rows_are_written_as_their_json_decodes(
    members: list[tuple[str, Any]], table: dict[str, Any], rest: str | None
) -> None:
    body = ",".join(
        f"{json.dumps(key, ensure_ascii=bool(i % 2))}:{json.dumps(value)}"
        for i, (key, value) in enumerate(members)
    )
    document = Document(b"{" + body.encode() + b"}")
    table = {**table, "inner": {"deep": "a.b"}}
    if rest is not None:
        table["..."] = rest
    expr = compile_fields(table)
    try:
        wanted = form(orjson.loads(expr.write_doc(document, SETTINGS)))
    except MissingField as error:
        with pytest.raises(MissingField, match=error.field):
            expr.write_form_doc(document, SETTINGS)
    else:
        assert expr.write_form_doc(document, SETTINGS) == wanted


@given(NUMBERS | st.integers().map(str) | st.floats(allow_nan=False, allow_infinity=False).map(str)
       | st.decimals(-1000, 1000, places=5).map(str))  # fmt: skip
@settings(max_examples=1000)
def test_numbers_are_written_as_they_decode(number: str) -> None:
    raw = f'{{"n":{number}}}'.encode()
    assert compile("$").write_form_doc(Document(raw)) == form(orjson.loads(raw))


def test_what_has_no_text_is_left_out() -> None:
    deep = b"[" * 900 + b"]" * 900
    document = Document(b'{"deep":' + deep + b',"a":null,"b":[],"c":{},"d":"","e":false}')
    assert compile("$").write_form_doc(document) == b"b=%5B%5D&c=%7B%7D&d=&e=false"
    assert compile("[1]").write_form_doc(document) == b""
    with pytest.raises(MissingField):
        compile_fields({"x!": "deep"}).write_form_doc(document)
    with pytest.raises(UnicodeEncodeError):
        form_of({"a": "\ud800"})
    lone = {"t": "\ud800", "\ud800": "t", "n": float("nan"), "k": 1}
    assert compile("settings").write_form_doc(Document(b"{}"), lone) == b"k=1"


def test_long_texts_have_room() -> None:
    raw = json.dumps({"a": "é" * 100_000, "b": "&" * 100_000}).encode()
    assert compile("$").write_form_doc(Document(raw)) == (
        b"a=" + b"%C3%A9" * 100_000 + b"&b=" + b"%26" * 100_000
    )
