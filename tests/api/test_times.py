"""Times and spans as people write them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.api.times import parse_span, parse_time

NOON = 1_800_000_000_000


@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ("now", NOON),
        ("90s", NOON - 90_000),
        ("30m", NOON - 1_800_000),
        ("2h", NOON - 7_200_000),
        ("2h ago", NOON - 7_200_000),
        ("7d", NOON - 604_800_000),
        ("1w", NOON - 604_800_000),
        ("2027-01-15T08:00:00Z", NOON),
        ("2027-01-15T08:00:00.250Z", NOON + 250),
        ("2027-01-15T09:00:00+01:00", NOON),
        ("2027-01-15 08:00", NOON),
        ("2027-01-15", NOON - 8 * 3_600_000),
    ],
)
def test_a_time(text: str, gives: int) -> None:
    assert parse_time(text, NOON) == gives


@pytest.mark.parametrize("text", ["", "yesterday", "2h30m", "-2h", "2x", "1e3h", "2027-13-01", "²h",
                                  "9999999999h"])  # fmt: skip
def test_what_is_no_time_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time such as"):
        parse_time(text, NOON)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_an_error(text: str) -> None:
    for parse in (lambda text: parse_time(text, NOON), parse_span):
        with suppress(ValueError):
            assert isinstance(parse(text), int)


def test_a_span() -> None:
    assert [parse_span(text) for text in ("60", "5m", "1h", "2d")] == [60, 300, 3600, 172_800]
    for text in ("", "5 m", "m", "-1m", "1.5h", "9999999999"):
        with pytest.raises(ValueError, match="is not a span"):
            parse_span(text)
