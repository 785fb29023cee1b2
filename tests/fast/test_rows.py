"""Work on many rows at once, against the same in plain Python."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router._fast.rows import Row, first_unsettled, fitting, joined, plain_rows, settle_plain
from router.event import FLAG_INTEGRATIONS, Event

BODIES = st.lists(st.binary(max_size=30), max_size=20)


def event(offset: int = 0, flags: int = 0, time_ms: int = 5) -> Event:
    return Event(offset, "web", 0, flags, b'{"messageId":"m"}', time_ms)


def rows_of(bodies: list[bytes]) -> list[Row]:
    return [Row(event(), 0, "", body) for body in bodies]


@given(BODIES, st.binary(max_size=5), st.binary(max_size=5), st.binary(max_size=5))
def test_joined(bodies: list[bytes], before: bytes, between: bytes, after: bytes) -> None:
    expected = before + between.join(bodies) + after
    assert joined(bodies, before, between, after) == expected
    assert joined(rows_of(bodies), before, between, after) == expected


@given(BODIES, st.integers(0, 25), st.integers(-5, 25), st.integers(-5, 400))
def test_fitting_takes_rows_up_to_a_number_and_a_size(
    bodies: list[bytes], start: int, most: int, room: int
) -> None:
    taken, size = 0, 0
    for body in bodies[start:]:
        if taken >= most or size + len(body) > room:
            break
        taken, size = taken + 1, size + len(body)
    assert fitting(rows_of(bodies), start, most, room) == (taken, size)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), unique_by=lambda each: each[0]))
def test_settling_counts_down_and_tells_when_rows_were_received(
    found: list[tuple[int, int]],
) -> None:
    left = bytearray([2] * 21)
    rows = [Row(event(100 + place, time_ms=time), 0, "", b"") for place, time in found]
    settled = settle_plain(rows, left, 100)
    assert settled is not None
    offsets, received = settled
    assert list(offsets) == [100 + place for place, _ in found]
    assert received == Counter(time for _, time in found)
    places = {place for place, _ in found}
    assert left == bytearray(1 if place in places else 2 for place in range(21))


@pytest.mark.parametrize("more", [{"stored": b"key"}, {"user": b"12345678"}])
def test_rows_with_more_to_them_are_left_alone(more: dict[str, bytes]) -> None:
    left = bytearray([1, 1])
    rows = [Row(event(0), 0, "", b""), Row(event(1), 0, "", b"", **more)]  # type: ignore[arg-type]
    assert settle_plain(rows, left, 0) is None
    assert left == b"\1\1"


@pytest.mark.parametrize("offset", [-1, 2, 1])
def test_settling_what_is_not_there_is_an_error(offset: int) -> None:
    with pytest.raises(ValueError, match="settled or was not taken"):
        settle_plain([Row(event(offset), 0, "", b"")], bytearray([1, 0]), 0)


def test_plain_rows_carry_the_events_own_bytes_or_the_bodies() -> None:
    events = [event(3), event(4)]
    rows = plain_rows(events, 2)
    assert rows is not None
    assert [(row.event.offset, row.action, row.key, row.body) for row in rows] == [
        (3, 2, "", events[0].raw), (4, 2, "", events[1].raw),
    ]  # fmt: skip
    rows = plain_rows(events, 0, [b"1", b"2"])
    assert rows is not None
    assert [row.body for row in rows] == [b"1", b"2"]
    assert plain_rows(events, 0, [b"1", None]) is None
    assert plain_rows([event(flags=FLAG_INTEGRATIONS)], 0) is None
    with pytest.raises(ValueError, match="as many bodies"):
        plain_rows(events, 0, [b"1"])


@given(st.binary(max_size=50), st.integers(0, 60))
def test_first_unsettled(left: bytes, start: int) -> None:
    expected = next((i for i in range(start, len(left)) if left[i]), max(start, len(left)))
    assert first_unsettled(bytearray(left), start) == expected
