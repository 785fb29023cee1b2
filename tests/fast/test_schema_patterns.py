"""The pattern engine against Python's `re`, where both mean the same, and against hostile patterns."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router._fast.patterns import Pattern
from router._fast.patterns_parse import parse
from router.errors import PatternError

LETTERS = st.sampled_from(["a", "b", "é", "🐲", "_", "1", " "])
ATOMS = st.one_of(
    LETTERS,
    st.sampled_from([".", r"\d", r"\w", r"\W", "[ab]", "[^a]", "[a-c1é]", r"[\d_]", "(?:)"]),
    st.sampled_from(["^", "$", r"\b", r"\B"]),
)


def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = inner.map(lambda text: f"(?:{text})")
    times = st.sampled_from(["*", "+", "?", "*?", "{2}", "{0,2}", "{1,}", "{0}"])
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(group, min_size=1, max_size=3).map("|".join),
        st.tuples(group, times).map("".join),
    )


PATTERNS = st.recursive(ATOMS, grow, max_leaves=8)
TEXTS = st.text("abcé🐲_1 \n", max_size=12)


@settings(max_examples=3000, deadline=None)
@given(PATTERNS, st.lists(TEXTS, min_size=1, max_size=5))
def test_it_finds_what_re_finds(text: str, subjects: list[str]) -> None:
    # `$` is the very end in ECMA-262, and `\Z` in Python.
    twin = re.compile(re.sub(r"(?<!\\)\$", r"\\Z", text), re.ASCII)
    pattern = Pattern(text)
    for subject in subjects:
        wanted = twin.search(subject) is not None
        if "\\B" in text and not subject:
            continue  # Python had no \B in an empty text before 3.14
        assert pattern.search(subject) is wanted
        assert pattern.search(subject.encode()) is wanted


@settings(max_examples=1000, deadline=None)
@given(st.text(r"ab|*+?{}[]()^$\.-1,dwsuxpkc<>=!:é", max_size=20), st.binary(max_size=12))
def test_any_text_is_a_pattern_or_an_error(text: str, subject: bytes) -> None:
    try:
        pattern = Pattern(text)
    except PatternError:
        return
    assert type(pattern.search(subject)) is bool
    assert type(pattern.search(subject.decode("latin-1"))) is bool


@settings(max_examples=500, deadline=None)
@given(st.text("abé", max_size=4), st.text("abé", max_size=30))
def test_a_literal_is_found_wherever_it_is(part: str, text: str) -> None:
    assert Pattern(part).search(text) is (part in text)
    assert Pattern(part + "[a]").search(text.encode()) is (part + "a" in text)


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        (r"^\p{Lu}\p{Ll}+$", "Émile", "émile"),
        (r"^\P{L}$", "1", "x"),
        (r"^[\p{Nd}_]+$", "৪2_", "x"),
        (r"^\p{Any}$", "\n", ""),
        (r"^\u{1F409}$", "🐉", "x"),
        (r"^\ud83d\udc09$", "🐉", "x"),
        (r"^\x41\u0042\cJ$", "AB\n", "AB"),
        (r"^[\b]$", "\b", "b"),
        (r"^[\w-.]+$", "a-b.c", "a b"),
        (r"^a{,2}$", "a{,2}", "aa"),
        (r"^[^]$", "\n", ""),
        (r"^.$", "🐲", "\u2028"),
        (r"^\s$", "\ufeff", "\x85"),
        (r"^(?<year>\d{4})-\d\d$", "2026-01", "٢٠٢٦-01"),
        ("]}", "]}", "]"),
        ("x*", "", None),
    ],
)
def test_ecma_262(text: str, yes: str, no: str | None) -> None:
    pattern = Pattern(text)
    assert pattern.search(yes)
    assert pattern.search(yes.encode())
    assert no is None or not pattern.search(no)
    assert no is None or not pattern.search(no.encode())


@pytest.mark.parametrize(
    ("text", "column"),
    [("a(?=b)", 2), ("(?<!b)a", 1), (r"(a)\1", 4), (r"(?<n>a)\k<n>", 8)],
)
def test_what_has_no_linear_time_form_is_refused_though_it_parses(text: str, column: int) -> None:
    parse(text)
    with pytest.raises(PatternError, match="linear") as caught:
        Pattern(text)
    assert caught.value.column == column


@pytest.mark.parametrize(
    "text",
    ["(", ")", "[a", "a**", "*", "a{2,1}", "[b-a]", r"\a", "(?i)a", "(?P<n>a)", r"\2", r"\k<n>",
     r"\p{Nope}", r"\p", "\\", r"\u{110000}", r"\c1", r"\x1", "(?<n>a)(?<n>b)", "^*", r"\01"],
)  # fmt: skip
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(PatternError):
        Pattern(text)


@pytest.mark.parametrize(
    "text",
    ["a{1000}{1000}", "(a{1000}){1000}", "((((){1000}){1000}){1000}){1000}", "a{100000}",
     "(" * 100_000, "a" * 100_000, "(" * 5000 + ")" * 5000, "a{9999999999999}"],
)  # fmt: skip
def test_what_is_too_large_is_refused_at_once(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(PatternError):
        Pattern(text)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "text",
    ["(a*)*b", "(a|aa)+$", "(a|a?)+b", "(x+x+)+y", "(.*a){40}b", "(a|b)*a[ab]{300}c", "(a+){50}b",
     r"(\b|\B|a)*c", "^(a|ab|abc|abcd)*$"],
)  # fmt: skip
def test_hostile_patterns_take_time_by_the_length_of_the_text(text: str) -> None:
    pattern = Pattern(text)
    started = time.monotonic()
    for subject in ("a" * 100_000 + "!", "ab" * 50_000 + "!", "é🐲" * 20_000):
        pattern.search(subject)
        pattern.search(subject.encode())
    assert time.monotonic() - started < 5


def test_a_full_cache_is_emptied_and_the_answers_stay() -> None:
    """One state for each of the 2^14 ways the last 14 letters may look."""
    text = "a[ab]{14}c"
    pattern, twin = Pattern(text), re.compile(text)
    bits = "".join(f"{i:016b}" for i in range(0, 1 << 16, 3)).replace("0", "a").replace("1", "b")
    assert not pattern.search(bits)
    for end in range(40):
        subject = bits[: len(bits) - end] + "c"
        assert pattern.search(subject) is (twin.search(subject) is not None)


def test_what_is_not_utf8_is_a_replacement_character() -> None:
    assert Pattern("^\ufffda$").search(b"\xffa")
    assert Pattern("^\ufffd{3}$").search(b"\xed\xa0\x80")
    assert Pattern("^\ufffd$").search(b"\xc3")
    assert not Pattern("A").search(b"\xc1\x81")


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="int"):
        Pattern("a").search(1)  # type: ignore[arg-type]
