"""Rows on their way to a destination, and what is done with many of them at once."""

cimport cython
from libc.stdint cimport int64_t
from libc.string cimport memcpy

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE

from router._fast.events cimport Event

from array import array

DEF FLAG_INTEGRATIONS = 1


# Neither it nor what it holds can be part of a cycle; thousands of them are alive under load.
@cython.no_gc
cdef class Row:
    """One event mapped for one action, and what its delivery has to remember of it.

    Rows of a batch share `action` and `key`; what stands below `body` is the delivery's alone.
    """

    cdef public Event event
    cdef public int action
    cdef public str key
    cdef public bytes body
    cdef public int part
    cdef public int attempts
    cdef public int64_t first_ms
    cdef public bytes stored
    cdef public bytes user

    def __init__(self, Event event not None, int action, str key not None, bytes body not None,
                 int part=0, int attempts=0, int64_t first_ms=0, bytes stored not None=b"",
                 bytes user not None=b""):
        self.event, self.action, self.key, self.body = event, action, key, body
        self.part, self.attempts, self.first_ms = part, attempts, first_ms
        self.stored, self.user = stored, user

    def __repr__(self):
        return f"Row({self.event.offset}, {self.action}, {self.key!r}, {self.body!r})"


def plain_rows(list events not None, int action, list bodies=None):
    """A row of `action` for each event, with its body or else its own bytes; None where an event
    says something about integrations, or a body is None."""
    cdef Py_ssize_t i, count = PyList_GET_SIZE(events)
    cdef list rows = []
    cdef Event event
    cdef Row row
    if bodies is not None and PyList_GET_SIZE(bodies) != count:
        raise ValueError("there have to be as many bodies as events")
    for i in range(count):
        event = events[i]
        if event.flags & FLAG_INTEGRATIONS:
            return None
        row = Row.__new__(Row)
        row.event, row.action, row.key, row.stored, row.user = event, action, "", b"", b""
        row.body = event.raw if bodies is None else bodies[i]
        if row.body is None:
            return None
        rows.append(row)
    return rows


def fitting(list rows not None, Py_ssize_t start, Py_ssize_t most, int64_t room):
    """How many rows from `start` on, `most` of them, have at most `room` bytes together; and how
    many bytes those have."""
    cdef Py_ssize_t at = start, end = min(PyList_GET_SIZE(rows), start + most)
    cdef int64_t size, total = 0
    while at < end:
        size = PyBytes_GET_SIZE((<Row?>rows[at]).body)
        if total + size > room:
            break
        total += size
        at += 1
    return at - start, total


def settle_plain(list rows not None, bytearray left not None, int64_t base):
    """One row less to settle for each row's event in `left`, whose first byte is the event at
    `base`. Returns the offsets, and how many were received when; None, with nothing done, where a
    row waited in the store or keeps an order."""
    cdef Py_ssize_t i, count = PyList_GET_SIZE(rows)
    cdef int64_t place, size = PyByteArray_GET_SIZE(left), last = -1
    cdef unsigned char *bytes_left = <unsigned char *>PyByteArray_AS_STRING(left)
    cdef dict received = {}
    cdef Py_ssize_t same = 0
    cdef Row row
    offsets = array("q", bytes(8 * count))
    cdef int64_t[::1] numbers = offsets
    for i in range(count):
        row = <Row?>rows[i]
        if PyBytes_GET_SIZE(row.stored) or PyBytes_GET_SIZE(row.user):
            return None
    for i in range(count):
        row = <Row>PyList_GET_ITEM(rows, i)
        place = row.event.offset - base
        if place < 0 or place >= size or bytes_left[place] == 0:
            raise ValueError(f"the event at {row.event.offset} is settled or was not taken")
        bytes_left[place] -= 1
        numbers[i] = row.event.offset
        if row.event.time_ms != last:
            if same:
                received[last] = received.get(last, 0) + same
            last, same = row.event.time_ms, 0
        same += 1
    if same:
        received[last] = received.get(last, 0) + same
    return offsets, received


def first_unsettled(bytearray left not None, Py_ssize_t index):
    """The place of the first byte from `index` on that is not 0, or the length."""
    cdef Py_ssize_t size = PyByteArray_GET_SIZE(left)
    cdef const char *bytes_left = PyByteArray_AS_STRING(left)
    while index < size and bytes_left[index] == 0:
        index += 1
    return index


def joined(list bodies not None, bytes before not None, bytes between not None,
           bytes after not None):
    """`before`, the bodies (or the rows') with `between` between them, and `after`, copied once."""
    cdef Py_ssize_t i, count = PyList_GET_SIZE(bodies)
    cdef Py_ssize_t gap = PyBytes_GET_SIZE(between)
    cdef Py_ssize_t total = PyBytes_GET_SIZE(before) + PyBytes_GET_SIZE(after)
    for i in range(count):
        total += PyBytes_GET_SIZE(_body_of(bodies[i]))
    total += gap * (count - 1) if count else 0
    whole = PyBytes_FromStringAndSize(NULL, total)
    cdef char *to = PyBytes_AS_STRING(whole)
    to = _put(to, before)
    for i in range(count):
        if i:
            to = _put(to, between)
        to = _put(to, _body_of(<object>PyList_GET_ITEM(bodies, i)))
    _put(to, after)
    return whole


cdef inline bytes _body_of(object body):
    if type(body) is Row:
        return (<Row>body).body
    return <bytes?>body


cdef inline char *_put(char *to, bytes part):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(part)
    memcpy(to, PyBytes_AS_STRING(part), size)
    return to + size
