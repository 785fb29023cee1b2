"""Frames read in one go, against the same one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router._fast.frames import Record, read_frames
from router.log.frame import HEAD_BYTES, pack_head, read_frame, read_head


def plain(
    data: bytes, at: int, expected: int, limit: int, most: int
) -> tuple[list[Record], int, int]:
    records, total = [], 0
    while total < most:
        head = read_head(data, at)
        if head is None or not expected <= head.offset < limit:
            break
        block = read_frame(data, at, head)
        if block is None:
            break
        records.append(Record(head.offset, head.count, head.time_ms, block))
        total += head.length
        expected = head.offset + head.count
        at += HEAD_BYTES + head.length
    return records, at, expected


FRAMES = st.lists(st.tuples(st.binary(max_size=40), st.integers(1, 5), st.integers(0, 3)))


@given(
    frames=FRAMES, damage=st.one_of(st.none(), st.integers(0, 500)), cut=st.integers(0, 60),
    expected=st.integers(0, 20), limit=st.integers(0, 60), most=st.integers(0, 200),
)  # fmt: skip
def test_the_same_frames_are_found_whatever_is_wrong_with_one(
    frames: list[tuple[bytes, int, int]], damage: int | None, cut: int, expected: int,
    limit: int, most: int,
) -> None:  # fmt: skip
    data, offset = b"", 10
    for block, count, gap in frames:
        offset += gap
        data += pack_head(block, count, offset, 7) + block
        offset += count
    data = data[: len(data) - cut]
    if damage is not None and damage < len(data):
        data = data[:damage] + bytes([data[damage] ^ 1]) + data[damage + 1 :]
    assert read_frames(data, 0, expected, limit, most) == plain(data, 0, expected, limit, most)


def test_an_offset_beyond_what_fits_is_no_frame() -> None:
    head = pack_head(b"x", 1, (1 << 64) - 5, 7)
    assert read_frames(head + b"x", 0, 0, (1 << 63) - 1, 100) == ([], 0, 0)
