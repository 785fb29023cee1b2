"""The first half of an envelope: where a body's events begin and end, and what their members are."""

from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memset

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

from router._fast.envelope_slices cimport Slice, cursor, is_number, is_text, same

import json
import re


cdef extern from "scan.h" nogil:
    enum: SCAN_SYNTAX, SCAN_UTF8, SCAN_DEEP


DEF MAX_RUNS = 24
DEF MAX_SHARED = 64
DEF HARD_DEPTH = 1024
DEF MERGED_BYTES = 8388608

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


cdef void plain_key(cursor *key, ptrdiff_t *length) noexcept:
    """Let a key that is one of ours, written with escapes, stand for what it means."""
    if length[0] > 128 or memchr(key[0], b'\\', length[0]) == NULL:
        return
    raw = PyBytes_FromStringAndSize(<const char *>key[0], length[0])
    text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)).encode("utf-8", "replace"), raw)
    found = _BY_NAME.get(text)
    if found is not None:
        key[0], length[0] = <cursor>PyBytes_AS_STRING(found), len(found)


cdef class Body:
    """Parses one body after another. Results of `parse` hold until the next; not for threads."""

    def __cinit__(self):
        self.room = 16
        self.items = <Item *>malloc(self.room * sizeof(Item))
        if self.items == NULL:
            raise MemoryError()

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


_ESCAPE = re.compile(rb"\\u([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})"
                     rb"|\\u[Dd][89A-Fa-f][0-9A-Fa-f]{2}|\\.", re.DOTALL)


def mend_surrogates(bytes body not None):
    """`body` with every lone surrogate escape replaced by that of U+FFFD, which has its length."""
    def replace(match):
        text = match[0]
        return text if match[1] or len(text) == 2 else b"\\ufffd"

    return _ESCAPE.sub(replace, body)
