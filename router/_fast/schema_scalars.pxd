"""What judges values that hold no others, and what all judging needs: kinds, equality, limits."""

from libc.stdint cimport int64_t

from router._fast.document cimport Document, doc_node
from router._fast.patterns cimport Pattern


cdef enum Kind:
    NULL_KIND = 1
    BOOLEAN = 2
    INTEGER = 4
    FLOAT = 8
    TEXT = 16
    LIST = 32
    OBJECT = 64
    OTHER = 128
    ANY = 255


cdef class Choice:
    """enum or const."""

    cdef str keyword
    cdef list values
    cdef frozenset texts
    cdef tuple encoded
    cdef frozenset rest

    cdef bint ok(self, object value, int depth) except -1
    cdef bint ok_doc(self, Document document, const doc_node *node) except -1


cdef class Format:
    cdef str name
    cdef int code
    cdef Pattern pattern
    cdef object check

    cdef bint ok(self, str text) except -1
    cdef bint ok_utf8(self, const unsigned char *p, Py_ssize_t n) except -1


cdef class Text:
    cdef Py_ssize_t least
    cdef Py_ssize_t most
    cdef Pattern pattern
    cdef Format format
    cdef bint base64
    cdef bint json

    cdef bint ok(self, str text) except -1
    cdef bint ok_doc(self, Document document, const doc_node *node) except -1
    cdef bint content_ok(self, str text) except -1


cdef class Number:
    cdef object low
    cdef object high
    cdef object above
    cdef object below
    cdef double[4] limits
    cdef bint exact
    cdef object multiple
    cdef object fraction
    cdef int64_t mantissa
    cdef int decimals

    cdef bint ok(self, object value) except -1
    cdef bint ok_doc(self, Document document, const doc_node *node) except -1
    cdef bint within(self, double value)
    cdef bint multiple_ok(self, object value) except -1


cdef int kind_of(object value) except -1
cdef bint fits(int kinds, int kind, object value) except -1
cdef object key_of(object value, int depth)
cdef bint all_different(list items, int depth) except -1
cdef int spend(int depth) except -1
cdef int start() except -1
cdef bint whole_number(double value) noexcept
