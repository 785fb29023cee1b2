"""Nodes that read an event's bytes give what their functions give of its values."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router._fast.document import Document
from router._fast.expr import compile, compile_fields, compile_tree
from router._fast.functions import TABLE

TIMES = st.sampled_from(
    ["2026-01-02T03:04:05.678Z", "2026-01-02", "1969-12-31T23:59:59.999Z", "1767323045", "soon", "",
     "2026-01-02T03:04:05+02:00", "é", "a\\b\"c"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4) | TIMES,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "b", "0"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
KINDS = ("text", "number", "integer", "boolean", "time", "object")


def same(text: str, value: Any, wanted: Any) -> None:
    """Read from bytes and from values, written, and asked whether it is there."""
    event = {"v": {"x": value}}
    expr, doc = compile(text), Document(orjson.dumps(event))
    assert expr.eval(event) == wanted
    assert expr.eval_doc(doc) == wanted
    assert orjson.loads(expr.write_doc(doc)) == orjson.loads(orjson.dumps(wanted))
    assert compile(f"{text} = null").test_doc(doc) is (wanted is None)
    assert compile(f"({text} ?? missing) = null").test_doc(doc) is (wanted is None)


@given(VALUES)
@example("")
@example(10**17)
@example("1e400")
@example("1e30")
@example([5])
@settings(max_examples=400, deadline=None)
def test_types(value: Any) -> None:
    call = TABLE["as_type"].call
    assert call is not None
    kind_of = TABLE["typeof"].call
    assert kind_of is not None
    same("typeof(v.x)", value, kind_of(value))
    for kind in KINDS:
        same(f'as_type(v.x, "{kind}")', value, call(value, kind))


@given(VALUES)
@example("-0001-01-01T00:00:00Z")
@example(-1)
@settings(max_examples=300, deadline=None)
def test_epochs(value: Any) -> None:
    for name in ("epoch_ms", "epoch_s"):
        call, typed = TABLE[name].call, TABLE["as_type"].call
        assert call is not None
        assert typed is not None
        same(f"{name}(v.x)", value, call(value))
        same(f'{name}(as_type(v.x, "time"))', value, call(typed(value, "time")))


@given(st.lists(VALUES, min_size=2, max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_remembered_call_is_not_taken_for_another(values: list[Any]) -> None:
    expr, call = compile("user_agent(v.x)"), TABLE["user_agent"].call
    assert call is not None
    for value in [*values, *reversed(values)]:
        doc = Document(orjson.dumps({"v": {"x": value}}))
        assert expr.eval_doc(doc) == call(value)


@given(VALUES, VALUES)
@settings(max_examples=300, deadline=None)
def test_the_rest_of_a_row(value: Any, other: Any) -> None:
    event = {"v": {"x": value}, "w": other}
    doc = Document(orjson.dumps(event))
    for rest in (
        "v.x",
        'as_type(v.x, "object")',
        'omit(v.x, "a")',
        'omit(as_type(v.x, "object"), "b", "c")',
    ):
        fields = compile_fields({"b": "w", "...": rest})
        wanted = fields.eval(event)
        assert orjson.loads(fields.write_doc(doc)) == orjson.loads(orjson.dumps(wanted))


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_an_object_that_comes_out_empty(value: Any) -> None:
    event = {"v": {"x": value}}
    expr = compile("filled({a: v.x})")
    wanted = None if value is None else {"a": value}
    assert expr.eval(event) == wanted
    assert orjson.loads(expr.write_doc(Document(orjson.dumps(event)))) == wanted


@given(VALUES, st.lists(st.integers(0, 99), max_size=3))
@settings(max_examples=100, deadline=None)
def test_a_row_an_item(value: Any, items: list[int]) -> None:
    fields = compile_fields({"n": ("path", "item", []), "x": "v.x"})
    doc = Document(orjson.dumps({"v": {"x": value}}))
    for item in items:
        found = orjson.loads(fields.write_item(doc, item))
        assert found == ({"n": item} if value is None else {"n": item, "x": value})


PATHS = st.lists(st.sampled_from(["a", "b", "0", "c"]), min_size=1, max_size=4)


@given(
    st.dictionaries(st.sampled_from(["a", "b", "0"]), VALUES, max_size=3),
    st.lists(PATHS, max_size=6),
)
@settings(max_examples=300, deadline=None)
def test_paths_that_begin_alike_are_found_each(event: Any, paths: list[list[str]]) -> None:
    """The beginning of the last path is remembered, within an evaluation and not beyond it."""
    tree = ("list", [("path", "$", path) for path in paths])
    expr = compile_tree(tree)
    for each in (event, {"a": {"b": {"c": 1}}}, event):
        assert expr.eval_doc(Document(orjson.dumps(each))) == expr.eval(each)
    docs = [Document(orjson.dumps(each)) for each in (event, {"a": {"b": 1}}, event)]
    assert expr.write_many(docs) == [expr.write_doc(doc) for doc in docs]


AGENTS = [
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2210.91",
     "Microsoft Edge", "120.0.2210.91", "Windows", "10", None),
    ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/121.0",
     "Firefox", "121.0", "Ubuntu", None, None),
    ("Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0.6099.119 Mobile/15E148 Safari/604.1",
     "Chrome iOS", "120.0.6099.119", "iOS", "16.6", "tablet"),
    ("Mozilla/5.0 (Linux; Android 13; Pixel 7 Pro Build/TQ3A) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36",
     "Samsung Internet", "23.0", "Android", "13", "mobile"),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1.15",
     "Safari", "17.1", "Mac OS", "10.15.7", None),
    ("curl/8.4.0", None, None, None, None, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "browser", "version", "system", "system_version", "device"), AGENTS
)
def test_user_agents(
    text: str, browser: str, version: str, system: str, system_version: str, device: str
) -> None:
    call = TABLE["user_agent"].call
    assert call is not None
    found = call(text)
    assert (found.get("browser"), found.get("browser_version")) == (browser, version)
    assert (found.get("os"), found.get("os_version")) == (system, system_version)
    assert found.get("device") == device


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_user_agent(text: str) -> None:
    call = TABLE["user_agent"].call
    assert call is not None
    found = call(text)
    assert found is None or all(isinstance(value, str) for value in found.values())
