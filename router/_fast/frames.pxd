"""Blocks on their way into the log."""

from libc.stdint cimport int64_t


cdef class Waiter:
    """Somebody who waits for a block to be durable, told without a call into Python."""

    cdef int durable(self, int64_t offset, object error) except -1


cdef class Record:
    cdef readonly int64_t offset
    cdef readonly int64_t count
    cdef readonly int64_t time_ms
    cdef readonly bytes payload
    cdef public list events
    cdef object done


cdef class Queue:
    cdef public list waiting
    cdef public int64_t room
    cdef readonly int64_t bytes
    cdef object first

    cpdef bint put(self, bytes block, int64_t count, int64_t time_ms, object done) except -1
