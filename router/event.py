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
from typing import Any, NamedTuple

import orjson

KINDS = ("track", "identify", "page", "screen", "group", "alias")
KIND_OF = {name: number for number, name in enumerate(KINDS)}

FLAG_INTEGRATIONS = 1
"""The event's `integrations` object is not empty: routing has to look into it."""

MESSAGE_ID_PREFIX = b'{"messageId":"'
VERSION = 1
HEAD = struct.Struct("<BBHI")
ENTRY = struct.Struct("<IBBH")


class Event:
    """One stored event: its bytes, and its decoded form once somebody asks for it.

    Every destination that is caught up shares the same object, so nobody may change `data`.
    """

    __slots__ = ("_data", "flags", "kind", "offset", "raw", "source", "time_ms")

    def __init__(
        self, offset: int, source: str, kind: int, flags: int, raw: bytes, time_ms: int = 0
    ) -> None:
        self.offset, self.source, self.kind, self.flags = offset, source, kind, flags
        self.raw, self.time_ms = raw, time_ms
        self._data: dict[str, Any] | None = None

    @property
    def data(self) -> dict[str, Any]:
        """The event as a dict, decoded once."""
        if self._data is None:
            self._data = orjson.loads(self.raw)
        return self._data

    @property
    def message_id(self) -> str:
        """Read from the front of the bytes, where the edge put it."""
        if self.raw.startswith(MESSAGE_ID_PREFIX):
            end = self.raw.index(b'"', len(MESSAGE_ID_PREFIX))
            if b"\\" not in self.raw[len(MESSAGE_ID_PREFIX) : end]:
                return self.raw[len(MESSAGE_ID_PREFIX) : end].decode()
        return str(self.data["messageId"])


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
