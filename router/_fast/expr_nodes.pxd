"""What every part of a compiled expression is, and the two that most are made of."""

cimport cython
from libc.stdint cimport uint64_t

from router._fast.document cimport Document, doc_node
from router._fast.output cimport Output


cdef class Context:
    cdef dict event
    cdef Document doc
    cdef object settings
    cdef object item
    cdef object now_ms
    cdef Document walked
    cdef const char *first
    cdef const char *second
    cdef const doc_node *first_node
    cdef const doc_node *second_node


cdef class Node:
    cdef object value(self, Context c)
    cdef bint true(self, Context c)
    cdef bint absent(self, Context c)
    cdef bint write(self, Context c, Output out) except -1
    cdef bint write_text(self, Context c, Output out) except -1
    cdef bint write_form(self, Context c, Output out) except -1


@cython.final
cdef class Literal(Node):
    cdef object constant
    cdef bytes json
    cdef bytes form
    cdef bytes utf8
    cdef double number
    cdef bint is_number


cdef struct Step:
    # A member's name, of which `names` of the path keeps the bytes; in a list an item's number, or -1.
    const char *name
    Py_ssize_t n
    Py_ssize_t index


@cython.final
cdef class Path(Node):
    cdef int root
    cdef int count
    cdef tuple keys
    cdef tuple names
    cdef Step *steps

    cdef bint indexed(self, Context c)
    cdef const doc_node *find(self, Context c)
    cdef const doc_node *begin(self, Context c)


cdef bytes json_of(object value)
cdef bytes utf8_of(str text)
cdef bytes form_text(object value)
cdef int put_form_member(bytes name, bytes text, Output out) except -1
cdef bint close_form(Output out, size_t start)
cdef list last_members(Document doc, const doc_node *of, list without, const uint64_t *mask)
cdef uint64_t name_bit(const unsigned char *name, size_t n, int *word) noexcept
cdef int put_node_member(Document doc, const doc_node *node, Output out) except -1
cdef object walk(object found, tuple keys)
