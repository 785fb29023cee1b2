from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t


cdef extern from "patterns.h":
    ctypedef struct pattern_step:
        int32_t op
        int32_t x
        int32_t y
    ctypedef struct pattern:
        pattern_step *steps
        int32_t count
        int32_t start
        uint32_t *ranges
        int32_t *set_at
        uint32_t *bounds
        uint16_t *classes
        int32_t intervals
        uint32_t *samples
        int32_t width
        uint16_t[256] low
        int32_t *marks
        int32_t *stack
        int32_t *closed
        int32_t *found


cdef class Pattern:
    cdef pattern automaton
    cdef bytes prefix
    cdef bint literal
    cdef readonly str text

    cdef bint search_utf8(self, const unsigned char *p, Py_ssize_t n) except -1
    cdef bint search_text(self, str text) except -1
    cdef int search_narrow(self, const uint8_t *p, Py_ssize_t n)
