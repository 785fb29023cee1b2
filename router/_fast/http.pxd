"""A usual request's parts, where they lie."""

from cpython.bytes cimport PyBytes_FromStringAndSize

ctypedef const unsigned char *cursor


cdef struct Slice:
    cursor p
    Py_ssize_t n


cdef struct Head:
    Slice target
    Slice body
    Slice host
    Slice origin
    Slice authorization
    Slice retry_count
    Slice forwarded
    Slice scheme
    Slice encoding


cdef inline bytes bytes_of(Slice s):
    return PyBytes_FromStringAndSize(<const char *>s.p, s.n)


cdef bint scan_head(bytes data, Py_ssize_t head_limit, Py_ssize_t body_limit, Head *head) noexcept
