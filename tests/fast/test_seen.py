"""The set of seen ids against a dict, and its window."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router._fast.seen import Seen, ids_of
from router.event import pack_block
from tests.reference.seen import Seen as Reference

SEED = bytes(range(16))
SOURCES = st.sampled_from([b"web", b"app", b"w"])
IDS = st.one_of(
    st.integers(0, 40).map(lambda n: f"id-{n}".encode()), st.binary(min_size=1, max_size=600)
)


@settings(max_examples=200, deadline=None)
@given(
    hours=st.integers(0, 30),
    steps=st.lists(st.tuples(st.booleans(), SOURCES, IDS, st.integers(0, 2)), max_size=120),
)
def test_it_behaves_like_a_dict_that_forgets(
    hours: int, steps: list[tuple[bool, bytes, bytes, int]]
) -> None:
    seen, reference = Seen(SEED, hours), Reference(hours)
    now = 480_000
    for add, source, id_, passed in steps:
        now += passed
        if add:
            assert seen.add(source, id_, now) == reference.add(source, id_, now)
        else:
            seen.discard(source, id_)
            reference.discard(source, id_)


def test_an_id_is_known_for_all_of_its_last_hour() -> None:
    seen = Seen(SEED, 24)
    assert seen.add(b"web", b"late in hour 100", 100)
    assert not seen.add(b"web", b"late in hour 100", 124)
    assert seen.add(b"web", b"late in hour 100", 125)


def test_many_ids_grow_the_tables_and_expired_ones_are_left_out() -> None:
    seen = Seen(SEED, 24)
    for i in range(100_000):
        assert seen.add(b"web", b"%d" % i, 1000)
    assert not any(seen.add(b"web", b"%d" % i, 1023) for i in range(100_000))
    assert len(seen) == 100_000
    for i in range(100_000, 300_000):
        assert seen.add(b"web", b"%d" % i, 1030)
    assert len(seen) < 210_000
    assert seen.add(b"web", b"1", 1030)


def test_removal_keeps_the_others_findable() -> None:
    seen = Seen(SEED, 24)
    ids = [b"%d" % i for i in range(20_000)]
    for id_ in ids:
        seen.add(b"s", id_, 5)
    for id_ in ids[::2]:
        assert seen.discard(b"s", id_)
    assert not seen.discard(b"s", ids[0])
    assert [seen.add(b"s", id_, 5) for id_ in ids] == [True, False] * 10_000


def test_a_source_and_an_id_are_not_mixed_up() -> None:
    seen = Seen(SEED, 24)
    assert seen.add(b"ab", b"c", 5)
    assert seen.add(b"a", b"bc", 5)
    assert seen.add(b"a" * 600, b"b", 5)
    assert seen.add(b"a", b"a" * 599 + b"b", 5)


def test_records_of_a_block_restore_its_ids() -> None:
    events = [b'{"messageId":"a\\"b","x":1}', b'{"messageId":"c"}', b'{"other":1}']
    block = pack_block("web", [0] * 3, [0] * 3, events)
    assert ids_of(block) == [(b"web", b'a\\"b'), (b"web", b"c")]
    seen, again = Seen(SEED, 24), Seen(SEED, 24)
    seen.add(b"web", b"c", 7)
    again.load(seen.records(block, 7))
    assert not again.add(b"web", b"c", 8)
    assert not again.add(b"web", b'a\\"b', 8)
    assert again.add(b"app", b"c", 8)
    again.discard_block(block)
    assert again.add(b"web", b"c", 8)


@given(st.binary(max_size=100))
def test_any_bytes_as_a_block_are_an_error_or_ids(payload: bytes) -> None:
    try:
        ids_of(payload)
    except ValueError:
        pass


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Seen(b"short", 24)
    with pytest.raises(ValueError, match="empty"):
        Seen(SEED, 24).add(b"", b"x", 1)
