"""What the compiled parts read of an event: its nodes, found by name, without Python objects."""

from libc.stdint cimport int64_t, uint8_t, uint32_t


cdef extern from "document.h" nogil:
    enum: DOC_NULL, DOC_FALSE, DOC_TRUE, DOC_INT, DOC_FLOAT, DOC_STRING, DOC_LIST, DOC_OBJECT

    ctypedef struct doc_node:
        const unsigned char *p
        const unsigned char *key
        uint32_t n
        uint32_t key_n
        uint32_t next
        uint32_t count
        uint8_t type
        uint8_t escaped
        uint8_t key_escaped

    ctypedef struct doc_tape:
        doc_node *nodes
        uint32_t used
        uint32_t room

    size_t doc_unescape(const unsigned char *p, size_t n, unsigned char *out)
    bint doc_same(const unsigned char *p, size_t n, int escaped, const void *other, size_t other_n)
    const doc_node *doc_member(const doc_tape *t, const doc_node *of, const void *key, size_t n)
    const doc_node *doc_item(const doc_tape *t, const doc_node *of, size_t index)
    bint doc_int(const doc_node *node, int64_t *value)
    double doc_double(const doc_node *node)


cdef class Document:
    """`tape.nodes[0]` is the event itself; a value's first member or item is the node behind it,
    and `tape.nodes[node.next]` the node after it and all that it holds."""

    cdef readonly bytes raw
    cdef doc_tape tape
    cdef dict whole

    cdef object load(self, const doc_node *node)
    cpdef dict data(self)


cdef str text_at(const unsigned char *p, size_t n, int escaped)
