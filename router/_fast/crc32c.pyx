"""CRC-32C of bytes: what guards every frame of the log."""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t


cdef extern from "crc32c.h" nogil:
    void crc32c_fill_table()
    uint32_t crc32c_portable(uint32_t crc, const unsigned char *data, size_t length)
    uint32_t crc32c_hardware(uint32_t crc, const unsigned char *data, size_t length)
    int crc32c_has_hardware()


crc32c_fill_table()
cdef bint _hardware = crc32c_has_hardware() != 0

HARDWARE = bool(_hardware)


def crc32c(const unsigned char[::1] data not None, uint32_t value=0):
    """CRC-32C of `data`, going on from `value`."""
    cdef size_t length = data.shape[0]
    if length == 0:
        return value
    if _hardware:
        return crc32c_hardware(value, &data[0], length)
    return crc32c_portable(value, &data[0], length)


def portable(const unsigned char[::1] data not None, uint32_t value=0):
    """The same by table, whatever the CPU has: tests compare the two."""
    cdef size_t length = data.shape[0]
    if length == 0:
        return value
    return crc32c_portable(value, &data[0], length)
