"""The parts of a compiled schema. `ok` judges a decoded value, `ok_doc` the same value in a tape."""

from router._fast.document cimport Document, doc_node
from router._fast.schema_scalars cimport Choice, Number, Text


cdef class Items:
    cdef tuple prefix
    cdef Node rest
    cdef Node contains
    cdef str rest_keyword
    cdef Py_ssize_t least
    cdef Py_ssize_t most
    cdef bint unique

    cdef bint ok(self, list value, int depth) except -1
    cdef bint ok_doc(self, Document document, const doc_node *node, int depth) except -1


cdef struct Name:
    const unsigned char *p
    Py_ssize_t n
    bint required
    bint closed
    int next


cdef class Members:
    """properties and required are one list: `nodes[i]` is None for a name only required."""

    cdef tuple names
    cdef tuple nodes
    cdef list encoded
    cdef dict index
    cdef Name *table
    cdef int[64] chains
    cdef int count
    cdef bint closed
    cdef Node additional
    cdef tuple patterns
    cdef Node name_node
    cdef tuple dependencies
    cdef Py_ssize_t least
    cdef Py_ssize_t most
    cdef bint rare

    cdef bint ok(self, dict value, int depth) except -1
    cdef bint rare_ok(self, dict value, int depth) except -1
    cdef bint depend_ok(self, dict value, int depth) except -1
    cdef bint ok_doc(self, Document document, const doc_node *node, int depth) except -1
    cdef int find(self, const doc_node *member) noexcept


cdef class Part:
    """A keyword that applies schemas to the same value."""

    cdef bint ok(self, object value, int depth) except -1
    cdef bint ok_doc(self, Document document, const doc_node *node, int depth) except -1


cdef class AllOf(Part):
    cdef tuple nodes


cdef class AnyOf(Part):
    cdef tuple nodes


cdef class OneOf(Part):
    cdef tuple nodes


cdef class Not(Part):
    cdef Node node


cdef class If(Part):
    cdef Node condition
    cdef Node then
    cdef Node otherwise


cdef class Node:
    """A schema."""

    cdef str where
    cdef int kinds
    cdef bint never
    cdef tuple choices
    cdef Text text
    cdef Number number
    cdef Items items
    cdef Members members
    cdef tuple parts

    cdef bint ok(self, object value, int depth) except -1
    cdef bint ok_doc(self, Document document, const doc_node *node, int depth) except -1
