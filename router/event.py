"""An event block: what the edge appends to the log and every consumer reads.

One block holds the accepted events of one request, all of one source. Layout, little endian:

    u8  version (1)      u8  length of the source id    u16 zero    u32 count
    count x { u32 length of the event, u8 kind, u8 flags, u16 zero }
    the source id, UTF-8
    the events, JSON objects one after the other with nothing between

`kind` is an index into `KINDS`; `flags` is a sum of the `FLAG_` values. Every stored event starts
with `{"messageId":"...","receivedAt":"..."`, so that both are found without decoding the rest, and
stands in one line.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from router._fast.events import Event, unpack_events

__all__ = [
    "FLAG_INTEGRATIONS", "KINDS", "KIND_OF", "Block", "Event", "pack_block", "restore_event",
    "unpack_block", "unpack_events",
]  # fmt: skip

KINDS = ("track", "identify", "page", "screen", "group", "alias")
KIND_OF = {name: number for number, name in enumerate(KINDS)}

FLAG_INTEGRATIONS = 1
"""The event's `integrations` object is not empty: routing has to look into it."""

VERSION = 1
HEAD = struct.Struct("<BBHI")
ENTRY = struct.Struct("<IBBH")


def restore_event(raw: bytes, offset: int, source: str, time_ms: int) -> Event:
    """An event from its stored bytes alone, where the block it stood in is gone."""
    event = Event(offset, source, 0, 0, raw, time_ms)
    event.kind = KIND_OF.get(event.data.get("type", ""), 0)
    event.flags = FLAG_INTEGRATIONS if event.data.get("integrations") else 0
    return event


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


def unpack_block(payload: bytes) -> Block:
    """A block as plain lists. Raises `ValueError` where it is not one."""
    events = unpack_events(payload, 0, 0)
    return Block(
        events[0].source if events else "",
        [event.kind for event in events],
        [event.flags for event in events],
        [event.raw for event in events],
    )
