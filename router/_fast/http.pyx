"""The usual request of an SDK, read in one go: a POST whose bytes arrived together.

Whatever is not plainly that (no or two lengths, chunks, `Expect`, HTTP/1.0, a body still on its way,
anything odd) is left to llhttp, so that there is one parser to trust with the rest.
"""

from libc.string cimport memcmp, memset

from cpython.bytes cimport PyBytes_AS_STRING

DEF TOKEN = 1
DEF TEXT = 2

cdef unsigned char[256] _CLASS


cdef int classify() except -1:
    """RFC 9110: what a header's name, and its value, may hold."""
    cdef int byte
    for byte in range(256):
        _CLASS[byte] = TEXT if byte == 9 or (byte >= 32 and byte != 127) else 0
        if byte < 128 and (chr(byte).isalnum() or chr(byte) in "!#$%&'*+-.^_`|~"):
            _CLASS[byte] |= TOKEN
    return 0


classify()


cdef inline bint named(cursor p, Py_ssize_t length, const char *name, Py_ssize_t size) noexcept nogil:
    """Is the token, in any case, that lower-case name? Names are letters and hyphens."""
    cdef Py_ssize_t i
    if length != size:
        return False
    for i in range(size):
        if (p[i] | 0x20) != <unsigned char>name[i]:
            return False
    return True


cdef Py_ssize_t decimal(cursor p, Py_ssize_t length) noexcept nogil:
    """The number written there in at most 9 digits, or -1."""
    cdef Py_ssize_t i, value = 0
    if length < 1 or length > 9:
        return -1
    for i in range(length):
        if p[i] < 48 or p[i] > 57:
            return -1
        value = value * 10 + (p[i] - 48)
    return value


cdef bint unusual(cursor p, Py_ssize_t length) noexcept nogil:
    """Does the header change how a message is framed or answered?"""
    if length == 2:
        return named(p, length, b"te", 2)
    if length == 6:
        return named(p, length, b"expect", 6)
    if length == 7:
        return named(p, length, b"upgrade", 7) or named(p, length, b"trailer", 7)
    if length == 16:
        return named(p, length, b"proxy-connection", 16)
    if length == 17:
        return named(p, length, b"transfer-encoding", 17)
    return False


cdef bint keep(Slice *place, cursor p, Py_ssize_t n) noexcept nogil:
    """Note a header; False where it was there before."""
    if place.p != NULL:
        return False
    place.p, place.n = p, n
    return True


cdef int keep_header(Head *head, cursor name, Py_ssize_t size, cursor p, Py_ssize_t n) noexcept nogil:
    """Note a header that the edge reads: 0 where it was there before."""
    if size == 4:
        return keep(&head.host, p, n) if named(name, size, b"host", 4) else 1
    if size == 6:
        return keep(&head.origin, p, n) if named(name, size, b"origin", 6) else 1
    if size == 13:
        if named(name, size, b"authorization", 13):
            return keep(&head.authorization, p, n)
        return keep(&head.retry_count, p, n) if named(name, size, b"x-retry-count", 13) else 1
    if size == 15:
        return keep(&head.forwarded, p, n) if named(name, size, b"x-forwarded-for", 15) else 1
    if size == 16:
        return keep(&head.encoding, p, n) if named(name, size, b"content-encoding", 16) else 1
    if size == 17:
        return keep(&head.scheme, p, n) if named(name, size, b"x-forwarded-proto", 17) else 1
    return 1


cdef bint scan_head(bytes data, Py_ssize_t head_limit, Py_ssize_t body_limit, Head *head) noexcept:
    """Is `data` exactly one usual POST? Then `head` tells where its parts are."""
    cdef cursor start = <cursor>PyBytes_AS_STRING(data)
    cdef cursor end = start + len(data)
    cdef cursor p = start + 5
    cdef cursor name
    cdef cursor value
    cdef cursor stop
    cdef Py_ssize_t length = -1, size
    # Bytes end in a NUL, which is in no class: no loop below runs past it.
    if len(data) < 20 or memcmp(start, b"POST /", 6) != 0:
        return False
    while p[0] > 32 and p[0] < 127:
        p += 1
    if end - p < 13 or memcmp(p, b" HTTP/1.1\r\n", 11) != 0:
        return False
    memset(head, 0, sizeof(Head))
    head.target.p, head.target.n = start + 5, p - start - 5
    p += 11
    while p[0] != b'\r':
        name = p
        while _CLASS[p[0]] & TOKEN:
            p += 1
        size = p - name
        if size == 0 or p[0] != b':':
            return False
        p += 1
        while p[0] == b' ' or p[0] == b'\t':
            p += 1
        value = p
        while _CLASS[p[0]] & TEXT:
            p += 1
        if p[0] != b'\r' or p[1] != b'\n':
            return False
        stop = p
        p += 2
        while stop > value and ((stop - 1)[0] == b' ' or (stop - 1)[0] == b'\t'):
            stop -= 1
        if size == 14 and named(name, size, b"content-length", 14):
            if length >= 0:
                return False
            length = decimal(value, stop - value)
            if length < 0:
                return False
        elif size == 10 and named(name, size, b"connection", 10):
            if not named(value, stop - value, b"keep-alive", 10):
                return False
        elif unusual(name, size) or not keep_header(head, name, size, value, stop - value):
            return False
    if p[1] != b'\n':
        return False
    p += 2
    head.body.p, head.body.n = p, end - p
    return length >= 0 and length == end - p and length <= body_limit and p - start <= head_limit


cdef int put(dict headers, bytes name, Slice value) except -1:
    if value.p != NULL:
        headers[name] = bytes_of(value)
    return 0


def scan_request(bytes data not None, Py_ssize_t head_limit, Py_ssize_t body_limit):
    """(target, kept headers, body) if `data` is exactly one usual POST, else None.

    Kept headers are those of `router.edge.protocol`, in lower case. The connection is to be kept
    open after it.
    """
    cdef Head head
    cdef dict headers = {}
    if not scan_head(data, head_limit, body_limit, &head):
        return None
    put(headers, b"host", head.host)
    put(headers, b"origin", head.origin)
    put(headers, b"authorization", head.authorization)
    put(headers, b"x-retry-count", head.retry_count)
    put(headers, b"x-forwarded-for", head.forwarded)
    put(headers, b"x-forwarded-proto", head.scheme)
    put(headers, b"content-encoding", head.encoding)
    return bytes_of(head.target), headers, bytes_of(head.body)
