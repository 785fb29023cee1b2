"""The nodes that give values of their own."""

from libc.stdint cimport int64_t

from router._fast.document cimport doc_node
from router._fast.expr_nodes cimport Context, Node, Path


cdef class Get(Node):
    cdef Node of
    cdef tuple keys


cdef class First(Node):
    cdef tuple parts


cdef class Arithmetic(Node):
    cdef Node left
    cdef Node right
    cdef str operator

    cdef object calculated(self, object a, object b)


cdef class List(Node):
    cdef tuple parts


cdef class Template(Node):
    cdef tuple parts


cdef class Call(Node):
    cdef object function
    cdef tuple arguments


cdef class Typed(Call):
    cdef Path path
    cdef int kind

    cdef bint fits(self, const doc_node *node) noexcept


cdef class Typeof(Call):
    pass


cdef class Remembered(Call):
    cdef Path path
    cdef bytes seen
    cdef object found


cdef class Epoch(Call):
    cdef Path path
    cdef int64_t unit

    cdef int64_t instant(self, Context c) noexcept


cdef class If(Node):
    cdef Node condition
    cdef Node then
    cdef Node otherwise


cdef class Each(Node):
    cdef Node items
    cdef Node body
    cdef bint filters

    cdef Context within(self, Context c, object item)


cdef class Now(Node):
    pass


cdef inline bint is_number(object value):
    return type(value) is int or type(value) is float
