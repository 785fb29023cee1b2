"""The usual request of an SDK, read in one go: a POST whose bytes arrived together.

Whatever is not plainly that (no or two lengths, chunks, `Expect`, HTTP/1.0, a body still on its way,
anything odd) is left to llhttp, so that there is one parser to trust with the rest.
"""

from libc.string cimport memcmp

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

ctypedef const unsigned char *cursor

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


cdef object known_name(cursor p, Py_ssize_t length):
    """The name of a header that is kept, or None."""
    if length == 4:
        return b"host" if named(p, length, b"host", 4) else None
    if length == 6:
        return b"origin" if named(p, length, b"origin", 6) else None
    if length == 13:
        if named(p, length, b"authorization", 13):
            return b"authorization"
        return b"x-retry-count" if named(p, length, b"x-retry-count", 13) else None
    if length == 15:
        return b"x-forwarded-for" if named(p, length, b"x-forwarded-for", 15) else None
    if length == 16:
        return b"content-encoding" if named(p, length, b"content-encoding", 16) else None
    if length == 17:
        return b"x-forwarded-proto" if named(p, length, b"x-forwarded-proto", 17) else None
    return None


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


def scan_request(bytes data not None, Py_ssize_t head_limit, Py_ssize_t body_limit):
    """(target, kept headers, body) if `data` is exactly one usual POST, else None.

    Kept headers are those of `router.edge.protocol`, in lower case. The connection is to be kept
    open after it.
    """
    cdef cursor start = <cursor>PyBytes_AS_STRING(data)
    cdef cursor end = start + len(data)
    cdef cursor p = start + 5
    cdef cursor name
    cdef cursor value
    cdef cursor stop
    cdef Py_ssize_t length = -1, size
    # Bytes end in a NUL, which is in no class: no loop below runs past it.
    if len(data) < 20 or memcmp(start, b"POST /", 6) != 0:
        return None
    while p[0] > 32 and p[0] < 127:
        p += 1
    if end - p < 13 or memcmp(p, b" HTTP/1.1\r\n", 11) != 0:
        return None
    cdef bytes target = PyBytes_FromStringAndSize(<const char *>start + 5, p - start - 5)
    cdef dict headers = {}
    p += 11
    while p[0] != b'\r':
        name = p
        while _CLASS[p[0]] & TOKEN:
            p += 1
        size = p - name
        if size == 0 or p[0] != b':':
            return None
        p += 1
        while p[0] == b' ' or p[0] == b'\t':
            p += 1
        value = p
        while _CLASS[p[0]] & TEXT:
            p += 1
        if p[0] != b'\r' or p[1] != b'\n':
            return None
        stop = p
        p += 2
        while stop > value and ((stop - 1)[0] == b' ' or (stop - 1)[0] == b'\t'):
            stop -= 1
        if size == 14 and named(name, size, b"content-length", 14):
            if length >= 0:
                return None
            length = decimal(value, stop - value)
            if length < 0:
                return None
        elif size == 10 and named(name, size, b"connection", 10):
            if not named(value, stop - value, b"keep-alive", 10):
                return None
        elif unusual(name, size):
            return None
        else:
            known = known_name(name, size)
            if known is not None:
                if known in headers:
                    return None
                headers[known] = PyBytes_FromStringAndSize(<const char *>value, stop - value)
    if p[1] != b'\n':
        return None
    p += 2
    if length < 0 or length != end - p or length > body_limit or p - start > head_limit:
        return None
    return target, headers, PyBytes_FromStringAndSize(<const char *>p, length)
