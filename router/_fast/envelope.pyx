"""From a request's body to an event block, in one validating scan and no Python object an event.

`Envelope.parse` finds the events of a body and their members; `Envelope.accept` judges each by the
rules of the tracking API, drops what was seen before, and splices what is new into a block
(router/event.py): stamps in front, everything else byte for byte as it came.
"""

cimport cython
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, strlen

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from router._fast.envelope_scan cimport (
    BAD_ID, BAD_NUMBER, BYTES, CONTEXT, FINE, INTEGRATIONS, LONG_MESSAGE_ID, NO_EVENT, NO_GROUP,
    NO_PREVIOUS, NO_USER, NOT_OBJECT, TOO_DEEP, TOO_LARGE, TOO_MANY_MEMBERS, UNKNOWN_TYPE,
    Body, Fault, Item, Member, Run, Shared, scan_key, scan_space, scan_value,
)
from router._fast.envelope_slices cimport (
    ALIAS, GROUP, TRACK, Slice, characters, cursor, instant_of, is_client, is_empty, is_id, is_null,
    is_number, is_text, kind_of, same,
)
from router._fast.seen cimport Seen

import os
import struct

from router._fast.envelope_scan import InvalidBody, mend_surrogates


cdef extern from "instant.h" nogil:
    int64_t INSTANT_NONE
    int64_t instant_parse(cursor p, ptrdiff_t length)
    void instant_format(int64_t ms, unsigned char *out)

cdef extern from "siphash.h" nogil:
    void siphash128(const uint64_t *key, const unsigned char *data, size_t length, uint64_t *out)


DEF STAMP_BYTES = 24

_FAULTS = {
    NOT_OBJECT: ("invalid_event", "", "an event has to be a JSON object"),
    TOO_LARGE: ("event_too_large", "", "the event is larger than limits.event_bytes"),
    TOO_DEEP: ("too_deep", "", "the event is nested deeper than limits.depth"),
    BAD_NUMBER: ("invalid_number", "", "a number is too large for a double"),
    TOO_MANY_MEMBERS: ("invalid_event", "", "the same members are repeated too often"),
    UNKNOWN_TYPE: ("unknown_type", "type",
                   "type has to be track, identify, page, screen, group or alias"),
    NO_USER: ("no_user_anon_id", "userId", "userId or anonymousId is required"),
    BAD_ID: ("invalid_id", "userId", "an id has to be a string or a number"),
    NO_EVENT: ("no_event", "event", "a track call needs its event's name, a string"),
    NO_GROUP: ("no_group_id", "groupId", "a group call needs a groupId"),
    NO_PREVIOUS: ("no_previous_id", "previousId", "an alias call needs a previousId"),
    LONG_MESSAGE_ID: ("message_id_too_long", "messageId",
                      "messageId is longer than limits.message_id_chars"),
}
"""Fault: (reason code, field, message)."""

CODES = frozenset(code for code, _, _ in _FAULTS.values())

Rejection = tuple
"""(index in the body, reason code, field, message, the event's bytes)"""

cdef const char **_TYPES = [b"track", b"identify", b"page", b"screen", b"group", b"alias"]


cdef void flatten(unsigned char *p, unsigned char *end) noexcept nogil:
    """Line ends, which valid JSON has between tokens only, become spaces: an event is one line."""
    cdef unsigned char *found = p
    while found != NULL:
        found = <unsigned char *>memchr(found, b'\n', end - found)
        if found != NULL:
            found[0] = b' '
    found = p
    while found != NULL:
        found = <unsigned char *>memchr(found, b'\r', end - found)
        if found != NULL:
            found[0] = b' '


@cython.final
cdef class _Buffer:
    """Bytes that grow."""

    cdef unsigned char *data
    cdef size_t used
    cdef size_t room

    def __cinit__(self):
        self.room = 64 * 1024
        self.used = 0
        self.data = <unsigned char *>malloc(self.room)
        if self.data == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.data)

    cdef int reserve(self, size_t more) except -1:
        if self.used + more > self.room:
            while self.used + more > self.room:
                self.room *= 2
            grown = <unsigned char *>realloc(self.data, self.room)
            if grown == NULL:
                raise MemoryError()
            self.data = grown
        return 0

    cdef inline void put(self, const void *data, size_t length) noexcept:
        """The caller has reserved the room."""
        memcpy(self.data + self.used, data, length)
        self.used += length

    cdef inline void put_slice(self, Slice s) noexcept:
        self.put(s.p, s.n)


@cython.final
cdef class Envelope(Body):
    """Judges and stores the events of the body that `parse` was last given; not for threads."""

    cdef _Buffer out
    cdef _Buffer table
    cdef uint64_t[2] random_key
    cdef uint64_t random_count

    def __cinit__(self):
        self.out = _Buffer()
        self.table = _Buffer()
        self.random_key[0], self.random_key[1] = struct.unpack("<QQ", os.urandom(16))

    def accept(self, bytes source not None, int64_t received_ms, Seen seen not None, int kind=-1,
               bytes ip=b"", int client=-1, Py_ssize_t event_bytes=32768, int depth=100,
               Py_ssize_t message_id_chars=100):
        """Judge and stamp the events of the last body.

        `kind` is the call type that the path implies, -1 in a batch. `ip` goes into `context.ip`
        where the source is client-side: `client` 1 or 0, or -1 to tell by the library.

        Returns (block or None, events in it, duplicates left out, rejections), a rejection being
        (index, code, field, message, event's bytes).
        """
        if not 0 < len(source) < 256:
            raise ValueError("a source id has 1 to 255 bytes")
        cdef unsigned char[STAMP_BYTES] received
        cdef int i
        cdef uint32_t accepted = 0, duplicates = 0
        cdef Item *item
        cdef Fault fault
        cdef int actual
        cdef unsigned int hour = <unsigned int>(received_ms // 3600000)
        cdef const unsigned char *source_bytes = source
        cdef Py_ssize_t source_length = len(source)
        cdef list rejections = []
        cdef unsigned char[36] fresh
        cdef Slice message_id
        instant_format(received_ms, received)
        self.out.used = self.table.used = 0
        for i in range(self.count):
            item = &self.items[i]
            actual = kind if kind >= 0 else kind_of(item.type)
            fault = self._judge(item, actual, event_bytes, depth, message_id_chars)
            if fault != FINE:
                rejections.append(self._rejection(i, item, fault))
                continue
            message_id = self._message_id(item, fresh)
            if message_id.p != fresh and seen.check_add(
                    source_bytes, source_length, message_id.p, message_id.n, hour):
                duplicates += 1
                continue
            self._write(item, actual, message_id, received, received_ms, ip, client)
            accepted += 1
        block = self._block(source, accepted) if accepted else None
        return block, accepted, duplicates, rejections

    def rejections(self, str code, str field, str message):
        """Every event of the last body as rejected for the same reason."""
        return [
            (i, code, field, message, self._raw(&self.items[i])) for i in range(self.count)
        ]

    cdef bytes _raw(self, Item *item):
        return PyBytes_FromStringAndSize(<const char *>item.raw.p, item.raw.n)

    cdef tuple _rejection(self, int index, Item *item, Fault fault):
        code, field, message = _FAULTS[fault]
        return index, code, field, message, self._raw(item)

    cdef Fault _judge(self, Item *item, int kind, Py_ssize_t event_bytes, int depth,
                      Py_ssize_t message_id_chars) noexcept:
        if item.fault != FINE:
            return item.fault
        if item.raw.n > event_bytes or \
                self.context.value.n > event_bytes or self.integrations.value.n > event_bytes:
            return TOO_LARGE
        if item.deepest > depth or \
                self.context.deepest > depth or self.integrations.deepest > depth:
            return TOO_DEEP
        if item.infinite or self.context.infinite or self.integrations.infinite:
            return BAD_NUMBER
        if kind < 0:
            return UNKNOWN_TYPE
        if not is_id(item.user_id) and not is_id(item.anonymous_id):
            if is_empty(item.user_id) and is_empty(item.anonymous_id):
                return NO_USER
            return BAD_ID
        if kind == TRACK and not is_text(item.event):
            return NO_EVENT
        if kind == GROUP and not is_id(item.group_id):
            return NO_GROUP
        if kind == ALIAS and not is_id(item.previous_id):
            return NO_PREVIOUS
        if item.message_id.n > message_id_chars:
            if characters(item.message_id) > message_id_chars:
                return LONG_MESSAGE_ID
        return FINE

    cdef Slice _message_id(self, Item *item, unsigned char *fresh) noexcept:
        """The client's id without its quotes, or a new one written to `fresh`."""
        cdef Slice found = item.message_id
        if is_text(found):
            found.p += 1
            found.n -= 2
        elif not is_number(found):
            self._new_id(fresh)
            found.p, found.n = fresh, 36
        return found

    cdef void _new_id(self, unsigned char *out) noexcept:
        """A random UUID (RFC 9562, version 4)."""
        cdef uint64_t[2] random
        cdef const char *digits = b"0123456789abcdef"
        cdef int i, at = 0
        cdef uint8_t octet
        self.random_count += 1
        siphash128(self.random_key, <const unsigned char *>&self.random_count, 8, random)
        for i in range(16):
            octet = <uint8_t>(random[i >> 3] >> (8 * (i & 7)))
            if i == 6:
                octet = (octet & 0x0F) | 0x40
            elif i == 8:
                octet = (octet & 0x3F) | 0x80
            if i == 4 or i == 6 or i == 8 or i == 10:
                out[at] = b'-'
                at += 1
            out[at] = digits[octet >> 4]
            out[at + 1] = digits[octet & 15]
            at += 2

    cdef int _write(self, Item *item, int kind, Slice message_id, unsigned char *received,
                    int64_t received_ms, bytes ip, int client) except -1:
        """Append the stored form of an event, and its entry in the table."""
        cdef _Buffer out = self.out
        cdef size_t start = out.used
        cdef uint8_t flags = 0
        cdef bint with_ip
        cdef int i
        cdef Run *run
        out.reserve(item.raw.n + self.context.value.n + self.integrations.value.n + len(ip) + 1024)
        out.put(b'{"messageId":"', 14)
        out.put_slice(message_id)
        out.put(b'","receivedAt":"', 16)
        out.put(received, STAMP_BYTES)
        out.put(b'","type":"', 10)
        out.put(_TYPES[kind], strlen(_TYPES[kind]))
        out.put(b'"', 1)
        self._write_times(item, received, received_ms)
        with_ip = len(ip) > 0 and not item.has_ip and self._is_client(item, client)
        for i in range(item.runs_used):
            run = &item.runs[i]
            if run.part == BYTES:
                out.put(b',', 1)
                out.put(run.p, run.n)
            elif run.part == CONTEXT:
                self._merge(b',"context":', 11, item.context, &self.context, ip, with_ip)
            elif run.part == INTEGRATIONS:
                flags |= self._merge(b',"integrations":', 16, item.integrations,
                                     &self.integrations, ip, False)
        if item.context_at < 0 and (self.context.used or with_ip):
            self._merge(b',"context":', 11, item.context, &self.context, ip, with_ip)
        if item.integrations_at < 0 and self.integrations.used:
            flags |= self._merge(b',"integrations":', 16, item.integrations,
                                 &self.integrations, ip, False)
        # Behind the rest, so that they win over an earlier member of the same name.
        self._write_number(b',"userId":"', 11, item.user_id)
        self._write_number(b',"anonymousId":"', 16, item.anonymous_id)
        self._write_number(b',"groupId":"', 12, item.group_id)
        self._write_number(b',"previousId":"', 15, item.previous_id)
        out.put(b'}', 1)
        flatten(out.data + start, out.data + out.used)
        cdef uint32_t length = <uint32_t>(out.used - start)
        cdef uint8_t[4] rest = [<uint8_t>kind, flags, 0, 0]
        self.table.reserve(8)
        self.table.put(&length, 4)
        self.table.put(rest, 4)
        return 0

    cdef bint _is_client(self, Item *item, int client) noexcept:
        cdef Slice library = item.library
        cdef int i
        if item.direct:
            return True
        for i in range(self.context.used):
            if same(self.context.members[i].key.p, self.context.members[i].key.n, b"direct", 6):
                if self._value_of(&self.context.members[i])[0] == b't' and \
                        not self._has(item.context, &self.context.members[i].key):
                    return True
        if client >= 0:
            return client == 1
        if library.n == 0:
            for i in range(self.context.used):
                if same(self.context.members[i].key.p, self.context.members[i].key.n,
                        b"library", 7):
                    library = self.context.members[i].whole
                    library.p = self._value_of(&self.context.members[i])
                    library.n -= library.p - self.context.members[i].whole.p
        return is_client(library)

    cdef cursor _value_of(self, Member *member) noexcept:
        cdef cursor key
        cdef ptrdiff_t length
        return scan_key(&self.s, member.whole.p, &key, &length)

    cdef void _write_number(self, const char *before, size_t length, Slice value) noexcept:
        """An id that came as a number, as a string."""
        if is_number(value):
            self.out.put(before, length)
            self.out.put_slice(value)
            self.out.put(b'"', 1)

    cdef void _write_times(self, Item *item, unsigned char *received, int64_t now) noexcept:
        """`timestamp`, corrected by the difference of the two clocks; what was sent is kept."""
        cdef _Buffer out = self.out
        cdef Slice original = item.original if not is_null(item.original) else item.timestamp
        cdef Slice sent_at = item.sent_at if not is_null(item.sent_at) else self.sent_at
        cdef int64_t happened = instant_of(original), sent = instant_of(sent_at)
        cdef unsigned char[STAMP_BYTES] stamp
        if happened == INSTANT_NONE:
            memcpy(stamp, received, STAMP_BYTES)
        elif sent == INSTANT_NONE:
            instant_format(happened, stamp)
        else:
            instant_format(now - (sent - happened), stamp)
        out.put(b',"timestamp":"', 14)
        out.put(stamp, STAMP_BYTES)
        out.put(b'"', 1)
        # Any JSON value may stand here; room is reserved for the event's own, a batch's is short.
        if not is_null(original):
            out.put(b',"originalTimestamp":', 21)
            out.put_slice(original)
        if not is_null(sent_at) and sent_at.n < 512 or not is_null(item.sent_at):
            out.put(b',"sentAt":', 10)
            out.put_slice(sent_at)

    cdef uint8_t _merge(self, const char *before, size_t length, Slice own, Shared *shared,
                        bytes ip, bint with_ip) noexcept:
        """Write an object: the batch's members that the event does not have, the address, then the
        event's own, which so win where a name is spelt in two ways. Returns 1 if there is any."""
        cdef _Buffer out = self.out
        cdef bint any_member = False
        cdef Slice inner
        cdef int i
        if own.n and own.p[0] != b'{' and not (is_null(own) and (shared.used or with_ip)):
            out.put(before, length)
            out.put_slice(own)
            return 0
        out.put(before, length)
        out.put(b'{', 1)
        for i in range(shared.used):
            if not self._has(own, &shared.members[i].key):
                if any_member:
                    out.put(b',', 1)
                out.put_slice(shared.members[i].whole)
                any_member = True
        if with_ip and not self._shared_has_ip(shared):
            if any_member:
                out.put(b',', 1)
            out.put(b'"ip":"', 6)
            out.put(PyBytes_AS_STRING(ip), len(ip))
            out.put(b'"', 1)
            any_member = True
        if own.n and own.p[0] == b'{':
            inner.p, inner.n = own.p + 1, own.n - 2
            if scan_space(inner.p)[0] != b'}':
                if any_member:
                    out.put(b',', 1)
                out.put_slice(inner)
                any_member = True
        out.put(b'}', 1)
        return 1 if any_member else 0

    cdef bint _shared_has_ip(self, Shared *shared) noexcept:
        cdef int i
        for i in range(shared.used):
            if same(shared.members[i].key.p, shared.members[i].key.n, b"ip", 2):
                return True
        return False

    cdef bint _has(self, Slice own, Slice *wanted) noexcept:
        """Does the object have a member of that name?"""
        cdef cursor p
        cdef cursor key
        cdef ptrdiff_t length = 0
        if own.n < 2 or own.p[0] != b'{':
            return False
        p = scan_space(own.p + 1)
        while p[0] == b'"':
            p = scan_key(&self.s, p, &key, &length)
            if length == wanted.n and memcmp(key, wanted.p, length) == 0:
                return True
            p = scan_space(scan_value(&self.s, p, 0))
            if p[0] != b',':
                return False
            p = scan_space(p + 1)
        return False

    cdef bytes _block(self, bytes source, uint32_t accepted):
        cdef Py_ssize_t name = len(source)
        cdef Py_ssize_t total = 8 + self.table.used + name + self.out.used
        block = PyBytes_FromStringAndSize(NULL, total)
        cdef unsigned char *p = <unsigned char *>PyBytes_AS_STRING(block)
        p[0], p[1], p[2], p[3] = 1, <uint8_t>name, 0, 0
        memcpy(p + 4, &accepted, 4)
        p += 8
        memcpy(p, self.table.data, self.table.used)
        p += self.table.used
        memcpy(p, PyBytes_AS_STRING(source), name)
        memcpy(p + name, self.out.data, self.out.used)
        return block


def parse_time(bytes text not None):
    """Milliseconds since 1970 of an ISO time or an epoch number, or None."""
    cdef int64_t ms = instant_parse(<cursor>PyBytes_AS_STRING(text), len(text))
    return None if ms == INSTANT_NONE else ms


def format_time(int64_t ms):
    """`2026-11-24T05:22:51.142Z`"""
    cdef unsigned char[STAMP_BYTES] out
    instant_format(ms, out)
    return out[:STAMP_BYTES].decode()
