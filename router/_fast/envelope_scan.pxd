"""A body's events and their members, found in one scan."""

cimport cython
from libc.stddef cimport ptrdiff_t

from router._fast.envelope_slices cimport Slice, cursor


cdef extern from "scan.h" nogil:
    ctypedef struct scanner:
        cursor end
        cursor at
        int error
        int max_depth
        int deepest
        int lone_surrogate
        int infinite
    cursor scan_space(cursor p)
    cursor scan_value(scanner *s, cursor p, int depth)
    cursor scan_key(scanner *s, cursor p, cursor *key, ptrdiff_t *length)


DEF MAX_RUNS = 24
DEF MAX_SHARED = 64

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


cdef class Body:
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

    @cython.final
    cdef int _scan(self, bytes body, bint batch) except -1
    @cython.final
    cdef void _clear(self, Shared *shared) noexcept
    @cython.final
    cdef int _raise(self, ptrdiff_t position) except -1
    @cython.final
    cdef cursor _scan_batch(self, cursor p) except? NULL
    @cython.final
    cdef void _share(self, Shared *shared, Slice value) noexcept
    @cython.final
    cdef int _open(self, Shared *shared) except -1
    @cython.final
    cdef cursor _scan_items(self, cursor p) except? NULL
    @cython.final
    cdef cursor _scan_event(self, cursor p, int depth) except? NULL
    @cython.final
    cdef cursor _scan_members(self, Item *item, cursor p, int depth) noexcept
    @cython.final
    cdef cursor _scan_context(self, Item *item, cursor p, int depth) noexcept
    @cython.final
    cdef bint _note(self, Item *item, cursor key, ptrdiff_t length, Slice value,
                    cursor start, cursor end, bint joined) noexcept
    @cython.final
    cdef bint _note_part(self, Item *item, Slice *place, int *at, Part part, Slice value,
                         cursor start, cursor end) noexcept
    @cython.final
    cdef void _add_run(self, Item *item, Part part, cursor start, cursor end) noexcept
