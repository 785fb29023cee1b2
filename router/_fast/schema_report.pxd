from router._fast.schema_nodes cimport Node


cdef list report_all(Node node, object value, Py_ssize_t limit)
