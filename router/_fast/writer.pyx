"""Writes and syncs in a thread of its own that never holds the interpreter's lock."""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

import os


cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len

cdef extern from "writer.h" nogil:
    ctypedef struct writer:
        pass
    writer *writer_start(int notify)
    void writer_submit(writer *w, int fd, int64_t position, iovec *parts, size_t count)
    int writer_take(writer *w, int *failure, double *seconds)
    void writer_stop(writer *w)


cdef class Writer:
    """One job at a time. `fileno` becomes readable when it is done; `take` then tells how it went."""

    cdef writer *w
    cdef list held
    cdef readonly int fileno

    def __cinit__(self):
        self.fileno = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.w = writer_start(self.fileno)
        if self.w == NULL:
            os.close(self.fileno)
            raise MemoryError("the writer's thread cannot be started")

    def __dealloc__(self):
        if self.w != NULL:
            self.close()

    def submit(self, int fd, int64_t position, list buffers not None):
        """Begin to make `buffers` (bytes) durable at `position` of `fd`."""
        cdef size_t count = len(buffers), i
        cdef bytes part
        if self.w == NULL or self.held is not None:
            raise RuntimeError("the writer is closed, or has a job")
        cdef iovec *parts = <iovec *>malloc((count or 1) * sizeof(iovec))
        if parts == NULL:
            raise MemoryError()
        for i in range(count):
            part = buffers[i]
            parts[i].iov_base = PyBytes_AS_STRING(part)
            parts[i].iov_len = PyBytes_GET_SIZE(part)
        self.held = buffers
        writer_submit(self.w, fd, position, parts, count)

    def take(self):
        """(errno or 0, seconds it took) of the job that is done; None while none is."""
        cdef int failure = 0
        cdef double seconds = 0
        if self.w == NULL:
            return None
        try:
            os.eventfd_read(self.fileno)
        except BlockingIOError:
            pass
        if not writer_take(self.w, &failure, &seconds):
            return None
        self.held = None
        return failure, seconds

    def close(self):
        """Let a job under way finish, and end the thread."""
        cdef writer *w = self.w
        if w != NULL:
            self.w = NULL
            with nogil:
                writer_stop(w)
            os.close(self.fileno)
            self.held = None
