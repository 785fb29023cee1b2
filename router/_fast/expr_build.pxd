from router._fast.expr_nodes cimport Node


cdef Node build(object tree, str text)
cdef Node build_fields(dict table, str prefix, dict trees)
