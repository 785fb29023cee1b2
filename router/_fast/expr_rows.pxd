"""The nodes that give objects: of an expression, and of a table of them."""

from libc.stdint cimport uint64_t

from router._fast.document cimport doc_node
from router._fast.expr_nodes cimport Context, Node, Path
from router._fast.output cimport Output


cdef class Object(Node):
    cdef tuple keys
    cdef tuple parts
    cdef tuple json
    cdef tuple form


cdef class Fields(Node):
    cdef tuple keys
    cdef tuple names
    cdef tuple parts
    cdef tuple required
    cdef Node rest
    cdef Path plain
    cdef list without
    cdef uint64_t[4] mask
    cdef tuple json
    cdef tuple form

    cdef int write_rest(self, Context c, Output out, list written) except -1
    cdef int write_members(self, object more, Output out, list written) except -1
    cdef int write_rest_form(self, Context c, Output out, list written) except -1


cdef class Filled(Fields):
    pass
