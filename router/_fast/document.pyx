"""An event indexed once, for every filter, mapping and plan that reads it.

The index is a flat array of nodes over the event's bytes (document.h). A reader finds a member by
its name, compares or copies the bytes where they lie, and makes a Python object only of what it
cannot do without.
"""

cimport cython
from libc.stdlib cimport free
from libc.string cimport memset
from libc.stdint cimport int64_t

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8

import orjson


cdef extern from "document.h" nogil:
    ctypedef struct scanner:
        const unsigned char *end
        const unsigned char *at
        int error
        int max_depth
        int lone_surrogate
        int infinite
    enum: SCAN_DEEP, SCAN_UTF8
    int doc_build(doc_tape *t, scanner *s, const unsigned char *p)


DEF MAX_DEPTH = 1024
"""As deep as the decoder goes that makes objects of the parts."""


cdef str text_at(const unsigned char *p, size_t n, int escaped):
    """The text of the `n` bytes between a string's quotes."""
    if not escaped:
        return PyUnicode_DecodeUTF8(<const char *>p, n, NULL)
    plain = PyBytes_FromStringAndSize(NULL, n)
    n = doc_unescape(p, n, <unsigned char *>PyBytes_AS_STRING(plain))
    return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(plain), n, NULL)


@cython.no_gc
cdef class Document:
    """The nodes of `raw`, a JSON object. Raises `ValueError` where it is not valid.

    As decoded: of members with the same name the last counts; numbers too large for a double and
    lone surrogates are refused.
    """

    def __cinit__(self, bytes raw not None):
        cdef scanner s
        cdef int done
        if PyBytes_GET_SIZE(raw) >= 0xFFFFFFFF:
            raise ValueError("an event has less than 4 GiB")
        self.raw = raw
        cdef const unsigned char *start = <const unsigned char *>PyBytes_AS_STRING(raw)
        memset(&s, 0, sizeof(scanner))
        s.end = start + PyBytes_GET_SIZE(raw)
        s.max_depth = MAX_DEPTH
        done = doc_build(&self.tape, &s, start)
        if done < 0:
            raise MemoryError()
        if done == 0:
            what = "is nested too deep" if s.error == SCAN_DEEP else (
                "is not UTF-8" if s.error == SCAN_UTF8 else "is not valid JSON")
            raise ValueError("the event %s at byte %d" % (what, s.at - start))
        if self.tape.nodes[0].type != DOC_OBJECT:
            raise ValueError("an event has to be a JSON object")
        if s.lone_surrogate or s.infinite:
            raise ValueError("the event has a %s" % (
                "number too large for a double" if s.infinite else "lone surrogate"))

    def __dealloc__(self):
        free(self.tape.nodes)

    cdef object load(self, const doc_node *node):
        """The value as a Python object; None for NULL."""
        cdef int64_t number
        if node == NULL or node.type == DOC_NULL:
            return None
        if node.type == DOC_STRING:
            return text_at(node.p + 1, node.n - 2, node.escaped)
        if node.type == DOC_TRUE:
            return True
        if node.type == DOC_FALSE:
            return False
        if node.type == DOC_INT and doc_int(node, &number):
            return number
        if node.type == DOC_FLOAT:
            return doc_double(node)
        return orjson.loads(PyBytes_FromStringAndSize(<const char *>node.p, node.n))

    cpdef dict data(self):
        """The event as a dict, decoded once. Shared by all readers: nobody may change it."""
        if self.whole is None:
            self.whole = orjson.loads(self.raw)
        return self.whole

    def get(self, *path):
        """The value at a path of names and indices; None where there is none."""
        cdef const doc_node *node = self.tape.nodes
        cdef bytes name
        for step in path:
            if type(step) is str:
                name = (<str>step).encode()
                node = doc_member(&self.tape, node, PyBytes_AS_STRING(name), len(name))
            else:
                node = doc_item(&self.tape, node, step)
        return self.load(node)

    def __len__(self):
        """Nodes of the index."""
        return self.tape.used
