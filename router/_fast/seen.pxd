from libc.stdint cimport uint16_t, uint32_t, uint64_t


cdef struct Slot:
    uint64_t low
    uint64_t high


cdef struct Table:
    Slot *slots
    uint32_t mask
    uint32_t used


cdef class Seen:
    cdef Table[256] tables
    cdef uint64_t[2] key
    cdef uint16_t window
    cdef Py_ssize_t count

    cdef void fingerprint(self, const unsigned char *source, Py_ssize_t source_len,
                          const unsigned char *message_id, Py_ssize_t id_len,
                          uint64_t *out) noexcept nogil
    cdef int check_add(self, const unsigned char *source, Py_ssize_t source_len,
                       const unsigned char *message_id, Py_ssize_t id_len,
                       unsigned int hour) except -1 nogil
    cdef int remove(self, const unsigned char *source, Py_ssize_t source_len,
                    const unsigned char *message_id, Py_ssize_t id_len) noexcept nogil
    cdef int insert(self, uint64_t low, uint64_t high, uint16_t tag) except -1 nogil
    cdef int grow(self, Table *table, uint16_t tag) except -1 nogil
    cdef bint alive(self, uint64_t high, uint16_t tag) noexcept nogil
