"""Values of a body where they lie, and what their bytes tell without decoding."""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t
from libc.string cimport memcmp


ctypedef const unsigned char *cursor

cdef enum Kind:
    TRACK, IDENTIFY, PAGE, SCREEN, GROUP, ALIAS

cdef struct Slice:
    cursor p
    ptrdiff_t n


cdef inline bint same(cursor key, ptrdiff_t length, const char *name, ptrdiff_t size) noexcept nogil:
    return length == size and memcmp(key, name, size) == 0


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


cdef int64_t instant_of(Slice s) noexcept nogil
cdef int kind_of(Slice s) noexcept nogil
cdef bint is_client(Slice library) noexcept nogil
cdef ptrdiff_t characters(Slice s) noexcept nogil
