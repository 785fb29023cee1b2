from libc.stdint cimport int64_t

from router._fast.document cimport Document


cdef class Event:
    cdef readonly int64_t offset
    cdef readonly str source
    cdef public int kind
    cdef public int flags
    cdef readonly bytes raw
    cdef readonly int64_t time_ms
    cdef Document document
