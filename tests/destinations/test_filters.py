"""Filter actions: Segment's transforms as recorded, and properties of our own."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.destinations.filters import compile_filters
from router.destinations.sampling import javascript_json, uniform
from router.errors import ConfigError
from router.workspace.models import Filter

FILE = Path(__file__).parents[3] / "shared" / "vectors" / "fql" / "transform_vectors.json"

OPT_OUT = {
    "tr-0008": "the payload is a text; an event is an object",
    "tr-0114": "null is left as it is, not made the text `null`",
    "tr-0116": "a value that is not there is left so, not made the text `undefined`",
    "tr-0347": "0 and the empty text are moved like any other value, not copied",
    "tr-0349": "a value that is not there is left so, not made the text `undefined`",
    "tr-0351": "properties are hashed; the browser library does nothing there",
}


def apply(event: dict[str, Any], *filters: dict[str, Any]) -> dict[str, Any] | None:
    before = copy.deepcopy(event)
    found = compile_filters(msgspec.convert(list(filters), list[Filter])).apply(event)
    assert event == before
    return found


def translated(transformer: dict[str, Any]) -> list[dict[str, Any]]:
    """The filters that do what a transformer of Segment's does."""
    kind, config = transformer["type"], transformer.get("config")
    if kind == "drop":
        return [{"do": "drop"}]
    if kind == "sample_event":
        percent = min(config["sample"]["percent"] * 100, 100)
        return [
            {"do": kind[:6], "hash": "tsub", "percent": percent, "path": config["sample"]["path"]}
        ]
    if kind in ("drop_properties", "allow_properties", "hash_properties"):
        table = config[kind.partition("_")[0]]
        return [
            {"do": kind, "paths": [f"{parent}.{key}" if parent else key for key in keys]}
            for parent, keys in table.items()
        ]
    if kind == "map_properties":
        return mapped(config["map"])
    return [{"do": kind}]


def mapped(table: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    names, values = {}, {}
    for path, rule in table.items():
        source = rule.get("copy") or path
        if "move" in rule:
            names[rule["move"]] = path
        elif "set" in rule:
            values[path] = json.dumps(rule["set"])
        elif rule.get("to_string"):
            values[path] = f'if(typeof({source}) in ["list", "object"], {source}, string({source}))'
        else:
            values[path] = source
    found: list[dict[str, Any]] = []
    if values:
        found.append({"do": "set", "values": values})
    if names:
        found.append({"do": "rename", "names": names})
    return found


def vectors() -> list[Any]:
    if not FILE.exists():
        return []
    cases = json.loads(FILE.read_text())
    assert {*OPT_OUT} <= {case["id"] for case in cases}
    return [pytest.param(case, id=case["id"]) for case in cases if case["id"] not in OPT_OUT]


@pytest.mark.skipif(not FILE.exists(), reason=f"no vectors at {FILE}")
@pytest.mark.parametrize("case", vectors())
def test_segments_transforms(case: dict[str, Any]) -> None:
    if "expected_error" in case:
        with pytest.raises((msgspec.ValidationError, TypeError)):
            apply(case["event"], *[f for t in case["transformers"] for f in translated(t)])
        return
    filters = [each for transformer in case["transformers"] for each in translated(transformer)]
    assert apply(case["event"], *filters) == case["expected"]


EVENT: dict[str, Any] = {
    "type": "identify",
    "messageId": "m-1",
    "userId": "u",
    "traits": {
        "email": "A@b.c",
        "phone": "5551234",
        "a.b": 1,
        "cards": [{"n": 1, "x": 2}, {"n": 3}],
    },
    "context": {"ip": "1.2.3.4", "page": {"url": "u"}},
}


def test_filters_run_in_order() -> None:
    assert apply(
        EVENT,
        {"do": "only", "if": 'type = "identify"'},
        {"do": "set", "values": {"traits.kind": '"x"', "traits.old": "traits.kind"}},
        {"do": "rename", "names": {"traits.kind": "traits.sort"}},
        {"do": "allow_properties", "paths": ["traits.sort", "traits.email"]},
        {"do": "drop", "if": "exists(traits.phone)"},
        {"do": "drop_properties", "paths": ["context"]},
    ) == {
        "type": "identify",
        "messageId": "m-1",
        "userId": "u",
        "traits": {"email": "A@b.c", "sort": "x"},
    }


def test_a_condition_that_is_not_true_leaves_the_event() -> None:
    for do in ({"do": "drop"}, {"do": "drop_properties", "paths": ["traits"]}):
        assert apply(EVENT, {**do, "if": "traits.missing"}) == EVENT
    assert apply(EVENT, {"do": "only", "if": "traits.missing"}) is None


def test_paths_go_into_lists_and_take_escapes() -> None:
    found = apply(
        EVENT,
        {"do": "drop_properties", "paths": ["traits.cards.n", "traits.a\\.b"]},
        {"do": "set", "values": {"traits.cards.seen": "true"}},
    )
    assert found is not None
    assert found["traits"]["cards"] == [{"x": 2, "seen": True}, {"seen": True}]
    assert "a.b" not in found["traits"]


def test_allowing_one_place_leaves_others_and_the_way_to_deeper_ones() -> None:
    found = apply(
        EVENT,
        {"do": "allow_properties", "paths": ["traits.email", "traits.cards.x", "context.no.x"]},
    )
    assert found is not None
    assert found["traits"] == {"email": "A@b.c", "cards": [{"x": 2}, {}]}
    assert found["context"] == EVENT["context"]


def test_hashing_and_masking() -> None:
    found = apply(
        EVENT,
        {"do": "hash_properties", "paths": ["traits.email", "traits.missing", "traits.cards.n"]},
        {"do": "mask_properties", "paths": ["traits.phone"], "keep": 4},
        {"do": "mask_properties", "paths": ["context.ip"], "keep": 20},
    )
    assert found is not None
    assert found["traits"]["email"] == hashlib.sha256(b"A@b.c").hexdigest()
    assert found["traits"]["cards"][1]["n"] == (
        "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce"
    )
    assert found["traits"]["phone"] == "***1234"
    assert found["context"]["ip"] == "*******"
    assert "missing" not in found["traits"]


def test_renaming_exchanges_and_keeps_what_has_no_new_place() -> None:
    found = apply(
        EVENT,
        {
            "do": "rename",
            "names": {
                "traits.email": "traits.phone",
                "traits.phone": "traits.email",
                "userId": "nowhere.id",
            },
        },
    )
    assert found is not None
    assert (found["traits"]["phone"], found["traits"]["email"]) == ("A@b.c", "5551234")
    assert found["userId"] == "u"
    assert "nowhere" not in found


def test_setting_null_and_nothing() -> None:
    found = apply(EVENT, {"do": "set", "values": {"userId": "null", "type": "missing", "x.y": "1"}})
    assert found == {**EVENT, "userId": None}


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([{"do": "only"}], "filters[0].if"),
        ([{"do": "drop"}, {"do": "drop", "if": "lowercas(x)"}], "filters[1].if"),
        ([{"do": "sample"}], "filters[0].percent"),
        ([{"do": "drop", "paths": ["a"]}], "filters[0].paths"),
        ([{"do": "drop_properties"}], "filters[0].paths"),
        ([{"do": "drop_properties", "paths": ["a", "b c"]}], "filters[0].paths[1]"),
        ([{"do": "drop_properties", "paths": ["settings.key"]}], "filters[0].paths[0]"),
        ([{"do": "drop_properties", "paths": ["$"]}], "filters[0].paths[0]"),
        ([{"do": "mask_properties", "paths": ["a"], "percent": 5}], "filters[0].percent"),
        ([{"do": "rename", "names": {"a": "a.b"}}], "filters[0].names"),
        ([{"do": "rename", "names": {"a": "1"}}], "filters[0].names.a"),
        ([{"do": "set", "values": {"a": "1 +"}}], "filters[0].values.a"),
        ([{"do": "set"}], "filters[0].values"),
    ],
)
def test_errors_name_the_filter_and_the_key(filters: list[dict[str, Any]], names: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_filters(msgspec.convert(filters, list[Filter]))
    assert f"`{names}`" in caught.value.message


@pytest.mark.parametrize(
    "form",
    [
        {"do": "explode"},
        {"do": "drop", "iff": "x"},
        {"do": "sample", "percent": 101},
        {"do": "drop", "name": "n" * 65},
        {},
    ],
)
def test_what_is_no_filter_is_refused_by_its_struct(form: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(form, Filter)


def test_a_filter_that_cannot_run_drops_and_counts() -> None:
    filters = compile_filters([Filter(do="hash_properties", paths=["traits.email"])])
    assert filters.apply({"traits": {"email": "\ud800"}}) is None
    assert filters.failed == 1
    assert filters.apply(EVENT) is not None
    assert filters.failed == 1


def test_a_sample_keeps_its_percent_and_one_value_always_alike() -> None:
    for percent in (0, 1, 25, 90, 100):
        filters = compile_filters([Filter(do="sample", percent=percent, path="userId")])
        kept = [i for i in range(4000) if filters.apply({"userId": f"user {i}", "messageId": "m"})]
        assert abs(len(kept) / 4000 - percent / 100) < 0.03
        again = [i for i in range(4000) if filters.apply({"userId": f"user {i}"})]
        assert kept == again


def test_where_the_sampled_value_is_missing_the_message_counts() -> None:
    filters = compile_filters([Filter(do="sample", percent=50, path="userId")])
    kept = [i for i in range(1000) if filters.apply({"messageId": f"m{i}"})]
    assert 400 < len(kept) < 600


def test_numbers_are_written_as_ecmascript_does() -> None:
    wanted = {1.0: "1", -0.0: "0", 1e21: "1e+21", 1e20: "1" + "0" * 20, 1e-6: "0.000001",
              1.5e-7: "1.5e-7", 5e-324: "5e-324", 123.25: "123.25", -2e300: "-2e+300"}  # fmt: skip
    assert [javascript_json(value) for value in wanted] == list(wanted.values())
    assert (
        javascript_json({"a": ["é\n", None, True, "\ud800"]})
        == '{"a":["é\\n",null,true,"\\ud800"]}'
    )


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc0"), inner, max_size=3)
    ),
    max_leaves=15,
)
PATHS = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(".".join), min_size=1, max_size=3
)
FILTERS = st.one_of(
    st.builds(
        lambda do, paths: {"do": do, "paths": paths},
        st.sampled_from(
            ["drop_properties", "allow_properties", "hash_properties", "mask_properties"]
        ),
        PATHS,
    ),
    PATHS.map(lambda paths: {"do": "set", "values": dict.fromkeys(paths, "a.b ?? 1")}),
    PATHS.map(lambda paths: {"do": "rename", "names": dict.fromkeys(paths, "z")}),
    st.builds(lambda p: {"do": "sample", "percent": p, "path": "a.b"}, st.floats(0, 100)),
    st.sampled_from(["a.b", "a = b", "exists(c)"]).map(lambda text: {"do": "drop", "if": text}),
)


@given(st.dictionaries(st.sampled_from("abc"), VALUES), st.lists(FILTERS, max_size=4))
@settings(max_examples=500)
def test_filters_never_change_their_input(
    event: dict[str, Any], filters: list[dict[str, Any]]
) -> None:
    found = apply(event, *filters)
    assert found is None or json.loads(json.dumps(found)) == found


def plainly_dropped(value: Any, steps: list[str]) -> Any:
    if isinstance(value, list):
        return [plainly_dropped(item, steps) for item in value]
    if not isinstance(value, dict):
        return value
    if len(steps) == 1:
        return {key: item for key, item in value.items() if key != steps[0]}
    return {
        key: plainly_dropped(item, steps[1:]) if key == steps[0] else item
        for key, item in value.items()
    }


@given(st.dictionaries(st.sampled_from("abc"), VALUES), PATHS)
@settings(max_examples=300)
def test_dropped_properties_are_gone(event: dict[str, Any], paths: list[str]) -> None:
    wanted: Any = event
    for path in paths:
        wanted = plainly_dropped(wanted, path.split("."))
    assert apply(event, {"do": "drop_properties", "paths": paths}) == wanted


@given(VALUES)
def test_the_hash_of_a_value_is_between_0_and_1(value: Any) -> None:
    assert 0 < uniform(value) <= 1
