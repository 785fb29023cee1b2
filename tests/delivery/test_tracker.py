"""The cursor never passes an unsettled event and always reaches the first one."""

import random

from hypothesis import given
from hypothesis import strategies as st

from router.delivery.tracker import Tracker
from router.destinations.request import Row
from router.event import Event


def row(offset: int) -> Row:
    return Row(Event(offset, "web", 0, 0, b"{}", 1), 0, "", b"{}")


@given(
    start=st.integers(0, 10**12),
    rows=st.lists(st.integers(0, 3), max_size=60),
    gaps=st.lists(st.integers(0, 2), min_size=60, max_size=60),
    seed=st.randoms(use_true_random=False),
)
def test_the_cursor_is_the_lowest_unsettled_offset(
    start: int, rows: list[int], gaps: list[int], seed: random.Random
) -> None:
    tracker = Tracker(start)
    left: dict[int, int] = {}
    position = start
    waiting = list(zip(rows, gaps, strict=False))
    while waiting or any(left.values()):
        unsettled = [offset for offset, count in left.items() if count]
        if waiting and (not unsettled or seed.random() < 0.5):
            count, gap = waiting.pop(0)
            position += gap
            tracker.take(position, count)
            left[position] = count
            position += 1
        else:
            offset = seed.choice(unsettled)
            left[offset] -= 1
            if seed.random() < 0.5:
                tracker.settle(offset)
            else:
                tracker.settle_plain([row(offset)])
        expected = min((offset for offset, count in left.items() if count), default=position)
        assert tracker.cursor == expected
        assert tracker.position == position
        cursor, beyond = tracker.snapshot()
        again = Tracker(cursor, beyond)
        for offset, count in left.items():
            if offset >= cursor:
                assert again.settled_before(offset) == (count == 0)
        assert again.resuming == (position > cursor)
        assert again.unsettled_before == sum(count > 0 for count in left.values())


def test_what_is_read_again_stays_settled_in_the_next_snapshot() -> None:
    tracker = Tracker(10)
    for offset in range(10, 15):
        tracker.take(offset, 1)
    for offset in (11, 13):
        tracker.settle(offset)
    again = Tracker(*tracker.snapshot())
    again.take(10, 1)
    third = Tracker(*again.snapshot())
    assert [third.settled_before(offset) for offset in range(10, 16)] == [
        False, True, False, True, False, False,
    ]  # fmt: skip
    assert third.resuming


def test_memory_is_given_back_behind_the_cursor() -> None:
    tracker = Tracker(0)
    for offset in range(100_000):
        tracker.take(offset, 1)
        tracker.settle(offset)
    assert tracker.cursor == 100_000
    assert len(tracker._left) < 10_000
