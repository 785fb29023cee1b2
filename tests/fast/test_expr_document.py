"""Expressions over an event's index against the same over its decoded form."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router._fast.document import Document
from router._fast.expr import MissingField, compile, compile_fields

NAMES = st.sampled_from(["type", "event", "a", "b", "properties", "0", "1", "é", 'q"'])
SCALARS = (
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, -1, 100, 2**53, 2**53 + 1, 2**63, 0.0, -0.0, 1.0, 1.5, 100.0, 1e300])
    | st.sampled_from(["", "track", "Order", "ab", "é", "a\nb", 'q"', "100", "true", "😀"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
EVENTS = st.dictionaries(NAMES, VALUES, max_size=6)

PATHS = st.sampled_from(["type", "event", "a", "b", "properties.a", "properties.b", "properties.0",
                         "a.b", "a[0]", "b[1].a", "$", "properties", "missing.x", "settings.s"])  # fmt: skip
LITERALS = st.sampled_from(['"track"', '"Order"', '"é"', "'q\"'", '""', "1", "100", "1.5", "0", "-1",
                            "true", "false", "null", "9007199254740992"])  # fmt: skip
CONDITIONS = st.recursive(
    st.builds(
        "{} {} {}".format, PATHS, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), LITERALS
    )
    | st.builds("{} = {}".format, PATHS, PATHS)
    | st.builds("contains({}, {})".format, PATHS, LITERALS | PATHS)
    | st.builds("{} in [{}, {}]".format, PATHS, LITERALS, LITERALS)
    | st.builds('match({}, "*r*")'.format, PATHS)
    | PATHS,
    lambda inner: (
        st.builds("({}) and ({})".format, inner, inner)
        | st.builds("({}) or ({})".format, inner, inner)
        | st.builds("not ({})".format, inner)
    ),
    max_leaves=4,
)
TEXTS = st.recursive(
    PATHS | LITERALS | CONDITIONS,
    lambda inner: (
        st.builds("[{}, {}]".format, inner, inner)
        | st.builds("{{x: {}, y: {}}}".format, inner, inner)
        | st.builds("({}) ?? ({})".format, inner, inner)
        | st.builds("if({}, {}, {})".format, inner, inner, inner)
        | st.builds("map({}, item)".format, PATHS)
        | st.builds("`${{{}}}-x`".format, PATHS)
    ),
    max_leaves=4,
)
SETTINGS = {"s": "track"}


@given(EVENTS, TEXTS, st.booleans())
@settings(max_examples=1500)
def test_an_index_gives_what_decoding_gives(
    event: dict[str, Any], text: str, ascii_only: bool
) -> None:
    raw = json.dumps(event, ensure_ascii=ascii_only).encode()
    decoded, document = orjson.loads(raw), Document(raw)
    expr = compile(text)
    value = expr.eval(decoded, SETTINGS)
    assert expr.eval_doc(document, SETTINGS) == value
    assert expr.test_doc(document, SETTINGS) is expr.test(decoded, SETTINGS)
    assert orjson.loads(expr.write_doc(document, SETTINGS)) == value
    assert expr.test_many([document] * 2, SETTINGS) == bytes([expr.test(decoded, SETTINGS)] * 2)
    assert expr.write_many([document], SETTINGS) == [expr.write_doc(document, SETTINGS)]


@given(
    st.lists(st.tuples(NAMES, VALUES), max_size=6),
    st.dictionaries(st.sampled_from(["x", "a", "b!", "n"]), PATHS | LITERALS, max_size=4),
    PATHS | st.none(),
)
@settings(max_examples=500)
def test_fields_are_written_as_they_are_evaluated(
    members: list[tuple[str, Any]], table: dict[str, Any], rest: str | None
) -> None:
    body = ",".join(
        f"{json.dumps(key, ensure_ascii=bool(i % 2))}:{json.dumps(value)}"
        for i, (key, value) in enumerate(members)
    )
    raw = b"{" + body.encode() + b"}"
    table = {**table, "inner": {"deep": "a.b"}}
    if rest is not None:
        table["..."] = rest
    expr = compile_fields(table)
    try:
        wanted = expr.eval(orjson.loads(raw), SETTINGS)
    except MissingField as error:
        with pytest.raises(MissingField, match=error.field):
            expr.write_doc(Document(raw), SETTINGS)
        assert expr.write_many([Document(raw)], SETTINGS) == [None]
    else:
        assert orjson.loads(expr.write_doc(Document(raw), SETTINGS)) == wanted


def test_an_events_own_values_are_written_byte_for_byte() -> None:
    raw = b'{"properties":{"total":1.50,"big":123456789012345678901234567890,"text":"\\u00e9"}}'
    expr = compile_fields({"all": "properties", "t": "properties.total", "b": "properties.big"})
    assert expr.write_doc(Document(raw)) == (
        b'{"all":{"total":1.50,"big":123456789012345678901234567890,"text":"\\u00e9"},"t":1.50,'
        b'"b":123456789012345678901234567890}'
    )


@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("escaped", [False, True])
def test_of_members_with_one_name_the_last_is_copied_in_its_place(
    count: int, escaped: bool
) -> None:
    first = '"\\u0061":1' if escaped else '"a":1'
    others = [f'"m{number}":{number}' for number in range(count)]
    body = ",".join([first, '"é":0', *others, '"a":2', '"b":3'])
    document = Document(('{"properties":{' + body + "}}").encode())
    expr = compile_fields({"b": "1", "é": '"own"', "...": "properties"})
    wanted = '{"b":1,"é":"own",' + ",".join([*others, '"a":2']) + "}"
    assert expr.write_doc(document).decode() == wanted
