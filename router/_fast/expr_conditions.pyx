"""The nodes that are true or false. Where they compare a path with a literal they read the event's
bytes; only the rest makes objects."""

from libc.stdint cimport int64_t

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from router._fast.document cimport (
    DOC_FALSE, DOC_FLOAT, DOC_INT, DOC_NULL, DOC_STRING, DOC_TRUE, doc_double, doc_int, doc_node,
    doc_same,
)
from router._fast.expr_nodes cimport Context, Literal, Node, Path
from router._fast.expr_values cimport List, is_number


cdef extern from "<string.h>" nogil:
    void *memmem(const void *text, size_t n, const void *part, size_t part_n)


DEF EXACT = 9007199254740992
"""Up to here a double holds every whole number."""

_ORDER = {"<": 0, "<=": 1, ">": 2, ">=": 3}


cdef class Condition(Node):
    cdef object value(self, Context c):
        return self.true(c)


cdef class Not(Condition):
    def __cinit__(self, Node of):
        self.of = of

    cdef bint true(self, Context c):
        return not self.of.true(c)


cdef class All(Condition):
    def __cinit__(self, tuple parts):
        self.parts = parts

    cdef bint true(self, Context c):
        cdef Node part
        for part in self.parts:
            if not part.true(c):
                return False
        return True


cdef class Any(Condition):
    def __cinit__(self, tuple parts):
        self.parts = parts

    cdef bint true(self, Context c):
        cdef Node part
        for part in self.parts:
            if part.true(c):
                return True
        return False


cdef bint plain_number(const doc_node *node, double *number) noexcept:
    """The node's number, where a double holds it as the decoder's object would."""
    cdef int64_t whole
    if node == NULL:
        return False
    if node.type == DOC_FLOAT:
        number[0] = doc_double(node)
        return True
    if node.type == DOC_INT and doc_int(node, &whole) and -EXACT <= whole <= EXACT:
        number[0] = <double>whole
        return True
    return False


cdef bint equal(object a, object b):
    """Strict: values of different types differ, 1 is not true, lists and objects by content."""
    if a is b:
        return True
    if type(a) is str or type(b) is str:
        return type(a) is type(b) and a == b
    if is_number(a):
        return is_number(b) and a == b
    if type(a) is not type(b):
        return False
    if type(a) is list:
        if len(<list>a) != len(<list>b):
            return False
        for x, y in zip(<list>a, <list>b):
            if not equal(x, y):
                return False
        return True
    if type(a) is dict:
        if len(<dict>a) != len(<dict>b):
            return False
        for key, x in (<dict>a).items():
            if key not in <dict>b or not equal(x, (<dict>b)[key]):
                return False
        return True
    return a == b


cdef class Equal(Condition):
    def __cinit__(self, Node left, Node right, bint negated):
        self.left, self.right, self.negated = left, right, negated

    cdef bint true(self, Context c):
        cdef const doc_node *node
        cdef Literal right
        cdef double number
        if type(self.right) is Literal and (<Literal>self.right).constant is None:
            return self.left.absent(c) != self.negated
        if type(self.left) is Path and type(self.right) is Literal and (<Path>self.left).indexed(c):
            node, right = (<Path>self.left).find(c), <Literal>self.right
            if right.constant is True:
                return (node != NULL and node.type == DOC_TRUE) != self.negated
            if right.constant is False:
                return (node != NULL and node.type == DOC_FALSE) != self.negated
            if right.is_number and plain_number(node, &number):
                return (number == right.number) != self.negated
        return equal(self.left.value(c), self.right.value(c)) != self.negated


cdef class EqualText(Condition):
    """A path compared with a literal string: the commonest condition there is."""

    def __cinit__(self, Node left, str right, bint negated):
        self.left, self.right, self.negated = left, right, negated
        self.utf8 = right.encode("utf-8", "surrogatepass")

    cdef bint true(self, Context c):
        cdef const doc_node *node
        cdef object found
        if type(self.left) is Path and (<Path>self.left).indexed(c):
            node = (<Path>self.left).find(c)
            return (node != NULL and node.type == DOC_STRING and doc_same(
                node.p + 1, node.n - 2, node.escaped, PyBytes_AS_STRING(self.utf8),
                PyBytes_GET_SIZE(self.utf8))) != self.negated
        found = self.left.value(c)
        return (type(found) is str and <str>found == self.right) != self.negated


cdef class Order(Condition):
    """Numbers only; anything else is false, NaN too."""

    def __cinit__(self, Node left, Node right, str operator):
        self.left, self.right, self.operator = left, right, _ORDER[operator]

    cdef bint true(self, Context c):
        cdef const doc_node *node
        cdef double number
        cdef object a, b
        if type(self.left) is Path and type(self.right) is Literal and (
                <Literal>self.right).is_number and (<Path>self.left).indexed(c):
            node = (<Path>self.left).find(c)
            if plain_number(node, &number):
                return self.holds(number, (<Literal>self.right).number)
            if node == NULL or node.type != DOC_INT:
                return False
        a = self.left.value(c)
        b = self.right.value(c)
        if not is_number(a) or not is_number(b):
            return False
        if self.operator == 0:
            return a < b
        if self.operator == 1:
            return a <= b
        if self.operator == 2:
            return a > b
        return a >= b

    cdef inline bint holds(self, double a, double b):
        if self.operator == 0:
            return a < b
        if self.operator == 1:
            return a <= b
        if self.operator == 2:
            return a > b
        return a >= b


cdef class In(Condition):
    """`texts` where the list is of literal strings: their UTF-8."""

    def __cinit__(self, Node left, Node right):
        self.left, self.right = left, right
        if type(right) is List and all([type(part) is Literal and (<Literal>part).utf8 is not None
                                        for part in (<List>right).parts]):
            self.texts = tuple([(<Literal>part).utf8 for part in (<List>right).parts])

    cdef bint true(self, Context c):
        cdef const doc_node *node
        cdef bytes text
        cdef object items
        if self.texts is not None and type(self.left) is Path and (<Path>self.left).indexed(c):
            node = (<Path>self.left).find(c)
            if node == NULL or node.type != DOC_STRING:
                return False
            for text in self.texts:
                if doc_same(node.p + 1, node.n - 2, node.escaped, PyBytes_AS_STRING(text),
                            PyBytes_GET_SIZE(text)):
                    return True
            return False
        items = self.right.value(c)
        cdef object wanted
        if type(items) is not list:
            return False
        wanted = self.left.value(c)
        for item in <list>items:
            if equal(item, wanted):
                return True
        return False


cdef class Contains(Condition):
    def __cinit__(self, Node text, Node part):
        self.text, self.part = text, part

    cdef bint true(self, Context c):
        cdef const doc_node *node
        cdef bytes utf8
        cdef object text, part
        if type(self.text) is Path and type(self.part) is Literal and (
                <Literal>self.part).utf8 is not None and (<Path>self.text).indexed(c):
            node = (<Path>self.text).find(c)
            if node == NULL or node.type < DOC_STRING:
                return False
            if node.type == DOC_STRING and not node.escaped:
                utf8 = (<Literal>self.part).utf8
                return memmem(node.p + 1, node.n - 2, PyBytes_AS_STRING(utf8),
                              PyBytes_GET_SIZE(utf8)) != NULL
        text = self.text.value(c)
        part = self.part.value(c)
        if type(text) is str:
            return type(part) is str and <str>part in <str>text
        if type(text) is list:
            for item in <list>text:
                if equal(item, part):
                    return True
        return False
