"""Segment's mapping JSON: as its twin resolves it, as its own definitions use it, and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router._fast.expr import compile_tree
from router._fast.parse import parse
from router.destinations.mapping_kit import mapping_tree
from router.destinations.unparse import unparse
from router.errors import ConfigError
from tests.reference.mapping_kit import resolve

VECTORS = Path(__file__).parents[3] / "shared" / "vectors"

EVENT: dict[str, Any] = {
    "type": "track", "userId": "u", "event": "Order Completed", "zero": 0, "empty": "", "no": None,
    "properties": {
        "email": "Ann@Example.com", "flag": True, "price": 9.5, "one": {"id": 1, "sku": "A"},
        "products": [{"id": 1, "sku": "A"}, {"id": 2}, "odd"], "deep": {"a": {"b": [1, {"c": 2}]}},
        "json": '{"a":1}', "text": "a-b-A",
    },
    "integrations": {"Actions Amplitude": {"session_id": 7}},
}  # fmt: skip


def value_of(mapping: Any, event: dict[str, Any] = EVENT) -> Any:
    return compile_tree(mapping_tree(mapping)).eval(event)


PATH = {"@path": "$.properties.email"}


@pytest.mark.parametrize(
    ("mapping", "value"),
    [
        ("a text", "a text"),
        ({"a": {"b": [1, {"@path": "userId"}]}}, {"a": {"b": [1, "u"]}}),
        ({"@path": "$.properties.products[1].id"}, 2),
        ({"@path": "$.integrations.Actions Amplitude.session_id"}, 7),
        ({"@path": "$.integrations['Actions Amplitude'].session_id"}, 7),
        ({"@path": "$.nothing.at.all"}, None),
        ({"@template": "Viewed {{ event }}{{missing}} {{{properties.price}}}!"},
         "Viewed Order Completed 9.5!"),
        ({"@template": ""}, ""),
        ({"@literal": {"@path": "$.userId"}}, "u"),
        ({"@if": {"exists": {"@path": "$.zero"}, "then": 1, "else": 2}}, 1),
        ({"@if": {"blank": {"@path": "$.empty"}, "then": 1, "else": 2}}, 2),
        ({"@if": {"blank": {"@path": "$.zero"}, "then": 1}}, None),
        ({"@if": {"exists": {"@path": "$.no"}, "then": 1, "else": ""}}, None),
        ({"@case": {"operator": "lower", "value": PATH}}, "ann@example.com"),
        ({"@case": {"operator": "upper", "value": {"@path": "$.zero"}}}, 0),
        ({"@replace": {"pattern": "a", "replacement": "x", "value": {"@path": "$.properties.text"}}},
         "x-b-A"),
        ({"@replace": {"pattern": "A", "ignorecase": True, "global": False, "replacement": "x",
                       "value": {"@path": "$.properties.text"}}}, "x-b-A"),
        ({"@replace": {"pattern": "-", "pattern2": "b", "replacement2": "c",
                       "value": {"@path": "$.properties.text"}}}, "acA"),
        ({"@replace": {"pattern": "t", "value": {"@path": "$.properties.flag"}}}, "rue"),
        ({"@replace": {"pattern": ".", "replacement": ",", "value": {"@path": "$.properties.price"}}},
         "9,5"),
        ({"@arrayPath": ["$.properties.products", {"n": {"@path": "$.id"}}]},
         [{"n": 1}, {"n": 2}, {}]),
        ({"@arrayPath": ["$.properties.one", {"n": {"@path": "$.id"}}]}, [{"n": 1}]),
        ({"@arrayPath": ["$.properties.one", {}]}, {"id": 1, "sku": "A"}),
        ({"@arrayPath": ["$.properties.price", {"n": {"@path": "$.id"}}]}, 9.5),
        ({"@flatten": {"value": {"@path": "$.properties.deep"}, "separator": "_"}},
         {"a_b_0": 1, "a_b_1_c": 2}),
        ({"@flatten": {"value": {"@path": "$.properties.deep"}, "omitArrays": True}},
         {"a.b": [1, {"c": 2}]}),
        ({"@json": {"mode": "encode", "value": {"@path": "$.properties.one"}}}, '{"id":1,"sku":"A"}'),
        ({"@json": {"mode": "decode", "value": {"@path": "$.properties.json"}}}, {"a": 1}),
        ({"@json": {"mode": "decode", "value": PATH}}, "Ann@Example.com"),
        ({"@merge": {"direction": "right", "objects": [{"a": 1, "b": 1}, {"b": 2}]}},
         {"a": 1, "b": 2}),
        ({"@merge": {"direction": "left", "objects": [{"a": 1, "b": 1}, {"b": 2}]}},
         {"a": 1, "b": 1}),
        ({"@transform": {"apply": {"x": {"@path": "$.properties.one"}, "y": "k"},
                         "mapping": {"z": {"@path": "$.x.sku"}, "t": {"@template": "{{y}}"}}}},
         {"z": "A", "t": "k"}),
        ({"@excludeWhenNull": {"@path": "$.no"}}, None),
        ({"@liquid": "{{ properties.email | downcase | split: '@' | first }}"}, "ann"),
        ({"@liquid": "{% if properties.flag and zero == 0 %}y{% elsif userId %}u{% else %}n{% endif %}"},
         "y"),
        ({"@liquid": "{% unless missing %}{{ properties.price | times: 2 }}{% endunless %}"}, "19"),
        ({"@liquid": "{% assign m = properties.email | default: 'x' %}{{ m | replace: 'Ann', 'B' }}"},
         "B@Example.com"),
        ({"@liquid": "{{ integrations['Actions Amplitude'].session_id }}"}, "7"),
    ],
)  # fmt: skip
def test_directives(mapping: Any, value: Any) -> None:
    assert value_of(mapping) == value


DEEP: Any = {"@path": "$.a"}
for _ in range(60):
    DEEP = {"@literal": DEEP}
WIDE: Any = {"@path": "$.a"}
for _ in range(17):
    WIDE = {"@transform": {"apply": {"a": WIDE}, "mapping": [{"@path": "$.a"}, {"@path": "$.a"}]}}


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({"@pth": "$.a"}, "no directive `@pth`"),
        ({"@path": "$.a", "b": 1}, "stands alone"),
        ({"@path": 5}, "`mapping.@path` has to be text"),
        ({"@path": {"@path": "$.a"}}, "has to be text"),
        ({"@if": {"then": 1}}, "needs `exists` or `blank`"),
        ({"@case": {"operator": "title", "value": 1}}, "`lower` or `upper`"),
        ({"@replace": {"value": "x"}}, "pattern` is missing"),
        ({"@replace": {"pattern": "a" * 11, "value": "x"}}, "longer than 10"),
        ({"@arrayPath": "$.a"}, "has to be a list"),
        ({"@merge": {"objects": [], "direction": "right"}}, "list of objects"),
        ({"@merge": {"objects": [{}], "direction": "up"}}, "`left` or `right`"),
        ({"@json": {"mode": "x", "value": 1}}, "`encode` or `decode`"),
        ({"x": [{"@transform": {"apply": 1, "mapping": {}}}]}, "`mapping.x[0].@transform.apply`"),
        ({"@liquid": "{% for a in b %}{% endfor %}"}, "the tag `for`"),
        ({"@liquid": "{{ a | md6 }}"}, "the filter `md6`"),
        ({"@liquid": "{% if a %}"}, "`endif` is missing"),
        ({"@liquid": "x" * 1001}, "at most 1000"),
        (DEEP, "nested deeper"),
        (WIDE, "larger than"),
    ],
)
def test_what_is_no_mapping_is_refused_with_its_place(mapping: Any, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        mapping_tree(mapping)
    assert says in str(caught.value)


KEYS = st.sampled_from(["a", "b", "0"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from(["", "x", "Ab", '{"a":1}', "[1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(lambda keys: "$." + ".".join(keys))


def mappings(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fixed = st.fixed_dictionaries
    direction = st.sampled_from(["left", "right"])
    condition = {"then": inner, "else": inner}
    return st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(KEYS, inner, max_size=3),
        fixed({"@if": fixed({"exists": inner, **condition}) | fixed({"blank": inner, **condition})}),
        fixed({"@case": fixed({"operator": st.sampled_from(["lower", "upper"]), "value": inner})}),
        fixed({"@arrayPath": st.tuples(PATHS, inner.filter(lambda x: isinstance(x, dict))).map(list)}),
        fixed({"@merge": fixed({"objects": st.lists(inner, min_size=1, max_size=3),
                                "direction": direction})}),
        fixed({"@json": fixed({"mode": st.sampled_from(["encode", "decode"]), "value": inner})}),
        fixed({"@flatten": fixed({"value": inner, "omitArrays": st.booleans()})}),
        fixed({"@transform": fixed({"apply": st.dictionaries(KEYS, inner, max_size=2),
                                    "mapping": inner})}),
        fixed({"@literal": inner}),
    )  # fmt: skip


MAPPINGS = st.recursive(
    st.one_of(
        PATHS.map(lambda path: {"@path": path}),
        PATHS.map(lambda path: {"@template": f"<{{{{{path[2:]}}}}}>"}),
        st.sampled_from(["t", 0, 1, True, None]),
    ),
    mappings,
    max_leaves=6,
)


@given(MAPPINGS, st.dictionaries(KEYS, VALUES, max_size=3))
@settings(max_examples=600, deadline=None)
def test_a_mapping_gives_what_its_twin_gives(mapping: Any, event: dict[str, Any]) -> None:
    tree = mapping_tree(mapping)
    assert compile_tree(tree).eval(event) == resolve(mapping, event)


@given(MAPPINGS, st.dictionaries(KEYS, VALUES, max_size=3))
@settings(max_examples=300, deadline=None)
def test_a_mapping_can_be_read_as_an_expression(mapping: Any, event: dict[str, Any]) -> None:
    tree = mapping_tree(mapping)
    again = parse(unparse(tree))
    assert compile_tree(again).eval(event) == compile_tree(tree).eval(event)


def segment_defaults() -> list[Any]:
    file = VECTORS / "segment-catalog.json"
    if not file.exists():
        pytest.skip(f"no vectors at {file}")
    found: dict[str, Any] = {}
    for one in json.loads(file.read_text())["destinations"]:
        for action in (one.get("actions") or {}).values():
            for field in ((action or {}).get("fields") or {}).values():
                if field and "default" in field:
                    found[json.dumps(field["default"])] = field["default"]
        for preset in one.get("presets") or []:
            found[json.dumps(preset.get("mapping", {}))] = preset.get("mapping", {})
    return list(found.values())


def test_every_default_of_segments_compiles_and_gives_what_its_twin_gives() -> None:
    defaults = segment_defaults()
    assert len(defaults) > 1000
    events = json.loads((VECTORS / "segment-requests" / "_events.json").read_text()).values()
    for default in defaults:
        compiled = compile_tree(mapping_tree(default))
        if "@liquid" not in json.dumps(default):
            for event in events:
                assert compiled.eval(event) == resolve(default, event), default
