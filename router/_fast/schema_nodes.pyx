"""What judges a value by a schema: a tree of nodes, each with the keywords of one schema.

Both lanes are the same judgement: over decoded values, and over the nodes of a `Document`, where
what is rare or needs equality is decoded first. The leaves are in schema_scalars.pyx.
"""

cimport cython

from libc.stdlib cimport calloc, free

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

from router._fast.document cimport (
    DOC_FALSE, DOC_FLOAT, DOC_INT, DOC_LIST, DOC_NULL, DOC_OBJECT, DOC_STRING, DOC_TRUE, doc_double,
    doc_same,
)
from router._fast.patterns cimport Pattern
from router._fast.schema_scalars cimport (
    BOOLEAN, FLOAT, INTEGER, LIST, NULL_KIND, OBJECT, TEXT, all_different, fits, kind_of, spend,
    whole_number,
)


DEF MAX_NAMES = 64

ctypedef const doc_node *doc_place


@cython.final
cdef class Items:
    cdef bint ok(self, list value, int depth) except -1:
        cdef Py_ssize_t n = len(value)
        cdef Py_ssize_t i = 0
        if n < self.least or (self.most >= 0 and n > self.most):
            return False
        if self.prefix is not None:
            while i < n and i < len(self.prefix):
                if not (<Node>self.prefix[i]).ok(value[i], depth):
                    return False
                i += 1
        if self.rest is not None:
            while i < n:
                if not self.rest.ok(value[i], depth):
                    return False
                i += 1
        if self.unique and not all_different(value, depth):
            return False
        if self.contains is None:
            return True
        for item in value:
            if self.contains.ok(item, depth):
                return True
        return False

    cdef bint ok_doc(self, Document document, const doc_node *node, int depth) except -1:
        cdef Py_ssize_t n = node.count
        cdef Py_ssize_t i
        cdef const doc_node *item = node + 1
        cdef Node judge
        if self.unique or self.contains is not None:
            return self.ok(document.load(node), depth)
        if n < self.least or (self.most >= 0 and n > self.most):
            return False
        for i in range(n):
            if self.prefix is not None and i < len(self.prefix):
                judge = <Node>self.prefix[i]
            else:
                judge = self.rest
                if judge is None:
                    return True
            if not judge.ok_doc(document, item, depth):
                return False
            item = document.tape.nodes + item.next
        return True


cdef inline int slot(const unsigned char *p, Py_ssize_t n):
    if n == 0:
        return 0
    return (n * 7 ^ p[0] * 5 ^ p[n - 1] * 3 ^ p[n >> 1]) & 63


@cython.final
cdef class Members:
    def __cinit__(self):
        self.table = NULL

    def __dealloc__(self):
        free(self.table)

    def fill(self, tuple names, tuple nodes, frozenset required):
        cdef int i, chain
        self.names, self.nodes, self.count = names, nodes, len(names)
        self.index = {name: i for i, name in enumerate(names)}
        self.encoded = [name.encode("utf-8", "surrogatepass") for name in names]
        self.table = <Name *>calloc(self.count + 1, sizeof(Name))
        if self.table == NULL:
            raise MemoryError
        for i in range(64):
            self.chains[i] = -1
        for i in range(self.count):
            self.table[i].p = <const unsigned char *>PyBytes_AS_STRING(self.encoded[i])
            self.table[i].n = PyBytes_GET_SIZE(self.encoded[i])
            self.table[i].required = names[i] in required
            chain = slot(self.table[i].p, self.table[i].n)
            self.table[i].next = self.chains[chain]
            self.chains[chain] = i

    cdef bint ok(self, dict value, int depth) except -1:
        cdef int i
        cdef Py_ssize_t planned = 0
        cdef PyObject *found
        cdef Node node
        for i in range(self.count):
            found = PyDict_GetItemWithError(value, self.names[i])
            node = <Node>self.nodes[i]
            if found == NULL:
                if self.table[i].required:
                    return False
            elif node is not None:
                planned += 1
                if not node.ok(<object>found, depth):
                    return False
        if self.rare:
            return self.rare_ok(value, depth)
        return not self.closed or planned == len(value)

    cdef bint rare_ok(self, dict value, int depth) except -1:
        cdef Py_ssize_t n = len(value)
        cdef bint planned
        if n < self.least or (self.most >= 0 and n > self.most):
            return False
        for name, item in value.items():
            i = self.index.get(name)
            planned = i is not None and self.nodes[i] is not None
            if self.patterns is not None:
                for pattern, node in self.patterns:
                    if (<Pattern>pattern).search_text(name):
                        planned = True
                        if not (<Node>node).ok(item, depth):
                            return False
            if not planned and (self.closed or (
                self.additional is not None and not self.additional.ok(item, depth)
            )):
                return False
            if self.name_node is not None and not self.name_node.ok(name, depth):
                return False
        return self.dependencies is None or self.depend_ok(value, depth)

    cdef bint depend_ok(self, dict value, int depth) except -1:
        for name, names, node in self.dependencies:
            if name not in value:
                continue
            if node is not None:
                if not (<Node>node).ok(value, depth):
                    return False
                continue
            for other in <tuple>names:
                if other not in value:
                    return False
        return True

    cdef int find(self, const doc_node *member) noexcept:
        """The index of a member's name, or -1."""
        cdef int i
        if member.key_escaped:
            for i in range(self.count):
                if doc_same(member.key, member.key_n, True, self.table[i].p, self.table[i].n):
                    return i
            return -1
        i = self.chains[slot(member.key, member.key_n)]
        while i >= 0:
            if doc_same(member.key, member.key_n, False, self.table[i].p, self.table[i].n):
                return i
            i = self.table[i].next
        return -1

    cdef bint ok_doc(self, Document document, const doc_node *node, int depth) except -1:
        cdef doc_place[MAX_NAMES] found
        cdef const doc_node *member = node + 1
        cdef const doc_node *end = document.tape.nodes + node.next
        cdef int i
        cdef Node judge
        if self.rare or self.count > MAX_NAMES:
            return self.ok(document.load(node), depth)
        for i in range(self.count):
            found[i] = NULL
        while member < end:
            i = self.find(member)
            if i >= 0:
                # Of members with the same name the last counts.
                found[i] = member
            if self.closed and (i < 0 or self.nodes[i] is None):
                return False
            member = document.tape.nodes + member.next
        for i in range(self.count):
            if found[i] == NULL:
                if self.table[i].required:
                    return False
                continue
            judge = <Node>self.nodes[i]
            if judge is not None and not judge.ok_doc(document, found[i], depth):
                return False
        return True


cdef class Part:
    cdef bint ok(self, object value, int depth) except -1:
        return True

    cdef bint ok_doc(self, Document document, const doc_node *node, int depth) except -1:
        return True


@cython.final
cdef class AllOf(Part):
    cdef bint ok(self, object value, int depth) except -1:
        for node in self.nodes:
            if not (<Node>node).ok(value, depth):
                return False
        return True

    cdef bint ok_doc(self, Document document, const doc_node *node, int depth) except -1:
        for judge in self.nodes:
            if not (<Node>judge).ok_doc(document, node, depth):
                return False
        return True


@cython.final
cdef class AnyOf(Part):
    cdef bint ok(self, object value, int depth) except -1:
        for node in self.nodes:
            if (<Node>node).ok(value, depth):
                return True
        return False

    cdef bint ok_doc(self, Document document, const doc_node *node, int depth) except -1:
        for judge in self.nodes:
            if (<Node>judge).ok_doc(document, node, depth):
                return True
        return False


@cython.final
cdef class OneOf(Part):
    cdef bint ok(self, object value, int depth) except -1:
        cdef int count = 0
        for node in self.nodes:
            count += (<Node>node).ok(value, depth)
            if count > 1:
                return False
        return count == 1

    cdef bint ok_doc(self, Document document, const doc_node *node, int depth) except -1:
        cdef int count = 0
        for judge in self.nodes:
            count += (<Node>judge).ok_doc(document, node, depth)
            if count > 1:
                return False
        return count == 1


@cython.final
cdef class Not(Part):
    cdef bint ok(self, object value, int depth) except -1:
        return not self.node.ok(value, depth)

    cdef bint ok_doc(self, Document document, const doc_node *node, int depth) except -1:
        return not self.node.ok_doc(document, node, depth)


@cython.final
cdef class If(Part):
    cdef bint ok(self, object value, int depth) except -1:
        if self.condition.ok(value, depth):
            return self.then is None or self.then.ok(value, depth)
        return self.otherwise is None or self.otherwise.ok(value, depth)

    cdef bint ok_doc(self, Document document, const doc_node *node, int depth) except -1:
        if self.condition.ok_doc(document, node, depth):
            return self.then is None or self.then.ok_doc(document, node, depth)
        return self.otherwise is None or self.otherwise.ok_doc(document, node, depth)


cdef int[8] DOC_KINDS
DOC_KINDS[<int>DOC_NULL] = NULL_KIND
DOC_KINDS[<int>DOC_FALSE] = BOOLEAN
DOC_KINDS[<int>DOC_TRUE] = BOOLEAN
DOC_KINDS[<int>DOC_INT] = INTEGER
DOC_KINDS[<int>DOC_FLOAT] = FLOAT
DOC_KINDS[<int>DOC_STRING] = TEXT
DOC_KINDS[<int>DOC_LIST] = LIST
DOC_KINDS[<int>DOC_OBJECT] = OBJECT


@cython.final
cdef class Node:
    cdef bint ok(self, object value, int depth) except -1:
        cdef int kind = kind_of(value)
        spend(depth)
        if not self.kinds & kind and not fits(self.kinds, kind, value):
            return False
        if self.choices is not None:
            for choice in self.choices:
                if not (<Choice>choice).ok(value, depth):
                    return False
        if kind == TEXT:
            if self.text is not None and not self.text.ok(<str>value):
                return False
        elif kind == OBJECT:
            if self.members is not None and not self.members.ok(<dict>value, depth + 1):
                return False
        elif kind == LIST:
            if self.items is not None and not self.items.ok(<list>value, depth + 1):
                return False
        elif kind & (INTEGER | FLOAT):
            if self.number is not None and not self.number.ok(value):
                return False
        if self.parts is not None:
            for part in self.parts:
                if not (<Part>part).ok(value, depth + 1):
                    return False
        return True

    cdef bint ok_doc(self, Document document, const doc_node *node, int depth) except -1:
        cdef int kind = DOC_KINDS[node.type]
        spend(depth)
        if not self.kinds & kind and not (
            kind == FLOAT and self.kinds & INTEGER and whole_number(doc_double(node))
        ):
            return False
        if self.choices is not None:
            for choice in self.choices:
                if not (<Choice>choice).ok_doc(document, node):
                    return False
        if kind == TEXT:
            if self.text is not None and not self.text.ok_doc(document, node):
                return False
        elif kind == OBJECT:
            if self.members is not None and not self.members.ok_doc(document, node, depth + 1):
                return False
        elif kind == LIST:
            if self.items is not None and not self.items.ok_doc(document, node, depth + 1):
                return False
        elif kind & (INTEGER | FLOAT):
            if self.number is not None and not self.number.ok_doc(document, node):
                return False
        if self.parts is not None:
            for part in self.parts:
                if not (<Part>part).ok_doc(document, node, depth + 1):
                    return False
        return True
