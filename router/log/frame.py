"""A frame: what the log writes for one block.

    u32 magic   u32 CRC-32C of all that follows it in the frame
    u32 length of the block   u32 events in it   u64 offset of the first   u64 time in ms
    the block

Little endian, 32 bytes and the block. A frame counts only where its offset is at least the one
expected: what an older use of a recycled file left behind has a lower one.
"""

from __future__ import annotations

import struct

import msgspec

from router._fast.crc32c import crc32c
from router._fast.frames import HEAD_BYTES, MAGIC, Record

__all__ = ["HEAD_BYTES", "Head", "Record", "find_frame", "pack_head", "read_frame", "read_head"]

_MAGIC_BYTES = struct.pack("<I", MAGIC)
_GUARD = struct.Struct("<II")
_REST = struct.Struct("<IIQQ")
MAX_BLOCK = 1 << 30


class Head(msgspec.Struct, frozen=True, gc=False):
    """A frame's header."""

    crc: int
    length: int
    count: int
    offset: int
    time_ms: int


def pack_head(block: bytes, count: int, offset: int, time_ms: int) -> bytes:
    """One frame's header; `frame_group` makes those of a whole group."""
    rest = _REST.pack(len(block), count, offset, time_ms)
    return _GUARD.pack(MAGIC, crc32c(block, crc32c(rest))) + rest


def read_head(data: bytes | memoryview, position: int) -> Head | None:
    """The header at `position`, or None where there is none."""
    if position + HEAD_BYTES > len(data):
        return None
    magic, crc = _GUARD.unpack_from(data, position)
    if magic != MAGIC:
        return None
    head = Head(crc, *_REST.unpack_from(data, position + _GUARD.size))
    return head if head.count > 0 and head.length <= MAX_BLOCK else None


def read_frame(data: bytes, position: int, head: Head) -> bytes | None:
    """The block of the frame at `position`; None where it is cut off or fails its checksum."""
    start = position + HEAD_BYTES
    block = data[start : start + head.length]
    if len(block) < head.length:
        return None
    rest = data[position + _GUARD.size : start]
    return block if crc32c(block, crc32c(rest)) == head.crc else None


def find_frame(data: bytes, position: int, least_offset: int) -> int:
    """Where after `position` the next whole frame of at least `least_offset` begins, or -1."""
    while (position := data.find(_MAGIC_BYTES, position)) >= 0:
        head = read_head(data, position)
        if (
            head is not None
            and head.offset >= least_offset
            and read_frame(data, position, head) is not None
        ):
            return position
        position += 1
    return -1
