"""What the bytes of a value tell: a point in time, a call type, a client's SDK, a length."""

from libc.string cimport memchr, memcmp, memset, strlen


cdef extern from "scan.h" nogil:
    ctypedef struct scanner:
        cursor end
        int max_depth
    cursor scan_space(cursor p)
    int scan_hex4(cursor p)
    cursor scan_value(scanner *s, cursor p, int depth)
    cursor scan_key(scanner *s, cursor p, cursor *key, ptrdiff_t *length)

cdef extern from "instant.h" nogil:
    int64_t INSTANT_NONE
    int64_t instant_parse(cursor p, ptrdiff_t length)


DEF HARD_DEPTH = 1024

cdef const char **_CLIENTS = [
    b"analytics.js", b"analytics-ios", b"analytics-android", b"analytics-kotlin",
    b"analytics-swift", b"analytics-react-native", b"@segment/analytics-react-native",
    b"analytics_flutter", b"analytics-flutter", b"RudderLabs JavaScript SDK",
    b"rudder-ios", b"rudder-android", b"com.rudderstack.android", b"RudderStack",
]
cdef int _CLIENT_COUNT = 14


cdef int64_t instant_of(Slice s) noexcept nogil:
    cdef int64_t found
    if s.n == 0:
        return INSTANT_NONE
    if s.p[0] == b'"':
        found = instant_parse(s.p + 1, s.n - 2)
        return found if found != INSTANT_NONE else escaped_instant(s)
    if is_number(s):
        return instant_parse(s.p, s.n)
    return INSTANT_NONE


cdef int64_t escaped_instant(Slice s) noexcept nogil:
    """A time with escapes in it, such as the `\\u002B` that .NET writes for a plus."""
    cdef unsigned char[64] plain
    cdef ptrdiff_t used = 0
    cdef cursor p = s.p + 1
    cdef int unit
    if s.n > 256 or memchr(s.p, b'\\', s.n) == NULL:
        return INSTANT_NONE
    while p < s.p + s.n - 1:
        unit = p[0]
        if unit != b'\\':
            p += 1
        elif p[1] == b'u':
            unit = scan_hex4(p + 2)
            p += 6
        else:
            return INSTANT_NONE
        if used == 64 or unit > 127:
            return INSTANT_NONE
        plain[used] = <unsigned char>unit
        used += 1
    return instant_parse(plain, used)


cdef int kind_of(Slice s) noexcept nogil:
    """The call type of a JSON string, or -1."""
    if s.n < 3 or s.p[0] != b'"':
        return -1
    cdef cursor p = s.p + 1
    cdef ptrdiff_t n = s.n - 2
    if same(p, n, b"track", 5):
        return TRACK
    if same(p, n, b"identify", 8):
        return IDENTIFY
    if same(p, n, b"page", 4):
        return PAGE
    if same(p, n, b"screen", 6):
        return SCREEN
    if same(p, n, b"group", 5):
        return GROUP
    if same(p, n, b"alias", 5):
        return ALIAS
    return -1


cdef bint is_client(Slice library) noexcept nogil:
    """Does `context.library` name an SDK that runs on the person's own device?"""
    cdef scanner s
    cdef cursor p
    cdef cursor key
    cdef cursor value
    cdef ptrdiff_t length = 0, n
    cdef int i
    if library.n < 2 or library.p[0] != b'{':
        return False
    memset(&s, 0, sizeof(scanner))
    s.end = library.p + library.n
    s.max_depth = HARD_DEPTH
    p = scan_space(library.p + 1)
    while p[0] == b'"':
        value = scan_key(&s, p, &key, &length)
        p = scan_value(&s, value, 0)
        if same(key, length, b"name", 4) and value[0] == b'"':
            for i in range(_CLIENT_COUNT):
                n = strlen(_CLIENTS[i])
                if p - value - 2 >= n and memcmp(value + 1, _CLIENTS[i], n) == 0:
                    return True
            return False
        p = scan_space(p)
        if p[0] != b',':
            return False
        p = scan_space(p + 1)
    return False


cdef ptrdiff_t characters(Slice s) noexcept nogil:
    """Characters of a JSON string, or digits of a number; 0 of anything else."""
    cdef ptrdiff_t count = 0
    cdef cursor p = s.p + 1
    cdef int unit
    if not is_text(s):
        return s.n if is_number(s) else 0
    while p < s.p + s.n - 1:
        if p[0] != b'\\':
            count += (p[0] & 0xC0) != 0x80
            p += 1
        elif p[1] != b'u':
            count += 1
            p += 2
        else:
            unit = scan_hex4(p + 2)
            count += not 0xDC00 <= unit <= 0xDFFF
            p += 6
    return count
