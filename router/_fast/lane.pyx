"""The usual request's way: from the socket into the log's queue, and its answer back, with no Python
code in between.

The lane takes what is plainly fine: a POST in one piece to a path of the tracking API, with a known
write key. Whatever is not (compressed, refused, no room in the log, duplicates alone) is left to
router/edge as if it had never been looked at; the rules are the same, for both ask the same envelope.
"""

from libc.stdint cimport int64_t

from cpython.bytes cimport PyBytes_GET_SIZE

from router._fast.frames cimport Queue, Waiter
from router._fast.http cimport Head, bytes_of, scan_head

from router._fast.envelope import InvalidBody


cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_REALTIME
    int clock_gettime(int clock, timespec *now)


cdef class Tally:
    """A source as the lane knows it, and what was counted since it was last asked."""

    cdef public bytes name
    cdef public int client
    cdef public bint enabled
    cdef public int64_t accepted
    cdef public int64_t duplicates


cdef class Slot(Waiter):
    """A request whose answer may still be coming. `data` is its answer, once it can be sent."""

    cdef readonly Line line
    cdef public bytes data
    cdef readonly bytes origin
    cdef public bint keep_alive
    cdef readonly str version
    cdef Tally tally
    cdef bytes block
    cdef object answer
    cdef int64_t accepted
    cdef int64_t duplicates

    def __init__(self, Line line not None, bytes origin not None, bint keep_alive, str version):
        self.line, self.origin = line, origin
        self.keep_alive, self.version = keep_alive, version

    def respond(self, response):
        self.line.answered(self, response)

    cdef int durable(self, int64_t offset, object error) except -1:
        cdef Lane lane = self.line.lane
        if error is not None:
            lane.seen.discard_block(self.block)
            self.line.answered(self, lane.overload(error))
            return 0
        self.tally.accepted += self.accepted
        self.tally.duplicates += self.duplicates
        if self.answer is None and not self.origin:
            self.data = lane.success
            lane.answered += 1
            self.line.flush(self)
        else:
            self.line.answered(self, lane.usual_answer if self.answer is None else self.answer)
        return 0


cdef class Line:
    """What a connection and the lane share. A subclass has `receive`, `answered`, `send_answers` and
    `full`; `idle` is true while nothing of a request is half read and more are welcome."""

    cdef readonly Lane lane
    cdef public object transport
    cdef public object slots
    cdef public bytes peer
    cdef public bint idle
    cdef public bint last
    cdef public double since

    def __init__(self, Lane lane not None, slots):
        self.lane, self.slots = lane, slots
        self.peer = b""
        self.idle = True

    def data_received(self, bytes data):
        if not (self.idle and self.lane.open and self.lane.take(data, self)):
            self.receive(data)

    cdef int flush(self, Slot slot) except -1:
        """Write the answer if it is the only one owed; else leave it to `send_answers`."""
        if len(self.slots) == 1 and self.slots[0] is slot and not self.last:
            if not self.transport.is_closing():
                self.slots.clear()
                self.transport.write(slot.data)
        else:
            self.send_answers()
        return 0


cdef class Lane:
    """One for all connections of an edge. `intake` is asked what it does not know itself: for
    `keep_rejected` (the answer to a request some of whose events were refused) and `overload`."""

    cdef object envelope
    cdef object seen
    cdef Queue queue
    cdef object intake
    cdef object usual_answer
    cdef dict routes
    cdef dict sources
    cdef dict by_header
    cdef object key_of_header
    cdef object limits
    cdef Py_ssize_t header_bytes
    cdef Py_ssize_t body_bytes
    cdef Py_ssize_t batch_events
    cdef bint proxied
    cdef public bint open
    cdef public bytes success
    cdef public double now
    cdef public int64_t answered
    cdef public int64_t received
    cdef public int64_t retried

    def __init__(self, envelope, seen, Queue queue not None, intake, usual_answer, dict routes,
                 key_of_header):
        """`routes`: target: (is it a batch, call type); `key_of_header`: of an Authorization."""
        self.envelope, self.seen, self.queue, self.intake = envelope, seen, queue, intake
        self.usual_answer, self.routes, self.key_of_header = usual_answer, routes, key_of_header
        self.sources, self.by_header = {}, {}

    def configure(self, dict sources not None, limits, bint proxied):
        """Take up sources by write key, and limits. `proxied`: forwarded addresses are trusted."""
        self.sources, self.by_header = sources, {}
        self.limits = (limits.event_bytes, limits.depth, limits.message_id_chars)
        self.header_bytes, self.body_bytes = limits.header_bytes, limits.body_bytes
        self.batch_events = limits.batch_events
        self.proxied = proxied
        self.open = True

    cdef overload(self, error):
        return self.intake.overload(error)

    cdef Tally source_of(self, object key, Head *head):
        """The source by the key in the body, else by the Authorization header; None without one."""
        cdef Tally found
        if key:
            found = self.sources.get(key)
        elif head.authorization.p == NULL:
            return None
        else:
            header = bytes_of(head.authorization)
            found = self.by_header.get(header)
            if found is None:
                found = self.sources.get(self.key_of_header(header))
                if found is not None and len(self.by_header) < 4096:
                    self.by_header[header] = found
        return found if found is not None and found.enabled else None

    cdef bint take(self, bytes data, Line line) except -1:
        """Take the request if all is usual; False, with nothing done, if it is not."""
        cdef Head head
        cdef Tally source
        cdef bytes body
        cdef bint batch
        if not scan_head(data, self.header_bytes, self.body_bytes, &head):
            return False
        if head.encoding.p != NULL or (self.proxied and head.forwarded.p != NULL):
            return False
        route = self.routes.get(bytes_of(head.target))
        if route is None:
            return False
        body = bytes_of(head.body)
        batch = route[0]
        try:
            key = self.envelope.parse(body, batch, self.batch_events)
        except InvalidBody:
            return False
        source = self.source_of(key, &head)
        if source is None or (batch and self.envelope.events > self.batch_events):
            return False
        if not self.accept(source, batch, route[1], line, &head):
            return False
        self.received += PyBytes_GET_SIZE(body)
        self.retried += head.retry_count.n > 0 and not (
            head.retry_count.n == 1 and head.retry_count.p[0] == b'0')
        return True

    cdef bint accept(self, Tally source, bint batch, object kind, Line line, Head *head) except -1:
        cdef timespec now
        cdef Slot slot
        clock_gettime(CLOCK_REALTIME, &now)
        cdef int64_t now_ms = now.tv_sec * 1000 + now.tv_nsec // 1000000
        block, count, duplicates, rejections = self.envelope.accept(
            source.name, now_ms, self.seen, kind, line.peer, source.client, *self.limits)
        if block is None:
            return False
        slot = Slot.__new__(Slot)
        slot.line, slot.tally, slot.block = line, source, block
        slot.origin = b"" if head.origin.p == NULL else bytes_of(head.origin)
        slot.keep_alive, slot.version = True, "1.1"
        slot.accepted, slot.duplicates = count, duplicates
        if not self.queue.put(block, count, now_ms, slot):
            self.seen.discard_block(block)
            return False
        if rejections:
            slot.answer = self.intake.keep_rejected(source, line.peer.decode(), batch, rejections)
        line.since = self.now
        line.slots.append(slot)
        if len(line.slots) >= 64:
            line.full()
        return True
