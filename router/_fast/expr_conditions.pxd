"""The nodes that are true or false."""

from router._fast.expr_nodes cimport Node


cdef class Condition(Node):
    pass


cdef class Not(Condition):
    cdef Node of


cdef class All(Condition):
    cdef tuple parts


cdef class Any(Condition):
    cdef tuple parts


cdef class Equal(Condition):
    cdef Node left
    cdef Node right
    cdef bint negated


cdef class EqualText(Condition):
    cdef Node left
    cdef str right
    cdef bytes utf8
    cdef bint negated


cdef class Order(Condition):
    cdef Node left
    cdef Node right
    cdef int operator

    cdef bint holds(self, double a, double b)


cdef class In(Condition):
    cdef Node left
    cdef Node right
    cdef tuple texts


cdef class Contains(Condition):
    cdef Node text
    cdef Node part
