"""From a request's body to an event block, in one validating scan and no Python object an event.

`Envelope.parse` finds the events of a body and their members; `Envelope.accept` judges each by the
rules of the tracking API, drops what was seen before, and splices what is new into a block
(router/event.py): stamps in front, everything else byte for byte as it came.
"""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from router._fast.seen cimport Seen

import json
import os
import re
import struct


cdef extern from "scan.h" nogil:
    enum: SCAN_OK, SCAN_SYNTAX, SCAN_UTF8, SCAN_DEEP
    ctypedef const unsigned char *cursor
    ctypedef struct scanner:
        cursor end
        cursor at
        int error
        int max_depth
        int deepest
        int lone_surrogate
        int infinite
    cursor scan_space(cursor p)
    int scan_hex4(cursor p)
    cursor scan_value(scanner *s, cursor p, int depth)
    cursor scan_key(scanner *s, cursor p, cursor *key, ptrdiff_t *length)

cdef extern from "instant.h" nogil:
    int64_t INSTANT_NONE
    int64_t instant_parse(cursor p, ptrdiff_t length)
    void instant_format(int64_t ms, unsigned char *out)

cdef extern from "siphash.h" nogil:
    void siphash128(const uint64_t *key, const unsigned char *data, size_t length, uint64_t *out)


DEF MAX_RUNS = 24
DEF MAX_SHARED = 64
DEF HARD_DEPTH = 1024
DEF STAMP_BYTES = 24
DEF MERGED_BYTES = 8388608

cdef enum Kind:
    TRACK, IDENTIFY, PAGE, SCREEN, GROUP, ALIAS

cdef enum Part:
    BYTES, CONTEXT, INTEGRATIONS, GONE

cdef enum Fault:
    FINE
    NOT_OBJECT
    TOO_LARGE
    TOO_DEEP
    BAD_NUMBER
    TOO_MANY_MEMBERS
    UNKNOWN_TYPE
    NO_USER
    BAD_ID
    NO_EVENT
    NO_GROUP
    NO_PREVIOUS
    LONG_MESSAGE_ID

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

cdef struct Slice:
    cursor p
    ptrdiff_t n

cdef struct Run:
    cursor p
    ptrdiff_t n
    Part part

cdef struct Item:
    Slice raw
    Fault fault
    int deepest
    int infinite
    int runs_used
    int context_at
    int integrations_at
    bint has_ip
    bint direct
    Slice message_id
    Slice user_id
    Slice anonymous_id
    Slice group_id
    Slice previous_id
    Slice event
    Slice type
    Slice timestamp
    Slice original
    Slice sent_at
    Slice write_key
    Slice context
    Slice integrations
    Slice library
    Run[MAX_RUNS] runs

cdef struct Member:
    Slice key
    Slice whole

cdef struct Shared:
    Slice value
    int deepest
    int infinite
    int used
    Member[MAX_SHARED] members


Rejection = tuple
"""(index in the body, reason code, field, message, the event's bytes)"""


_MEMBERS = frozenset({
    b"batch", b"messageId", b"type", b"timestamp", b"context", b"integrations", b"userId",
    b"anonymousId", b"event", b"sentAt", b"originalTimestamp", b"receivedAt", b"projectId",
    b"writeKey", b"groupId", b"previousId",
})
_ESCAPED = re.compile(rb"\\u([0-9A-Fa-f]{4})")
_BY_NAME = {name: name for name in _MEMBERS}
"""Names with a meaning, for keys that were sent with escapes in them."""


class InvalidBody(ValueError):
    """A body that is no valid request as a whole: `code`, `field`, and a message."""

    def __init__(self, code, message, field=""):
        super().__init__(message)
        self.code = code
        self.field = field


cdef inline bint same(cursor key, ptrdiff_t length, const char *name, ptrdiff_t size) noexcept nogil:
    return length == size and memcmp(key, name, size) == 0


cdef void plain_key(cursor *key, ptrdiff_t *length) noexcept:
    """Let a key that is one of ours, written with escapes, stand for what it means."""
    if length[0] > 128 or memchr(key[0], b'\\', length[0]) == NULL:
        return
    raw = PyBytes_FromStringAndSize(<const char *>key[0], length[0])
    text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)).encode("utf-8", "replace"), raw)
    found = _BY_NAME.get(text)
    if found is not None:
        key[0], length[0] = <cursor>PyBytes_AS_STRING(found), len(found)


cdef inline bint is_text(Slice s) noexcept nogil:
    """A string with at least one character."""
    return s.n > 2 and s.p[0] == b'"'


cdef inline bint is_number(Slice s) noexcept nogil:
    return s.n > 0 and (s.p[0] == b'-' or (b'0' <= s.p[0] <= b'9'))


cdef inline bint is_null(Slice s) noexcept nogil:
    return s.n == 0 or s.p[0] == b'n'


cdef inline bint is_empty(Slice s) noexcept nogil:
    """Absent, null, or the empty string."""
    return is_null(s) or (s.n == 2 and s.p[0] == b'"')


cdef inline bint is_id(Slice s) noexcept nogil:
    return is_text(s) or is_number(s)


cdef int64_t instant_of(Slice s) noexcept nogil:
    cdef int64_t found
    if s.n == 0:
        return INSTANT_NONE
    if s.p[0] == b'"':
        found = instant_parse(s.p + 1, s.n - 2)
        return found if found != INSTANT_NONE else escaped_instant(s)
    if is_number(s):
        return instant_parse(s.p, s.n)
    return INSTANT_NONE


cdef int64_t escaped_instant(Slice s) noexcept nogil:
    """A time with escapes in it, such as the `\\u002B` that .NET writes for a plus."""
    cdef unsigned char[64] plain
    cdef ptrdiff_t used = 0
    cdef cursor p = s.p + 1
    cdef int unit
    if s.n > 256 or memchr(s.p, b'\\', s.n) == NULL:
        return INSTANT_NONE
    while p < s.p + s.n - 1:
        unit = p[0]
        if unit != b'\\':
            p += 1
        elif p[1] == b'u':
            unit = scan_hex4(p + 2)
            p += 6
        else:
            return INSTANT_NONE
        if used == 64 or unit > 127:
            return INSTANT_NONE
        plain[used] = <unsigned char>unit
        used += 1
    return instant_parse(plain, used)


cdef int kind_of(Slice s) noexcept nogil:
    """The call type of a JSON string, or -1."""
    if s.n < 3 or s.p[0] != b'"':
        return -1
    cdef cursor p = s.p + 1
    cdef ptrdiff_t n = s.n - 2
    if same(p, n, b"track", 5):
        return TRACK
    if same(p, n, b"identify", 8):
        return IDENTIFY
    if same(p, n, b"page", 4):
        return PAGE
    if same(p, n, b"screen", 6):
        return SCREEN
    if same(p, n, b"group", 5):
        return GROUP
    if same(p, n, b"alias", 5):
        return ALIAS
    return -1


cdef const char **_TYPES = [b"track", b"identify", b"page", b"screen", b"group", b"alias"]
cdef const char **_CLIENTS = [
    b"analytics.js", b"analytics-ios", b"analytics-android", b"analytics-kotlin",
    b"analytics-swift", b"analytics-react-native", b"@segment/analytics-react-native",
    b"analytics_flutter", b"analytics-flutter", b"RudderLabs JavaScript SDK",
    b"rudder-ios", b"rudder-android", b"com.rudderstack.android", b"RudderStack",
]
cdef int _CLIENT_COUNT = 14


cdef ptrdiff_t length_of(const char *text) noexcept nogil:
    cdef ptrdiff_t n = 0
    while text[n] != 0:
        n += 1
    return n


cdef bint is_client(Slice library) noexcept nogil:
    """Does `context.library` name an SDK that runs on the person's own device?"""
    cdef scanner s
    cdef cursor p
    cdef cursor key
    cdef cursor value
    cdef ptrdiff_t length = 0, n
    cdef int i
    if library.n < 2 or library.p[0] != b'{':
        return False
    memset(&s, 0, sizeof(scanner))
    s.end = library.p + library.n
    s.max_depth = HARD_DEPTH
    p = scan_space(library.p + 1)
    while p[0] == b'"':
        value = scan_key(&s, p, &key, &length)
        p = scan_value(&s, value, 0)
        if same(key, length, b"name", 4) and value[0] == b'"':
            for i in range(_CLIENT_COUNT):
                n = length_of(_CLIENTS[i])
                if p - value - 2 >= n and memcmp(value + 1, _CLIENTS[i], n) == 0:
                    return True
            return False
        p = scan_space(p)
        if p[0] != b',':
            return False
        p = scan_space(p + 1)
    return False


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


cdef class Envelope:
    """Parses one body after another. Results of `parse` hold until the next; not for threads."""

    cdef Item *items
    cdef int room
    cdef int count
    cdef Py_ssize_t found
    cdef Py_ssize_t most
    cdef scanner s
    cdef bytes body
    cdef bint single
    cdef Shared context
    cdef Shared integrations
    cdef Slice sent_at
    cdef Slice write_key
    cdef _Buffer out
    cdef _Buffer table
    cdef uint64_t[2] random_key
    cdef uint64_t random_count

    def __cinit__(self):
        self.room = 16
        self.items = <Item *>malloc(self.room * sizeof(Item))
        if self.items == NULL:
            raise MemoryError()
        self.count = 0
        self.out = _Buffer()
        self.table = _Buffer()
        self.random_key[0], self.random_key[1] = struct.unpack("<QQ", os.urandom(16))
        self.random_count = 0

    def __dealloc__(self):
        free(self.items)

    def parse(self, bytes body not None, bint batch, Py_ssize_t most=2500):
        """Find the events of `body`: of its `batch` list, or itself as the one event.

        Of a longer batch only the first `most` events are kept, the others are checked and counted.
        Returns the write key that stands in it, as bytes, or None. Raises `InvalidBody`.
        """
        self.most = most
        self._scan(body, batch)
        if self.s.lone_surrogate:
            self._scan(mend_surrogates(body), batch)
        cdef Slice key = self.write_key
        if not is_text(key) and self.count:
            key = self.items[0].write_key
        if not is_text(key):
            return None
        if memchr(key.p, b'\\', key.n) != NULL:
            text = PyBytes_FromStringAndSize(<const char *>key.p, key.n)
            return json.loads(text).encode()
        return PyBytes_FromStringAndSize(<const char *>key.p + 1, key.n - 2)

    @property
    def events(self):
        """How many events the last body has."""
        return self.found

    cdef int _scan(self, bytes body, bint batch) except -1:
        cdef cursor start = <cursor>PyBytes_AS_STRING(body)
        cdef cursor p
        self.body = body
        self.single = not batch
        self.count = 0
        self.found = 0
        memset(&self.s, 0, sizeof(scanner))
        self.s.end = start + len(body)
        self.s.max_depth = HARD_DEPTH
        memset(&self.sent_at, 0, sizeof(Slice))
        memset(&self.write_key, 0, sizeof(Slice))
        self._clear(&self.context)
        self._clear(&self.integrations)
        p = scan_space(start)
        if p == self.s.end:
            raise InvalidBody("invalid_json", "the body is empty")
        if p[0] != b'{':
            raise InvalidBody("invalid_json", "the body has to be a JSON object")
        if batch:
            p = self._scan_batch(p)
        else:
            p = self._scan_event(p, 0)
        if p != NULL:
            p = scan_space(p)
            if p != self.s.end:
                self.s.at, self.s.error = p, SCAN_SYNTAX
                p = NULL
        if p == NULL:
            self._raise(self.s.at - start)
        return 0

    cdef void _clear(self, Shared *shared) noexcept:
        # Members are written before they are read.
        shared.value.n = 0
        shared.used = shared.deepest = shared.infinite = 0

    cdef int _raise(self, ptrdiff_t position) except -1:
        if self.s.error == SCAN_DEEP:
            raise InvalidBody("too_deep", "the body is nested deeper than %d" % HARD_DEPTH)
        what = "is not UTF-8" if self.s.error == SCAN_UTF8 else "is not valid JSON"
        raise InvalidBody("invalid_json", "the body %s at byte %d" % (what, position))

    cdef cursor _scan_batch(self, cursor p) except? NULL:
        """The members of a batch request; p is at its `{`."""
        cdef cursor key
        cdef cursor value
        cdef ptrdiff_t length
        cdef bint found = False
        cdef Slice whole
        p = scan_space(p + 1)
        while p[0] != b'}':
            value = scan_key(&self.s, p, &key, &length)
            if value == NULL:
                return NULL
            plain_key(&key, &length)
            if same(key, length, b"batch", 5):
                if value[0] != b'[':
                    raise InvalidBody("invalid_batch", "batch has to be a list", "batch")
                found = True
                self.count = 0
                self.found = 0
                p = self._scan_items(value)
            else:
                self.s.deepest = self.s.infinite = 0
                p = scan_value(&self.s, value, 1)
            if p == NULL:
                return NULL
            whole.p, whole.n = value, p - value
            if same(key, length, b"context", 7):
                self._share(&self.context, whole)
            elif same(key, length, b"integrations", 12):
                self._share(&self.integrations, whole)
            elif same(key, length, b"sentAt", 6):
                # It goes into every event: nothing that a judge of the event would refuse.
                if not is_text(whole) and (not is_number(whole) or self.s.infinite):
                    whole.n = 0
                self.sent_at = whole
            elif same(key, length, b"writeKey", 8):
                self.write_key = whole
            p = scan_space(p)
            if p[0] == b'}':
                break
            if p[0] != b',':
                self.s.at, self.s.error = p, SCAN_SYNTAX
                return NULL
            p = scan_space(p + 1)
            if p[0] == b'}':
                self.s.at, self.s.error = p, SCAN_SYNTAX
                return NULL
        if not found:
            raise InvalidBody("invalid_batch", "batch is required: a list of events", "batch")
        self._open(&self.context)
        self._open(&self.integrations)
        if self.count * (self.context.value.n + self.integrations.value.n) > MERGED_BYTES:
            raise InvalidBody("invalid_batch", "the batch's own context and integrations, merged "
                              "into every event, make more than %d bytes" % MERGED_BYTES, "context")
        return p + 1

    cdef void _share(self, Shared *shared, Slice value) noexcept:
        """Note what is merged into every event, and what the scan of it found; the last wins."""
        self._clear(shared)
        if value.p[0] == b'{':
            shared.value = value
            shared.deepest, shared.infinite = self.s.deepest, self.s.infinite

    cdef int _open(self, Shared *shared) except -1:
        """Find the members of an object that is merged into every event."""
        cdef cursor p
        cdef cursor key
        cdef cursor value
        cdef ptrdiff_t length = 0
        if shared.value.n == 0:
            return 0
        p = scan_space(shared.value.p + 1)
        while p[0] == b'"':
            if shared.used == MAX_SHARED:
                raise InvalidBody("invalid_batch", "the batch's own context or integrations "
                                  "has more than %d members" % MAX_SHARED, "context")
            value = scan_key(&self.s, p, &key, &length)
            shared.members[shared.used].key.p = key
            shared.members[shared.used].key.n = length
            shared.members[shared.used].whole.p = p
            p = scan_value(&self.s, value, 0)
            shared.members[shared.used].whole.n = p - shared.members[shared.used].whole.p
            shared.used += 1
            p = scan_space(p)
            if p[0] == b',':
                p = scan_space(p + 1)
        return 0

    cdef cursor _scan_items(self, cursor p) except? NULL:
        """The list of events; p is at its `[`."""
        p = scan_space(p + 1)
        if p[0] == b']':
            return p + 1
        while True:
            p = self._scan_event(p, 2)
            if p == NULL:
                return NULL
            p = scan_space(p)
            if p[0] == b']':
                return p + 1
            if p[0] != b',':
                self.s.at, self.s.error = p, SCAN_SYNTAX
                return NULL
            p = scan_space(p + 1)

    cdef cursor _scan_event(self, cursor p, int depth) except? NULL:
        """One event, its members noted in the next `Item` while there is one."""
        self.found += 1
        if not self.single and self.count >= self.most:
            return scan_value(&self.s, p, depth)
        if self.count == self.room:
            grown = <Item *>realloc(self.items, 2 * self.room * sizeof(Item))
            if grown == NULL:
                raise MemoryError()
            self.items = grown
            self.room *= 2
        cdef Item *item = &self.items[self.count]
        # Runs are written before they are read: only what stands before them is cleared.
        memset(item, 0, <size_t>(<char *>&item.runs[0] - <char *>item))
        item.context_at = item.integrations_at = -1
        item.raw.p = p
        self.s.deepest = depth
        self.s.infinite = 0
        if p[0] == b'{':
            p = self._scan_members(item, p, depth + 1)
        else:
            item.fault = NOT_OBJECT
            p = scan_value(&self.s, p, depth)
        if p == NULL:
            return NULL
        item.raw.n = p - item.raw.p
        item.deepest = self.s.deepest - depth
        item.infinite = self.s.infinite
        self.count += 1
        return p

    cdef cursor _scan_members(self, Item *item, cursor p, int depth) noexcept:
        cdef cursor key
        cdef cursor value
        cdef cursor start
        cdef ptrdiff_t length
        cdef Slice whole
        cdef bint joined = False
        if depth > self.s.deepest:
            self.s.deepest = depth
        p = scan_space(p + 1)
        if p[0] == b'}':
            return p + 1
        while True:
            start = p
            value = scan_key(&self.s, p, &key, &length)
            if value == NULL:
                return NULL
            plain_key(&key, &length)
            if value[0] == b'{' and same(key, length, b"context", 7):
                p = self._scan_context(item, value, depth + 1)
            else:
                p = scan_value(&self.s, value, depth)
            if p == NULL:
                return NULL
            whole.p, whole.n = value, p - value
            joined = self._note(item, key, length, whole, start, p, joined)
            p = scan_space(p)
            if p[0] == b'}':
                return p + 1
            if p[0] != b',':
                self.s.at, self.s.error = p, SCAN_SYNTAX
                return NULL
            p = scan_space(p + 1)

    cdef cursor _scan_context(self, Item *item, cursor p, int depth) noexcept:
        """The context, noting what decides about its `ip`."""
        cdef cursor key
        cdef cursor value
        cdef ptrdiff_t length
        item.has_ip = item.direct = False
        item.library.n = 0
        if depth > self.s.deepest:
            self.s.deepest = depth
        p = scan_space(p + 1)
        if p[0] == b'}':
            return p + 1
        while True:
            value = scan_key(&self.s, p, &key, &length)
            if value == NULL:
                return NULL
            p = scan_value(&self.s, value, depth)
            if p == NULL:
                return NULL
            if same(key, length, b"ip", 2):
                item.has_ip = True
            elif same(key, length, b"library", 7):
                item.library.p, item.library.n = value, p - value
            elif same(key, length, b"direct", 6):
                item.direct = value[0] == b't'
            p = scan_space(p)
            if p[0] == b'}':
                return p + 1
            if p[0] != b',':
                self.s.at, self.s.error = p, SCAN_SYNTAX
                return NULL
            p = scan_space(p + 1)

    cdef bint _note(self, Item *item, cursor key, ptrdiff_t length, Slice value,
                    cursor start, cursor end, bint joined) noexcept:
        """Remember a member; True if it became part of a run of kept bytes."""
        cdef Slice *place = NULL
        cdef bint keep = True
        if length == 2 or length > 17:
            pass
        elif same(key, length, b"messageId", 9):
            place, keep = &item.message_id, False
        elif same(key, length, b"type", 4):
            place, keep = &item.type, False
        elif same(key, length, b"timestamp", 9):
            place, keep = &item.timestamp, False
        elif same(key, length, b"context", 7):
            if value.p[0] != b'{':
                item.has_ip = item.direct = False
                item.library.n = 0
            return self._note_part(item, &item.context, &item.context_at, CONTEXT, value, start, end)
        elif same(key, length, b"integrations", 12):
            return self._note_part(
                item, &item.integrations, &item.integrations_at, INTEGRATIONS, value, start, end)
        elif same(key, length, b"userId", 6):
            place, keep = &item.user_id, not is_number(value)
        elif same(key, length, b"anonymousId", 11):
            place, keep = &item.anonymous_id, not is_number(value)
        elif same(key, length, b"event", 5):
            place = &item.event
        elif same(key, length, b"sentAt", 6):
            place, keep = &item.sent_at, False
        elif same(key, length, b"originalTimestamp", 17):
            place, keep = &item.original, False
        elif same(key, length, b"receivedAt", 10) or same(key, length, b"projectId", 9):
            keep = False
        elif same(key, length, b"writeKey", 8):
            place, keep = &item.write_key, False
        elif same(key, length, b"groupId", 7):
            place, keep = &item.group_id, not is_number(value)
        elif same(key, length, b"previousId", 10):
            place, keep = &item.previous_id, not is_number(value)
        if place != NULL:
            place[0] = value
        if not keep:
            return False
        if joined:
            item.runs[item.runs_used - 1].n = end - item.runs[item.runs_used - 1].p
        else:
            self._add_run(item, BYTES, start, end)
        return True

    cdef bint _note_part(self, Item *item, Slice *place, int *at, Part part, Slice value,
                         cursor start, cursor end) noexcept:
        """A member that may have to be changed: a run of its own, the last of its name only."""
        if at[0] >= 0:
            item.runs[at[0]].part = GONE
        place[0] = value
        at[0] = item.runs_used
        self._add_run(item, part, start, end)
        return False

    cdef void _add_run(self, Item *item, Part part, cursor start, cursor end) noexcept:
        if item.runs_used == MAX_RUNS:
            item.fault = TOO_MANY_MEMBERS
            item.runs_used -= 1
        item.runs[item.runs_used].p = start
        item.runs[item.runs_used].n = end - start
        item.runs[item.runs_used].part = part
        item.runs_used += 1

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
        out.put(_TYPES[kind], length_of(_TYPES[kind]))
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


cdef ptrdiff_t characters(Slice s) noexcept nogil:
    """Characters of a JSON string, or digits of a number; 0 of anything else."""
    cdef ptrdiff_t count = 0
    cdef cursor p = s.p + 1
    cdef int unit
    if not is_text(s):
        return s.n if is_number(s) else 0
    while p < s.p + s.n - 1:
        if p[0] != b'\\':
            count += (p[0] & 0xC0) != 0x80
            p += 1
        elif p[1] != b'u':
            count += 1
            p += 2
        else:
            unit = scan_hex4(p + 2)
            count += not 0xDC00 <= unit <= 0xDFFF
            p += 6
    return count


def parse_time(bytes text not None):
    """Milliseconds since 1970 of an ISO time or an epoch number, or None."""
    cdef int64_t ms = instant_parse(<cursor>PyBytes_AS_STRING(text), len(text))
    return None if ms == INSTANT_NONE else ms


def format_time(int64_t ms):
    """`2026-11-24T05:22:51.142Z`"""
    cdef unsigned char[STAMP_BYTES] out
    instant_format(ms, out)
    return out[:STAMP_BYTES].decode()


_ESCAPE = re.compile(rb"\\u([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})"
                     rb"|\\u[Dd][89A-Fa-f][0-9A-Fa-f]{2}|\\.", re.DOTALL)


def mend_surrogates(bytes body not None):
    """`body` with every lone surrogate escape replaced by that of U+FFFD, which has its length."""
    def replace(match):
        text = match[0]
        return text if match[1] or len(text) == 2 else b"\\ufffd"

    return _ESCAPE.sub(replace, body)
