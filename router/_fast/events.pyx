"""Stored events as objects, and the blocks they come in (router/event.py) cut into them."""

cimport cython
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from router._fast.document cimport Document

DEF HEAD = 8
DEF ENTRY = 8
DEF VERSION = 1

_PREFIX = b'{"messageId":"'
cdef dict _sources = {}


cdef str source_name(bytes name):
    """One string a source, however many events it has."""
    found = _sources.get(name)
    if found is None:
        if len(_sources) > 10_000:
            _sources.clear()
        found = _sources[name] = name.decode()
    return found


# Neither it nor what it holds can be part of a cycle; thousands of them are alive under load.
@cython.no_gc
cdef class Event:
    """One stored event: its bytes, and what is made of them once somebody asks.

    Every destination that is caught up shares the same object, so nobody may change `data`.
    """

    def __init__(self, int64_t offset, str source not None, int kind, int flags,
                 bytes raw not None, int64_t time_ms=0):
        self.offset, self.source, self.kind, self.flags = offset, source, kind, flags
        self.raw, self.time_ms = raw, time_ms

    @property
    def doc(self):
        """The event's index, made once. Raises `ValueError` where the bytes are no event."""
        if self.document is None:
            self.document = Document(self.raw)
        return self.document

    @property
    def data(self):
        """The event as a dict, decoded once."""
        return self.doc.data()

    @property
    def message_id(self):
        """Read from the front of the bytes, where the edge put it."""
        if self.raw.startswith(_PREFIX):
            end = self.raw.index(b'"', len(_PREFIX))
            if b"\\" not in self.raw[len(_PREFIX):end]:
                return self.raw[len(_PREFIX):end].decode()
        return str(self.data["messageId"])


def unpack_events(bytes payload not None, int64_t offset, int64_t time_ms):
    """The events of a block, the first of which is at `offset`. Raises `ValueError` where it is
    none."""
    cdef const unsigned char *p = <const unsigned char *>PyBytes_AS_STRING(payload)
    cdef int64_t size = PyBytes_GET_SIZE(payload), at
    cdef uint32_t count, length, i
    cdef Event event
    cdef list events = []
    if size < HEAD:
        raise ValueError("an event block needs at least 8 bytes")
    if p[0] != VERSION:
        raise ValueError(f"event block version {p[0]} is unknown: expected {VERSION}")
    memcpy(&count, p + 4, 4)
    at = HEAD + <int64_t>count * ENTRY + p[1]
    if at > size:
        raise ValueError("an event block ends inside its own table")
    source = source_name(PyBytes_FromStringAndSize(<const char *>p + at - p[1], p[1]))
    for i in range(count):
        memcpy(&length, p + HEAD + i * ENTRY, 4)
        if at + length > size:
            raise ValueError("an event block's lengths do not add up to its size")
        event = Event.__new__(Event)
        event.offset, event.time_ms, event.source = offset + i, time_ms, source
        event.kind, event.flags = p[HEAD + i * ENTRY + 4], p[HEAD + i * ENTRY + 5]
        event.raw = PyBytes_FromStringAndSize(<const char *>p + at, length)
        events.append(event)
        at += length
    if at != size:
        raise ValueError("an event block's lengths do not add up to its size")
    return events
