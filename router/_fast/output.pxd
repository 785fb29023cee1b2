"""Bytes being written, in a buffer that grows."""

from router._fast.document cimport doc_node


cdef class Output:
    cdef unsigned char *data
    cdef size_t used
    cdef size_t room

    cdef int grow(self, size_t n) except -1
    cdef int put(self, const void *data, size_t n) except -1
    cdef int put_bytes(self, bytes data) except -1
    cdef int quote(self, const unsigned char *p, size_t n, bint escaped, bint plus) except -1
    cdef int quote_bytes(self, bytes data) except -1
    cdef bint quote_scalar(self, const doc_node *node) except -1
    cdef bytes taken(self)
