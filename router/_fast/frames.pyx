"""Blocks on their way into the log: queued, framed as a group, and told of once they are durable."""

cimport cython
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

import logging
from collections.abc import Callable

_log = logging.getLogger(__name__)


cdef extern from "crc32c.h" nogil:
    void crc32c_fill_table()
    uint32_t crc32c_portable(uint32_t crc, const unsigned char *data, size_t length)
    uint32_t crc32c_hardware(uint32_t crc, const unsigned char *data, size_t length)
    int crc32c_has_hardware()

DEF HEAD = 32

MAGIC = 0x314C5245
HEAD_BYTES = HEAD

cdef uint32_t _magic = MAGIC
crc32c_fill_table()
cdef bint _hardware = crc32c_has_hardware() != 0


cdef class Waiter:
    cdef int durable(self, int64_t offset, object error) except -1:
        return 0


Done = Callable[[int, Exception | None], None] | Waiter
"""Called with the offset of the first event and None, or -1 and why it is not durable."""


@cython.no_gc
cdef class Record:
    """A block as it is appended. `offset` is its first event's, `time_ms` that of receipt;
    `events` is for a reader to keep what it made of the block, for all who read it after him."""

    def __init__(self, int64_t offset, int64_t count, int64_t time_ms, bytes payload not None,
                 done=None):
        self.offset, self.count, self.time_ms = offset, count, time_ms
        self.payload, self.done = payload, done

    def __eq__(self, other):
        if not isinstance(other, Record):
            return NotImplemented
        cdef Record that = other
        return (self.offset, self.count, self.time_ms, self.payload) == (
            that.offset, that.count, that.time_ms, that.payload)

    def __repr__(self):
        return f"Record({self.offset}, {self.count}, {self.time_ms}, {len(self.payload)} bytes)"


cdef class Queue:
    """Records that wait for the disk. `bytes` counts theirs, heads included; `room` is how many
    more are taken without a question. `first` is called when one comes into the empty queue."""

    def __init__(self, first):
        self.waiting = []
        self.room = self.bytes = 0
        self.first = first

    cpdef bint put(self, bytes block, int64_t count, int64_t time_ms, object done) except -1:
        """Take a block; False, with nothing done, where there is no room for it."""
        cdef Record record
        cdef int64_t length = PyBytes_GET_SIZE(block) + HEAD
        if length > self.room:
            return False
        record = Record.__new__(Record)
        record.offset, record.count, record.time_ms = -1, count, time_ms
        record.payload, record.done = block, done
        self.room -= length
        self.bytes += length
        self.waiting.append(record)
        if len(self.waiting) == 1:
            self.first()
        return True

    def take(self):
        """All that waits, in order."""
        waiting, self.waiting, self.bytes = self.waiting, [], 0
        return waiting


def frame_group(list records not None, int64_t offset):
    """The buffers of a group (router/log/frame.py), the first event of which gets `offset`.

    Records without events (barriers) leave no bytes. Returns (buffers, offset after the group).
    """
    cdef Record record
    cdef list buffers = []
    cdef bytes head
    for record in records:
        if record.count:
            record.offset = offset
            head = PyBytes_FromStringAndSize(NULL, HEAD)
            write_head(<unsigned char *>PyBytes_AS_STRING(head), record)
            buffers.append(head)
            buffers.append(record.payload)
            offset += record.count
    return buffers, offset


cdef void write_head(unsigned char *head, Record record) noexcept:
    cdef uint32_t length = <uint32_t>PyBytes_GET_SIZE(record.payload)
    cdef uint32_t count = <uint32_t>record.count
    cdef const unsigned char *block = <const unsigned char *>PyBytes_AS_STRING(record.payload)
    cdef uint32_t crc
    memcpy(head, &_magic, 4)
    memcpy(head + 8, &length, 4)
    memcpy(head + 12, &count, 4)
    memcpy(head + 16, &record.offset, 8)
    memcpy(head + 24, &record.time_ms, 8)
    if _hardware:
        crc = crc32c_hardware(crc32c_hardware(0, head + 8, HEAD - 8), block, length)
    else:
        crc = crc32c_portable(crc32c_portable(0, head + 8, HEAD - 8), block, length)
    memcpy(head + 4, &crc, 4)


def tell(list records not None, error):
    """Tell those who wait for `records` that they are durable, or why not."""
    cdef Record record
    for record in records:
        done, record.done = record.done, None
        tell_one(done, record.offset if error is None else -1, error)


cdef int tell_one(object done, int64_t offset, object error) except -1:
    """One waiter's mistake is not the others' loss."""
    try:
        if isinstance(done, Waiter):
            (<Waiter>done).durable(offset, error)
        elif done is not None:
            done(offset, error)
    except Exception:
        _log.exception("an append could not be answered")
    return 0


def read_frames(bytes data not None, Py_ssize_t at, int64_t expected, int64_t limit,
                int64_t max_bytes):
    """Whole, good frames of `data` from `at` on, in order, about `max_bytes` of blocks: those whose
    offsets are at least what is expected after the one before, and under `limit`.

    Returns (records, where the next frame is to be, the offset that it has at least). It stops at
    anything else: a frame that is cut off or damaged, zeros, an older frame of a recycled file.
    """
    cdef const unsigned char *p = <const unsigned char *>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef uint32_t magic, crc, length, count
    cdef int64_t offset, time_ms, total = 0
    cdef Record record
    cdef list records = []
    while size - at >= HEAD and total < max_bytes:
        memcpy(&magic, p + at, 4)
        memcpy(&crc, p + at + 4, 4)
        memcpy(&length, p + at + 8, 4)
        memcpy(&count, p + at + 12, 4)
        memcpy(&offset, p + at + 16, 8)
        memcpy(&time_ms, p + at + 24, 8)
        if magic != _magic or count == 0 or offset < expected or offset >= limit:
            break
        if length > size - at - HEAD:
            break
        if crc != crc_of(p + at + 8, HEAD - 8 + <size_t>length):
            break
        record = Record.__new__(Record)
        record.offset, record.count, record.time_ms = offset, count, time_ms
        record.payload = PyBytes_FromStringAndSize(<const char *>p + at + HEAD, length)
        records.append(record)
        total += length
        expected = offset + count
        at += HEAD + <Py_ssize_t>length
    return records, at, expected


cdef uint32_t crc_of(const unsigned char *data, size_t length) noexcept nogil:
    if _hardware:
        return crc32c_hardware(0, data, length)
    return crc32c_portable(0, data, length)
