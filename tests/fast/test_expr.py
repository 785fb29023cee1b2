"""Compiled expressions against a walk over the same tree, what the parser refuses, hostile input."""

from __future__ import annotations

import gc
import math
import resource
import time
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router._fast.document import Document
from router._fast.expr import compile, compile_fields, compile_tree
from router._fast.functions import SPECIAL, TABLE
from router._fast.globs import glob_matches
from router._fast.parse import parse, paths
from router.errors import ExpressionError
from tests.reference.expr import evaluate

NAMES = st.sampled_from(["a", "b", "c", "0", "1", "é"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([2**53, 2**63, -(2**63), 1e300, -0.0, 0.1, 1.0, 2.5])
    | st.sampled_from(["", "a", "ab", "é", "1", "true", "2026-01-02T03:04:05Z", "a,b", "DE"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.dictionaries(NAMES, VALUES, max_size=4)

LEAVES = st.sampled_from(["a", "b", "a.b", "a[0]", "b.1.a", "$", "$.c", "settings.s",
                          '"a"', "'ab'", "1", "2.5", "true", "false", "null", "[]", "{}"])  # fmt: skip
ITEMS = st.sampled_from(["item", "item.a", "item.1", "[item]", "`${item}`", "map(item, item)",
                         "filter($, item)"])  # fmt: skip
UNARY = st.sampled_from([name for name, each in TABLE.items() if each.least <= 1])
BINARY = st.sampled_from(
    [name for name, each in TABLE.items() if each.least <= 2 and (each.most or 9) >= 2]
    + ["contains"]
)
BETWEEN = st.sampled_from(
    ["and", "or", "??", "=", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%"]
)
TEXTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("({}) {} ({})".format, inner, BETWEEN, inner),
        st.builds("({1}) {0} {2} {0} ({1})".format, BETWEEN, inner, LEAVES),
        st.builds("!({})".format, inner),
        st.builds("not {}".format, inner),
        st.builds("-({})".format, inner),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{x: {}, 'y z': {}}}".format, inner, inner),
        st.builds("if({}, {}, {})".format, inner, inner, inner),
        st.builds("map({}, {})".format, inner, inner | ITEMS),
        st.builds("filter({}, {} = ({}))".format, inner, ITEMS, inner),
        st.builds("coalesce({}, {})".format, inner, inner),
        st.builds("{}({})".format, UNARY, inner),
        st.builds("{}({}, {})".format, BINARY, inner, inner),
        st.builds("first([{}]).a".format, inner),
    ),
    max_leaves=6,
)


@given(EVENTS, TEXTS)
@settings(max_examples=2000, deadline=None)
def test_compiled_expressions_give_what_a_walk_over_the_tree_gives(
    event: dict[str, Any], text: str
) -> None:
    try:
        tree = parse(text)
        expr = compile(text)
    except ExpressionError:
        # `a < b < c` and its like: refused by both, at the same place.
        with pytest.raises(ExpressionError):
            compile_tree(parse(text), text)
        return
    roots = {"$": event, "settings": {"s": "a"}, "item": None}
    wanted = evaluate(tree, roots)
    found = expr.eval(event, {"s": "a"})
    assert repr(found) == repr(wanted)
    assert expr.test(event, {"s": "a"}) is (wanted is True)


ANY = VALUES | st.sampled_from(
    [math.inf, -math.inf, math.nan, "\ud800", 10**400, -(10**20), 1e308, "9" * 400, "%", "\\", "("]
)


@pytest.mark.parametrize("name", TABLE)
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_functions_take_anything(name: str, data: st.DataObject) -> None:
    entry = TABLE[name]
    most = entry.least + 2 if entry.most is None else entry.most
    arguments = data.draw(st.lists(ANY, min_size=entry.least, max_size=most))
    assert entry.call is not None
    found = entry.call(*arguments)
    if all(fits_json(argument) for argument in arguments):
        assert fits_json(found), "what JSON can hold gives what JSON can hold"


def fits_json(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(map(fits_json, value))
    if isinstance(value, dict):
        return all(map(fits_json, value.values()))
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "column", "hint"),
    [
        ("", 1, ""),
        ("a = ", 5, ""),
        ("a == 1", 4, "write `=`"),
        ("a <> 1", 4, "write `!=`"),
        ("a && b", 3, "write `and`"),
        ("a || b", 3, "write `or`"),
        ("a AND b", 3, "did you mean `and`?"),
        ("a an b", 3, "did you mean `and`?"),
        ("a is null", 3, "write `= null`, say"),
        ("a not in [1]", 3, "write `not (… in …)`"),
        ('event contains "x"', 7, "write `contains(text, part)`"),
        ("a = b = c", 7, "a comparison has two sides; join two of them with `and`"),
        ("b and lowercas(a)", 7, "did you mean `lowercase`?"),
        ("if(a)", 1, "it is used as `if(condition, then, else)`"),
        ("now(1)", 1, "it is used as `now()`"),
        ("`x ${a`", 4, "add `}`"),
        ("`x ${a +} y`", 9, ""),
        ("x = `${lowercas(a)}`", 8, "did you mean `lowercase`?"),
        ('"abc', 1, 'add "'),
        ("a.", 3, ""),
        ("a[b]", 3, ""),
        ("{a 1}", 4, ""),
        ("[1,", 4, ""),
        ("(a", 3, ""),
        ("a\\", 2, ""),
        ("1..2", 2, ""),
        ("a = ²", 5, ""),
        ('matches(a, "(")', 1, ""),
        ('{a: 1, b: 2, "a": 3}', 14, ""),
        ('{a: 1, "\ud800": 2}', 8, ""),
        ("item.a", 1, "a member of the event so called is `$.item`"),
        ("map(item, 1)", 5, "a member of the event so called is `$.item`"),
        ("map(a, item) = `${item}`", 19, "a member of the event so called is `$.item`"),
        ('date_format(a, "%d", "Europe/Berlyn")', 1, ""),
    ],
)
def test_errors_point_at_their_column(text: str, column: int, hint: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile(text)
    assert (caught.value.column, caught.value.hint) == (column, hint)
    assert caught.value.message


@given(st.text("ab.1\"'`${}()[]=!<>+-*/%, \\inotradlu²\ud800", max_size=30))
@settings(max_examples=1500)
def test_any_text_compiles_or_is_refused_with_a_column(text: str) -> None:
    try:
        expr = compile(text)
    except ExpressionError as error:
        column = error.column
    else:
        expr.eval({"a": {"b": [1, "x"]}})
        assert expr.paths == paths(parse(text))
        column = 1
    assert 1 <= column <= len(text) + 1


HOSTILE = {
    "brackets": "(" * 50_000,
    "closed brackets": "(" * 40_000 + "a" + ")" * 40_000,
    "lists": "[" * 50_000,
    "calls": "lower(" * 10_000,
    "nots": "!" * 90_000 + "a",
    "words of not": "not " * 20_000 + "a",
    "signs": "-" * 90_000 + "1",
    "a sum": "+".join(["1"] * 40_000),
    "steps": "first(a)" + ".a" * 40_000,
    "digits": "9" * 90_000,
    "a long fraction": "0." + "1" * 90_000,
    "an open template": "`" + "${" * 40_000 + "`",
    "a long text": '"' + "a" * 200_000 + '"',
    "an unknown function": "a" * 90_000 + "()",
    "backslashes": "\\" * 90_001,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_refused_or_compiled_at_once(name: str) -> None:
    started = time.process_time()
    with suppress(ExpressionError):
        compile(HOSTILE[name]).eval({})
    assert time.process_time() - started < 2


def test_wide_conditions_have_no_limit_but_their_length() -> None:
    expr = compile(" or ".join(f'a = "{i}"' for i in range(5000)))
    assert expr.test({"a": "4999"})
    assert not expr.test({"a": "5000"})


def test_globs_and_patterns_take_no_more_than_text_times_pattern() -> None:
    started = time.process_time()
    assert not glob_matches("*a" * 200 + "b", "a" * 2000)
    assert not compile('matches(a, "^(a+)+$")').test({"a": "a" * 50_000 + "b"})
    assert not compile("matches(a, b)").test({"a": "a" * 50_000 + "b", "b": "(a|a)*$x"})
    assert time.process_time() - started < 4


def test_texts_do_not_grow_without_bound() -> None:
    text = "a"
    for _ in range(20):
        text = f'replace({text}, "a", "aaaaaaaaaa")'
    assert compile(text).eval({"a": "a"}) is None
    text = "a"
    for _ in range(20):
        text = f'join(split({text}, "a"), "aaaaaaaaaa")'
    assert len(compile(text).eval({"a": "aa"}) or "") < 12_000_000


def deep(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def test_deep_events_are_compared_and_written() -> None:
    event = {"x": deep(900), "y": deep(900)}
    assert compile("x = y").test(event)
    assert compile("[x] = [y]").test(event)
    for text in ("string(x)", "json_encode(x)", "unique([x, y])", "flatten(x)", "sha256(x)"):
        compile(text).eval(event)


def test_a_member_named_path_is_read() -> None:
    assert compile("{path: properties.a, call: b}").paths == {"properties.a", "b"}


def test_templates_hold_objects_and_quotes() -> None:
    assert compile("`${get({'}': a}, \"}\")}!`").eval({"a": 1}) == "1!"


@pytest.mark.parametrize("pattern", ["(", "a(?=b)", "\\1", "[b-a]"])
def test_a_pattern_is_checked_when_it_is_literal_and_fits_nothing_when_not(pattern: str) -> None:
    with pytest.raises(ExpressionError, match="`matches`: this pattern"):
        compile(f"matches(a, '{pattern}')")
    assert compile("matches(a, b)").eval({"a": "x", "b": pattern}) is False


@pytest.mark.parametrize(
    ("number", "country", "gives"),
    [
        ("+49 (0)30 123456", None, "+4930123456"),
        ("0049 30 123456", None, "+4930123456"),
        ("030 123456", "Germany", "+4930123456"),
        ("030 123456", None, None),
        ("(415) 555-2671", "US", "+14155552671"),
        ("1 415 555 2671", "usa", "+14155552671"),
        ("011 44 20 7946 0018", "CA", "+442079460018"),
        ("8 (912) 345-67-89", "RU", "+79123456789"),
        ("06 30 123 4567", "HU", "+36301234567"),
        ("06 1234 5678", "IT", "+390612345678"),
        ("98765 43210", "IND", "+919876543210"),
        ("+1", "US", None),
        ("+0123456789", None, None),
        ("1" * 20, "US", None),
        (4155552671, "US", "+14155552671"),
        ("no number", "US", None),
    ],
)
def test_telephone_numbers(number: Any, country: str | None, gives: str | None) -> None:
    assert compile("e164(n, c)").eval({"n": number, "c": country}) == gives


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("de", "DE"),
        ("DEU", "DE"),
        ("Germany", "DE"),
        (" united  states ", "US"),
        ("Cote d'Ivoire", "CI"),
        ("CÔTE D’IVOIRE", "CI"),
        ("south korea", "KR"),
        ("UK", "GB"),
        ("Åland Islands", "AX"),
        ("nowhere", None),
        ("", None),
        ("é" * 1_000_000, None),
    ],
)
def test_countries(text: str, code: str | None) -> None:
    assert compile("country_code(c)").eval({"c": text}) == code


@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ('date_add("2024-02-29T00:00:00Z", 1, "year")', "2025-02-28T00:00:00.000Z"),
        ('date_add("2026-01-31T10:00:00Z", -1, "months")', "2025-12-31T10:00:00.000Z"),
        ('date_add(0, 1.5, "h")', "1970-01-01T01:30:00.000Z"),
        ('date_add("9999-12-31T00:00:00Z", 1, "day")', None),
        ('date_add("2026-01-01T00:00:00Z", 1, "fortnight")', None),
        ('date_add("2026-01-01T00:00:00Z", 1000000, "years")', None),
        ('start_of("1969-12-31T23:59:59.999Z", "hour")', "1969-12-31T23:00:00.000Z"),
        ('start_of("2026-01-01T12:00:00Z", "week")', "2025-12-29T00:00:00.000Z"),
        ('start_of("2026-05-17T12:00:00Z", "month")', "2026-05-01T00:00:00.000Z"),
        ('start_of("2026-05-17T12:00:00Z", "year")', "2026-01-01T00:00:00.000Z"),
        ('date_diff("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "hours")', -24),
        ('date_parse("2026-01-02 +0200", "%Y-%m-%d %z")', "2026-01-01T22:00:00.000Z"),
        ('date_parse("02.13.2026", "%d.%m.%Y")', None),
        ('date_parse("2026-07-01", "%Y-%m-%d", "Europe/Berlin")', "2026-06-30T22:00:00.000Z"),
        ('date_parse("2026-07-01 +0000", "%Y-%m-%d %z", "Europe/Berlin")',
         "2026-07-01T00:00:00.000Z"),
        ('date_format("2026-03-29T01:00:00Z", "%H:%M %z %Z", "Europe/Berlin")', "03:00 +0200 CEST"),
        ('date_format("2026-03-29T00:59:59Z", "%H:%M %z %Z", trim(" Mars/Base "))', None),
        ('date_format(0, "%Z", trim(" Asia/Tokyo "))', "JST"),
        ('date_format(0, "%Z", trim("../../etc/passwd"))', None),
        ('date_format("0001-01-01T00:00:00Z", "%Y", "America/New_York")', None),
        # Midnight is struck twice in Havana as summer ends, and not at all in Beirut as it begins.
        ('start_of("2026-11-01T12:00:00Z", "day", "America/Havana")', "2026-11-01T04:00:00.000Z"),
        ('start_of("2026-03-29T12:00:00Z", "day", "Asia/Beirut")', "2026-03-28T22:00:00.000Z"),
        ('start_of("2026-10-25T01:30:00Z", "hour", "Europe/Berlin")', "2026-10-25T01:00:00.000Z"),
        ('start_of("2026-01-05T02:00:00Z", "week", "America/New_York")', "2025-12-29T05:00:00.000Z"),
        ('date_parse("x", "%Y %Y")', None),
        ('date_format("2026-01-02T00:04:05.678Z", "%I %p %j %A %L %q 100%%")',
         "12 AM 002 Friday 678 %q 100%"),
        ("iso(1767323045)", "2026-01-02T03:04:05.000Z"),
        ("iso(1767323045678)", "2026-01-02T03:04:05.678Z"),
        ("iso(100000000000000000)", None),
        ("epoch_ms(-0.5)", -500),
    ],
)  # fmt: skip
def test_times(text: str, gives: Any) -> None:
    assert compile(text).eval({}) == gives


@given(st.integers(-(10**10), 10**11 - 1), st.sampled_from(["second", "hour", "day", "week"]))
def test_the_start_of_a_unit_is_within_one_before(seconds: int, unit: str) -> None:
    event = {"t": seconds}
    start = compile(f'epoch_ms(start_of(t, "{unit}"))').eval(event)
    later = compile(f'epoch_ms(date_add(start_of(t, "{unit}"), 1, "{unit}"))').eval(event)
    assert start <= compile("epoch_ms(t)").eval(event) < later
    assert compile(f'start_of(start_of(t, "{unit}"), "{unit}") = start_of(t, "{unit}")').test(event)


@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ("round(2.5)", 3),
        ("round(-2.5)", -3),
        ("round(1.005, 2)", 1.01),
        ('round("1", 2)', None),
        ("round(12345678901234567890)", 12345678901234567890),
        ("floor(2.9)", 2),
        ("ceil(-2.9)", -2),
        ('number("1_000")', None),
        ('number("1e3")', 1000),
        ('number("nan")', None),
        ('number("١٢")', None),
        ('number("\u00a012 ")', 12),
        ("-5 % 3", -2),
        ("5 % -3", 2),
        ("-5.0 % 3", -2.0),
        ("-6 % 3", 0),
        ("9007199254740993 % -2", 1),
        ('int("-3.9")', -3),
        ("sum([])", 0),
        ('bool("maybe")', None),
        ('snakecase("orderCompleted-now")', "order_completed_now"),
        ('camelcase("Order_completed now")', "orderCompletedNow"),
        ('substring("abc", -2)', "bc"),
        ('sort([{n: 2}, {n: 1}, 5], "n")', [{"n": 1}, {"n": 2}, 5]),
        ("compact({a: 1})", {"a": 1}),
        ("slice([1, 2, 3], -2, 1)", [2]),
        ('base64_decode("%%%")', None),
        ("json_decode('[')", None),
        ("json_encode('é\"')", '"é\\""'),
    ],
)
def test_functions(text: str, gives: Any) -> None:
    assert compile(text).eval({}) == gives


@pytest.mark.parametrize("key", ["0", "00000000001", "12345678901", "1234567890", "١"])
def test_a_step_is_an_items_number_up_to_nine_digits(key: str) -> None:
    event = {"a": ["x"], "b": {key: "y"}}
    document = Document(orjson.dumps(event))
    for text, gives in ((f'a["{key}"]', "x" if key == "0" else None), (f'b["{key}"]', "y")):
        assert compile(text).eval(event) == gives
        assert compile(text).eval_doc(document) == gives
    if key.isascii():
        number = compile(f"a[{key}]")
        assert number.eval(event) == number.eval_doc(document) == ("x" if key == "0" else None)


def test_members_taken_apart_stay_in_order() -> None:
    value = {"a": 1, "b": {"c": 2, "d": {"e": 3}, "f": 4}, "g": 5}
    found = compile("flatten(v)").eval({"v": value})
    assert list(found.items()) == [("a", 1), ("b.c", 2), ("b.d.e", 3), ("b.f", 4), ("g", 5)]


@pytest.mark.parametrize(
    ("text", "hints"),
    [
        ("property.total > 1", ["property: properties"]),
        ("contexts.page.url ?? user_id", ["contexts: context", "user_id: userId"]),
        ("$.propertys.x", ["propertys: properties"]),
        ("setting.key", ["setting: settings"]),
        ("properties.property + total + settings.user_id + map(a, item.contexts)", []),
    ],
)
def test_a_misspelt_member_has_a_hint(text: str, hints: list[str]) -> None:
    wanted = [each.split(": ") for each in hints]
    assert compile(text).hints == [
        f"`{name}` is no member of an event: did you mean `{near}`?" for name, near in wanted
    ]
    assert compile_fields({"x": {"y": text}}).hints == [
        f"x.y: {hint}" for hint in compile(text).hints
    ]


def test_special_functions_are_no_plain_ones() -> None:
    assert not set(SPECIAL) & set(TABLE)


def test_compiling_and_evaluating_leave_no_memory_behind() -> None:
    text = 'if(matches(a, "^x"), `${a}-${b.c}`, map(d, {n: item, h: sha256(item)})) ?? [a = 1]'
    event = {"a": "y", "b": {"c": [1]}, "d": ["p", "q", {"r": 1}]}

    def run(times: int) -> int:
        for _ in range(times):
            expr = compile(text)
            for _ in range(5):
                expr.eval(event)
        gc.collect()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    before = run(300)
    assert run(1500) - before < 4096


@pytest.mark.parametrize("text", ["merge(x)", "{y: merge(x)}", "[merge(x)]", "string(x)"])
def test_what_is_nested_too_deeply_to_be_written_is_null(text: str) -> None:
    raw = orjson.dumps({"x": {}})
    nested = raw.replace(b"{}", b'{"a":' * 900 + b"1" + b"}" * 900)
    assert compile(text).write_doc(Document(nested)) in (b"null", b"{}", b"[null]")
    assert compile(text).write_doc(Document(raw)) not in (b"null", b"[null]")
    assert compile_fields({"...": text, "b": "1"}).write_doc(Document(nested)) == b'{"b":1}'
