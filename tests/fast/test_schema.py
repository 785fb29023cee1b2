"""Compiled schemas against draft-07 in plain Python, and against what hostile people send."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router._fast.document import Document
from router._fast.schema import Violation, compile
from router.errors import SchemaError
from tests.reference import schema as reference

NAMES = st.sampled_from(["a", "b", "ab", "é", 'q"', ""])
NUMBERS = st.one_of(
    st.integers(-4, 12),
    st.sampled_from(
        [0.5, 1.0, 2.5, 0.1, 0.3, 4.35, -0.0, 1e300, 2**53, 2**53 + 1, 2**63, -(2**63)]
    ),
)
TEXTS = st.one_of(NAMES, st.text("ab1é🐲\\\n", max_size=5))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)
COUNTS = st.integers(0, 3)
PATTERNS = st.sampled_from(["^a", "b", "^(a|b)*$", "[0-9]", "é", "^..$"])
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "type": st.one_of(TYPES, st.lists(TYPES, min_size=1, max_size=3)),
    "enum": st.lists(VALUES, min_size=1, max_size=4),
    "const": VALUES,
    "minLength": COUNTS, "maxLength": COUNTS, "pattern": PATTERNS,
    "minimum": NUMBERS, "maximum": NUMBERS,
    "exclusiveMinimum": NUMBERS, "exclusiveMaximum": NUMBERS,
    "multipleOf": st.sampled_from([1, 2, 3, 0.5, 0.01, 1.5, 10]),
    "minItems": COUNTS, "maxItems": COUNTS, "uniqueItems": st.booleans(),
    "minProperties": COUNTS, "maxProperties": COUNTS,
    "required": st.lists(NAMES, max_size=3, unique=True),
}  # fmt: skip


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(NAMES, inner, max_size=3)
    return st.fixed_dictionaries({}, optional={
        **LEAVES,
        "allOf": some, "anyOf": some, "oneOf": some, "not": inner,
        "if": inner, "then": inner, "else": inner,
        "items": st.one_of(inner, some), "additionalItems": inner, "contains": inner,
        "properties": named, "additionalProperties": inner, "propertyNames": inner,
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2),
        "dependencies": st.dictionaries(
            NAMES, st.one_of(inner, st.lists(NAMES, max_size=2)), max_size=2
        ),
    })  # fmt: skip


SCHEMAS = st.recursive(
    st.one_of(st.booleans(), st.fixed_dictionaries({}, optional=LEAVES)), nested, max_leaves=6
)


def sparse(schema: Any, keep: int) -> Any:
    """At most `keep` keywords of each schema: one with all of them allows nothing."""
    if isinstance(schema, list):
        return [sparse(part, keep) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: schema[key] for key in list(schema)[:keep]}


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEMAS, st.lists(VALUES, min_size=1, max_size=6), st.integers(1, 4), st.booleans())
def test_all_lanes_agree_with_the_reference(
    schema: Any, values: list[Any], keep: int, ascii_only: bool
) -> None:
    schema = sparse(schema, keep)
    compiled = compile(schema)
    documents = []
    for value in values:
        raw = json.dumps({"v": value}, ensure_ascii=ascii_only).encode()
        value = orjson.loads(raw)["v"]
        wanted = reference.valid(schema, value)
        assert compiled.valid(value) is wanted
        assert (compiled.violations(value) == []) is wanted
        documents.append(Document(raw))
        assert compiled.valid_doc(documents[-1], ["v"]) is wanted
    whole = compile({"properties": {"v": schema}})
    answers = whole.valid_many(documents)
    assert [bool(answer) for answer in answers] == [
        compiled.valid_doc(document, ["v"]) for document in documents
    ]


MEMBERS = st.lists(st.tuples(st.sampled_from(["a", "b", "\\u0061", "c"]), SCALARS), max_size=6)


@given(SCHEMAS, MEMBERS)
def test_of_members_with_one_name_the_last_counts(
    schema: Any, members: list[tuple[str, Any]]
) -> None:
    raw = "{" + ",".join(f'"{name}":{json.dumps(value)}' for name, value in members) + "}"
    compiled = compile({"properties": {"a": schema}, "additionalProperties": schema})
    closed = compile({"properties": {"a": schema, "b": True}, "additionalProperties": False})
    for one in (compiled, closed):
        assert one.valid_doc(Document(raw.encode())) is one.valid(orjson.loads(raw))


def test_a_violation_names_the_place_the_keyword_and_what_was_found() -> None:
    schema = compile(
        {
            "properties": {
                "total": {"type": "number"},
                "id": {"pattern": "^ORD-", "maxLength": 4},
                "a/b": {"items": {"enum": ["x", "y"]}},
            },
            "required": ["total", "currency"],
        }
    )
    assert schema.violations({"total": "12", "id": "X" * 90, "a/b": ["x", "z"]}) == [
        Violation("/total", "type", "/properties/total/type", 'expected number, found string "12"'),
        Violation("/id", "maxLength", "/properties/id/maxLength",
                  'expected at most 4 characters, found 90: "' + "X" * 78 + "…"),
        Violation("/id", "pattern", "/properties/id/pattern",
                  '"' + "X" * 78 + "… does not match the pattern ^ORD-"),
        Violation("/a~1b/1", "enum", "/properties/a~1b/items/enum",
                  'expected one of "x", "y", found string "z"'),
        Violation("", "required", "/required", '"currency" is required'),
    ]  # fmt: skip


def test_no_more_violations_than_asked_for() -> None:
    schema = compile({"items": {"type": "string"}})
    assert len(schema.violations(list(range(1000)))) == 100
    assert len(schema.violations(list(range(1000)), limit=3)) == 3
    assert schema.violations(["a"], limit=0) == []


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "strin"}, "/type"),
        ({"properties": {"a": {"minimum": "1"}}}, "/properties/a/minimum"),
        ({"properties": {"a/b": 3}}, "/properties/a~1b"),
        ({"items": [{"pattern": "(?=a)"}]}, "/items/0/pattern"),
        ({"patternProperties": {"(": True}}, "/patternProperties/("),
        ({"exclusiveMinimum": True, "minimum": 1}, "/exclusiveMinimum"),
        ({"allOf": []}, "/allOf"),
        ({"required": "a"}, "/required"),
        ({"multipleOf": 0}, "/multipleOf"),
        ({"minLength": -1}, "/minLength"),
        ({"maximum": float("inf")}, "/maximum"),
        ({"not": {"$ref": "#/definitions/gone"}}, "/not/$ref"),
        ({"$ref": "https://example.com/other.json"}, "/$ref"),
        ({"$ref": "http://[bad"}, "/$ref"),
        ({"$ref": 1}, "/$ref"),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema"}, "/$schema"),
        ("a string", ""),
    ],
)
def test_a_bad_schema_is_refused_by_its_place(schema: Any, pointer: str) -> None:
    with pytest.raises(SchemaError) as caught:
        compile(schema)
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"properties": {"x": {"not": {"$ref": "#/properties/x"}}}},
        {"definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}},
         "items": {"$ref": "#/definitions/a"}},
        {"dependencies": {"a": {"if": True, "then": {"anyOf": [{"$ref": "#"}]}}}},
    ],
)  # fmt: skip
def test_a_ref_that_gets_nowhere_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaError):
        compile(schema)


def test_what_plans_carry_beside_keywords_is_left_alone() -> None:
    schema = compile(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "labels": {"type": 3},
            "properties": {"a": {"id": "/properties/a", "key": "x", "type": "string"}},
        }
    )
    assert schema.valid({"a": "x"})
    assert not schema.valid({"a": 1})


def test_the_example_plan_compiles() -> None:
    path = Path(__file__).parents[3] / "shared" / "facts" / "tracking-plan-example.json"
    if not path.exists():
        pytest.skip("the shared facts are not here")
    rules = json.loads(path.read_text())["rules"]
    ordered = compile(rules[0]["jsonSchema"])
    good = {"properties": {"order_id": "ORD-1", "revenue": 3, "placed_at": "2026-01-02T03:04:05Z"}}
    assert ordered.valid_doc(Document(orjson.dumps(good)))
    bad = {"properties": {"order_id": "1", "revenue": -1, "placed_at": "today"}}
    assert [v.pointer for v in ordered.violations(bad)] == [
        "/properties/order_id", "/properties/revenue", "/properties/placed_at",
    ]  # fmt: skip
    for rule in rules:
        compile(rule["jsonSchema"])


def deep(levels: int, kind: str) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if kind == "list" else {"a": value}
    return value


@pytest.mark.parametrize("kind", ["list", "object"])
@pytest.mark.parametrize("levels", [1_000, 100_000])
def test_deep_values_are_invalid_where_the_schema_follows_them(kind: str, levels: int) -> None:
    """And no stack overflows. Where the schema doesn't look, depth is no fault."""
    follows = compile({"items": {"$ref": "#"}, "additionalProperties": {"$ref": "#"}})
    twice = compile({"allOf": [{"items": {"$ref": "#"}, "additionalProperties": {"$ref": "#"}}]})
    value = deep(levels, kind)
    assert follows.valid(value) is (levels == 1_000)
    assert not compile({"not": {"$ref": "urn:f"}}, resolve={"urn:f": {
        "items": {"$ref": "#"}, "additionalProperties": {"$ref": "#"}}}).valid(value)  # fmt: skip
    assert not compile({"uniqueItems": True}).valid([value])
    assert not compile({"const": [[2]]}).valid(value)
    assert compile({"type": ["array", "object"]}).valid(value)
    assert len(follows.violations(value)) == (levels != 1_000)
    twice.valid(value)


def test_a_deep_document_says_what_the_value_does() -> None:
    schema = compile({"additionalProperties": {"$ref": "#"}, "items": {"$ref": "#"}})
    for levels in (500, 1000, 1022):
        raw = b'{"a":' + b"[" * levels + b"]" * levels + b"}"
        assert schema.valid_doc(Document(raw)) is schema.valid(orjson.loads(raw))


def test_a_schema_nested_without_end_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100_000):
        schema = {"not": schema}
    with pytest.raises(SchemaError, match="nested"):
        compile(schema)


def test_a_schema_of_long_chains_compiles_and_is_bounded() -> None:
    chain: dict[str, Any] = {
        f"d{i}": {"allOf": [{"$ref": f"#/definitions/d{i + 1}"}]} for i in range(20_000)
    }
    chain["d20000"] = {"type": "string"}
    assert not compile({"$ref": "#/definitions/d0", "definitions": chain}).valid("x")
    bush: dict[str, Any] = {
        f"d{i}": {"allOf": [{"$ref": f"#/definitions/d{i + 1}"}] * 2} for i in range(60)
    }
    bush["d60"] = True
    started = time.monotonic()
    schema = compile({"$ref": "#/definitions/d0", "definitions": bush})
    assert not schema.valid(1)
    assert "too many steps" in schema.violations(1)[0].message
    assert not schema.valid_doc(Document(b"{}"))
    assert time.monotonic() - started < 10


def test_odd_values_are_judged() -> None:
    everything = compile({"type": "object", "properties": {"a": {"multipleOf": 0.1, "minimum": 0}}})
    for value in (float("nan"), float("inf"), 10**400, -(10**400), 1e308, 5e-324, True, (1,), b"x"):
        everything.valid({"a": value})
        everything.violations({"a": value})
    assert compile({"multipleOf": 0.01}).valid(4.35)
    assert compile({"multipleOf": 10**30}).valid(3 * 10**30)
    assert not compile({"multipleOf": 10**30}).valid(3e29)
    assert compile({"multipleOf": 1e-300}).valid(7)
    assert not compile({"type": "integer"}).valid(1.5)
    assert compile({"const": 1}).valid(1.0)
    assert not compile({"const": 1}).valid(True)
    assert not compile({"enum": [[1]]}).valid([True])
    assert compile({"maxLength": 2}).valid("\ud800\udc00")
    assert not compile({"properties": {"\ud800": False}}).valid({"\ud800": 1})
    assert compile({"properties": {"\ud800": False}}).valid_doc(Document(b"{}"))


def test_formats_can_be_left_out() -> None:
    schema = {"format": "date", "contentEncoding": "base64"}
    assert not compile(schema).valid("x")
    assert compile(schema, formats=False).valid("x")


def test_a_missing_member_is_not_valid_in_a_document() -> None:
    document = Document(b'{"a":{"b":1}}')
    assert compile(True).valid_doc(document, ["a", "b"])
    assert not compile(True).valid_doc(document, ["a", "c"])
    assert not compile(True).valid_doc(document, ["a", "b", "c"])


def test_memory_does_not_grow() -> None:
    schema = compile(
        {"properties": {"a": {"pattern": "^x+$", "format": "date-time"}, "b": {"enum": [1, "x"]}},
         "required": ["a"], "additionalProperties": False}
    )  # fmt: skip
    good, bad = {"a": "xx", "b": "x"}, {"a": 1, "c": 2}
    document = Document(b'{"a":"x\\u0078","b":1}')
    recursive = {"items": {"$ref": "#"}, "pattern": "[a-z]{1,40}"}

    def work(rounds: int) -> int:
        for i in range(rounds):
            schema.valid(good)
            schema.valid(bad)
            schema.valid_doc(document)
            if i % 100 == 0:
                schema.violations(bad)
            if i % 1000 == 0:
                compile(recursive)
        return psutil.Process().memory_info().rss

    before = work(50_000)
    assert work(300_000) - before < 4 << 20


@pytest.mark.parametrize(
    ("schema", "raw", "wanted"),
    [
        ({"minLength": 2}, '"é"', False),
        ({"minLength": 2}, '"\\u00e9\\ud83d\\udc32"', True),
        ({"maxLength": 1}, '"🐲"', True),
        ({"maxLength": 1}, '"\\n"', True),
        ({"pattern": "^é$"}, '"\\u00e9"', True),
        ({"enum": ['q"']}, '"q\\""', True),
        ({"const": "q"}, '"\\u0071x"', False),
        ({"type": "integer"}, "1.0", True),
        ({"type": "integer"}, "1e2", True),
        ({"type": "integer"}, "1.5", False),
        ({"type": "integer"}, "123456789012345678901234567890", True),
        ({"maximum": 9007199254740992}, "9007199254740993", False),
        ({"exclusiveMaximum": 9223372036854775807}, "9223372036854775807", False),
        ({"minimum": 0}, "-0.0", True),
        ({"const": 0}, "-0", True),
        ({"format": "date"}, '"2024-02-29"', True),
        ({"format": "date"}, '"2023-02-29"', False),
        ({"format": "date-time"}, '"2024-02-29T00:00:00\\u005a"', True),
        ({"additionalProperties": False, "required": ["a"]}, '{"a":1}', False),
        ({"additionalProperties": False, "properties": {"a": True}}, '{"\\u0061":1}', True),
        ({"properties": {"a": {"const": 2}}}, '{"a":1,"\\u0061":2}', True),
        ({"properties": {"a": {"const": 2}}}, '{"\\u0061":2,"a":1}', False),
        ({"items": [True], "additionalItems": False}, "[1,2]", False),
        ({"items": [{"type": "null"}]}, "[null,2]", True),
        ({"items": {"properties": {"a": False}}}, '[{"b":[1,{"a":1}]},{"a":1}]', False),
        ({"items": {"properties": {"a": False}}}, '[{"b":[1,{"a":1}]},{"c":1}]', True),
        ({"uniqueItems": True}, '[1,true,"1",[1],{"a":1},{"a":[1]}]', True),
        ({"uniqueItems": True}, '[{"a":1,"b":[2]},{"b":[2.0],"a":1}]', False),
        ({"maxProperties": 1}, '{"a":1,"a":2}', True),
    ],
)
def test_a_document_and_its_value(schema: dict[str, Any], raw: str, wanted: bool) -> None:
    compiled = compile(schema)
    assert compiled.valid(orjson.loads(raw)) is wanted
    assert compiled.valid_doc(Document(f'{{"v":{raw}}}'.encode()), ["v"]) is wanted


def test_a_plan_of_many_members() -> None:
    """More than the document lane keeps count of by itself."""
    names = [f"member_{i}" for i in range(200)]
    schema = compile({
        "properties": {name: {"type": "integer"} for name in names}, "required": names,
        "additionalProperties": False,
    })  # fmt: skip
    event = dict.fromkeys(names, 1)
    for wanted, value in [
        (True, event), (False, {**event, "member_7": "x"}), (False, {**event, "x": 1}),
        (False, {name: 1 for name in names if name != "member_199"}),
    ]:  # fmt: skip
        assert schema.valid(value) is wanted
        assert schema.valid_doc(Document(orjson.dumps(value))) is wanted
