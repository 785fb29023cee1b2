"""Where rows are written: a buffer that grows, and text quoted for forms and queries (form.h)."""

from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from router._fast.document cimport (
    DOC_FALSE, DOC_FLOAT, DOC_INT, DOC_STRING, DOC_TRUE, doc_node,
)


cdef extern from "form.h" nogil:
    size_t form_quote(const unsigned char *p, size_t n, bint escaped, bint plus, unsigned char *to)
    bint form_number_is_plain(const doc_node *node)


cdef class Output:
    """Each row is written over the last."""

    def __cinit__(self):
        self.room = 1024
        self.data = <unsigned char *>malloc(self.room)
        if self.data == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.data)

    cdef int grow(self, size_t n) except -1:
        """Make room for n bytes more."""
        cdef size_t room = self.room
        while self.used + n > room:
            room *= 2
        grown = <unsigned char *>realloc(self.data, room)
        if grown == NULL:
            raise MemoryError()
        self.data, self.room = grown, room
        return 0

    cdef int put(self, const void *data, size_t n) except -1:
        if self.used + n > self.room:
            self.grow(n)
        memcpy(self.data + self.used, data, n)
        self.used += n
        return 0

    cdef int put_bytes(self, bytes data) except -1:
        return self.put(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef int quote(self, const unsigned char *p, size_t n, bint escaped, bint plus) except -1:
        """Put text quoted; `escaped` where it is JSON's, between its quotes."""
        if self.used + 3 * n > self.room:
            self.grow(3 * n)
        self.used += form_quote(p, n, escaped, plus, self.data + self.used)
        return 0

    cdef int quote_bytes(self, bytes data) except -1:
        return self.quote(<const unsigned char *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data),
                          False, True)

    cdef bint quote_scalar(self, const doc_node *node) except -1:
        """Put a value of an event quoted; False where its bytes alone do not tell its text."""
        if node.type == DOC_STRING:
            self.quote(node.p + 1, node.n - 2, node.escaped, True)
        elif node.type == DOC_TRUE or node.type == DOC_FALSE:
            self.put(node.p, node.n)
        elif (node.type == DOC_INT or node.type == DOC_FLOAT) and form_number_is_plain(node):
            self.put(node.p, node.n)
        else:
            return False
        return True

    cdef bytes taken(self):
        return PyBytes_FromStringAndSize(<const char *>self.data, self.used)


def form_of(members, bint plus=True):
    """`name=value&…` of texts by name: a form's body, or with `plus` off a query (%20 for a space).

    The same as `urllib.parse.urlencode`. Raises `UnicodeEncodeError` for a lone surrogate.
    """
    cdef Output out = Output()
    cdef bytes part
    for name, value in members.items():
        if out.used:
            out.put(b"&", 1)
        part = (<str?>name).encode()
        out.quote(<const unsigned char *>PyBytes_AS_STRING(part), len(part), False, plus)
        out.put(b"=", 1)
        part = value if type(value) is bytes else (<str?>value).encode()
        out.quote(<const unsigned char *>PyBytes_AS_STRING(part), len(part), False, plus)
    return out.taken()
