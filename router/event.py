"""An event block: what the edge appends to the log and every consumer reads.

One block holds the accepted events of one request, all of one source. Layout, little endian:

    u8  version (1)      u8  length of the source id    u16 zero    u32 count
    count x { u32 length of the event, u8 kind, u8 flags, u16 zero }
    the source id, UTF-8
    the events, JSON objects one after the other with nothing between

`kind` is an index into `KINDS`; `flags` is a sum of the `FLAG_` values. Every stored event starts
with `{"messageId":"...","receivedAt":"..."`, so that both are found without decoding the rest.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

KINDS = ("track", "identify", "page", "screen", "group", "alias")
KIND_OF = {name: number for number, name in enumerate(KINDS)}

FLAG_INTEGRATIONS = 1
"""The event's `integrations` object is not empty: routing has to look into it."""

VERSION = 1
HEAD = struct.Struct("<BBHI")
ENTRY = struct.Struct("<IBBH")


class Block(NamedTuple):
    """The events of one block. The three lists are as long as the block has events."""

    source: str
    kinds: list[int]
    flags: list[int]
    events: list[bytes]


def pack_block(source: str, kinds: list[int], flags: list[int], events: list[bytes]) -> bytes:
    """The inverse of `unpack_block`; the edge has a compiled one, tests and imports use this."""
    name = source.encode()
    parts = [HEAD.pack(VERSION, len(name), 0, len(events))]
    parts += [
        ENTRY.pack(len(event), kind, flag, 0)
        for event, kind, flag in zip(events, kinds, flags, strict=True)
    ]
    return b"".join([*parts, name, *events])


def unpack_block(payload: bytes | memoryview) -> Block:
    """Cut a block into its events. Raises `ValueError` where it is not one."""
    data = bytes(payload)
    if len(data) < HEAD.size:
        raise ValueError("an event block needs at least 8 bytes")
    version, name_length, _, count = HEAD.unpack_from(data)
    if version != VERSION:
        raise ValueError(f"event block version {version} is unknown: expected {VERSION}")
    table_end = HEAD.size + count * ENTRY.size
    position = table_end + name_length
    if position > len(data):
        raise ValueError("an event block ends inside its own table")
    kinds, flags, events = [], [], []
    for length, kind, flag, _ in ENTRY.iter_unpack(data[HEAD.size : table_end]):
        kinds.append(kind)
        flags.append(flag)
        events.append(data[position : position + length])
        position += length
    if position != len(data):
        raise ValueError("an event block's lengths do not add up to its size")
    return Block(data[table_end : table_end + name_length].decode(), kinds, flags, events)
