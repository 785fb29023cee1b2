"""The nodes that give values of their own: calls, sums, lists, templates, choices."""

from libc.stdint cimport int64_t
from libc.stdio cimport snprintf
from libc.string cimport memcmp

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from router._fast.document cimport (
    DOC_FALSE, DOC_FLOAT, DOC_INT, DOC_LIST, DOC_NULL, DOC_OBJECT, DOC_STRING, DOC_TRUE, doc_node,
)
from router._fast.expr_nodes cimport Context, Literal, Node, Path, walk
from router._fast.output cimport Output

from router._fast.envelope import format_time
from router._fast.functions import TABLE, text_of

import math
import time

cdef extern from "instant.h" nogil:
    int64_t INSTANT_NONE
    int64_t instant_parse(const unsigned char *p, size_t n)

DEF FIRST_MS = -62135596800000
DEF LAST_MS = 253402300799999
"""Of the years 1 to 9999."""
DEF TEXT = 0
DEF NUMBER = 1
DEF INTEGER = 2
DEF BOOLEAN = 3
DEF TIME = 4
DEF OBJECT = 5
TYPES = {"text": TEXT, "number": NUMBER, "integer": INTEGER, "boolean": BOOLEAN, "time": TIME,
         "object": OBJECT}

cdef class Get(Node):
    """A member of what an expression gives."""

    def __cinit__(self, Node of, object key):
        self.of, self.keys = of, (key,)

    cdef object value(self, Context c):
        return walk(self.of.value(c), self.keys)


cdef class First(Node):
    """The first that is not null."""

    def __cinit__(self, tuple parts):
        self.parts = parts

    cdef bint write(self, Context c, Output out) except -1:
        cdef Node part
        for part in self.parts:
            if part.write(c, out):
                return True
        return False

    cdef bint write_text(self, Context c, Output out) except -1:
        cdef Node part
        for part in self.parts:
            if part.write_text(c, out):
                return True
        return False

    cdef bint absent(self, Context c):
        cdef Node part
        for part in self.parts:
            if not part.absent(c):
                return False
        return True

    cdef object value(self, Context c):
        cdef Node part
        cdef object found = None
        for part in self.parts:
            found = part.value(c)
            if found is not None:
                return found
        return None


cdef class Arithmetic(Node):
    def __cinit__(self, str operator, Node left, Node right):
        self.operator, self.left, self.right = operator, left, right

    cdef object value(self, Context c):
        cdef object a = self.left.value(c)
        cdef object b = self.right.value(c)
        if self.operator == "+" and (type(a) is str or type(b) is str):
            return None if a is None or b is None else text_of(a) + text_of(b)
        if not is_number(a) or not is_number(b):
            return None
        try:
            found = self.calculated(a, b)
        except (OverflowError, ValueError):
            return None
        if type(found) is float and not math.isfinite(found):
            return None
        if type(found) is int and not -(1 << 63) <= found < (1 << 64):
            return float(found)
        return found

    cdef object calculated(self, object a, object b):
        if self.operator == "+":
            return a + b
        if self.operator == "-":
            return a - b
        if self.operator == "*":
            return a * b
        if b == 0:
            return None
        if self.operator == "/":
            return a / b
        if type(a) is float or type(b) is float:
            return math.fmod(a, b)
        # With the sign of the dividend, as fmod has it and JavaScript.
        return abs(a) % abs(b) if a >= 0 else -(abs(a) % abs(b))


cdef class List(Node):
    def __cinit__(self, tuple parts):
        self.parts = parts

    cdef object value(self, Context c):
        cdef Node part
        return [part.value(c) for part in self.parts]

    cdef bint write(self, Context c, Output out) except -1:
        cdef Node part
        cdef bint more = False
        out.put(b"[", 1)
        for part in self.parts:
            if more:
                out.put(b",", 1)
            if not part.write(c, out):
                out.put(b"null", 4)
            more = True
        out.put(b"]", 1)
        return True


cdef class Template(Node):
    def __cinit__(self, tuple parts):
        self.parts = parts

    cdef object value(self, Context c):
        cdef Node part
        cdef list found = []
        cdef object value
        for part in self.parts:
            value = part.value(c)
            if value is not None:
                found.append(value if type(value) is str else text_of(value))
        return "".join(found)


cdef class Call(Node):
    def __cinit__(self, object function, tuple arguments):
        self.function, self.arguments = function, arguments

    cdef object value(self, Context c):
        cdef Node part
        if len(self.arguments) == 1:
            return self.function((<Node>self.arguments[0]).value(c))
        return self.function(*[part.value(c) for part in self.arguments])


cdef class Typed(Call):
    """`as_type` of a path: a value that has the type already is written as it stands."""

    def __cinit__(self, object function, tuple arguments):
        self.path = arguments[0]
        self.kind = TYPES[(<Literal>arguments[1]).constant]

    cdef bint fits(self, const doc_node *node) noexcept:
        """Needs it no conversion?"""
        if self.kind == TEXT:
            return node.type == DOC_STRING
        if self.kind == OBJECT:
            return node.type == DOC_OBJECT
        if self.kind == BOOLEAN:
            return node.type == DOC_TRUE or node.type == DOC_FALSE
        if self.kind == TIME and node.type == DOC_STRING:
            return node.n > 2
        if node.type == DOC_INT:
            return node.n < 16
        return node.type == DOC_FLOAT and self.kind != INTEGER

    cdef object value(self, Context c):
        cdef const doc_node *node
        if not self.path.indexed(c):
            return Call.value(self, c)
        node = self.path.find(c)
        if node == NULL or node.type == DOC_NULL:
            return None
        return c.doc.load(node) if self.fits(node) else Call.value(self, c)

    cdef bint absent(self, Context c):
        cdef const doc_node *node
        if not self.path.indexed(c):
            return Call.value(self, c) is None
        node = self.path.find(c)
        if node == NULL or node.type == DOC_NULL:
            return True
        return not self.fits(node) and Call.value(self, c) is None

    cdef bint write(self, Context c, Output out) except -1:
        cdef const doc_node *node
        if not self.path.indexed(c):
            return Call.write(self, c, out)
        node = self.path.find(c)
        if node == NULL or node.type == DOC_NULL:
            return False
        if not self.fits(node):
            return Call.write(self, c, out)
        out.put(node.p, node.n)
        return True


cdef class Typeof(Call):
    """`typeof` of a path: the value is not loaded."""

    cdef object value(self, Context c):
        cdef Path path = <Path>self.arguments[0]
        cdef const doc_node *node
        if not path.indexed(c):
            return Call.value(self, c)
        node = path.find(c)
        if node == NULL or node.type == DOC_NULL:
            return "null"
        if node.type == DOC_STRING:
            return "string"
        if node.type == DOC_LIST:
            return "list"
        if node.type == DOC_OBJECT:
            return "object"
        return "bool" if node.type == DOC_TRUE or node.type == DOC_FALSE else "number"


cdef class Remembered(Call):
    """A call whose last result is kept: most events of a batch have the same browser."""

    def __cinit__(self, object function, tuple arguments):
        self.path = (<Typed>arguments[0]).path if type(arguments[0]) is Typed else arguments[0]

    cdef object value(self, Context c):
        cdef const doc_node *node
        if not self.path.indexed(c):
            return Call.value(self, c)
        node = self.path.find(c)
        if node == NULL:
            return None
        if self.seen is None or PyBytes_GET_SIZE(self.seen) != <Py_ssize_t>node.n or memcmp(
                PyBytes_AS_STRING(self.seen), node.p, node.n) != 0:
            self.found = Call.value(self, c)
            self.seen = PyBytes_FromStringAndSize(<const char *>node.p, node.n)
        return self.found


cdef class Epoch(Call):
    """`epoch_ms` and `epoch_s` of a path: a text without escapes is read where it stands."""

    def __cinit__(self, object function, tuple arguments):
        self.path = (<Typed>arguments[0]).path if type(arguments[0]) is Typed else arguments[0]
        self.unit = 1000 if function is TABLE["epoch_s"].call else 1

    cdef int64_t instant(self, Context c) noexcept:
        """Milliseconds since 1970; INSTANT_NONE where the function itself has to look."""
        cdef const doc_node *node
        cdef int64_t ms
        if not self.path.indexed(c):
            return INSTANT_NONE
        node = self.path.find(c)
        if node == NULL or node.type != DOC_STRING or node.escaped:
            return INSTANT_NONE
        ms = instant_parse(node.p + 1, node.n - 2)
        return ms if FIRST_MS <= ms <= LAST_MS else INSTANT_NONE

    cdef object value(self, Context c):
        cdef int64_t ms = self.instant(c)
        if ms == INSTANT_NONE:
            return Call.value(self, c)
        # Rounded down, below 1970 too.
        return (ms - ((ms % self.unit) + self.unit) % self.unit) // self.unit

    cdef bint write(self, Context c, Output out) except -1:
        cdef int64_t ms = self.instant(c)
        cdef char[24] text
        if ms == INSTANT_NONE:
            return Call.write(self, c, out)
        ms = (ms - ((ms % self.unit) + self.unit) % self.unit) // self.unit
        out.put(text, snprintf(text, 24, b"%lld", <long long>ms))
        return True


cdef class If(Node):
    def __cinit__(self, Node condition, Node then, Node otherwise):
        self.condition, self.then, self.otherwise = condition, then, otherwise

    cdef object value(self, Context c):
        return self.then.value(c) if self.condition.true(c) else self.otherwise.value(c)

    cdef bint write(self, Context c, Output out) except -1:
        return (self.then if self.condition.true(c) else self.otherwise).write(c, out)

    cdef bint write_text(self, Context c, Output out) except -1:
        return (self.then if self.condition.true(c) else self.otherwise).write_text(c, out)


cdef class Each(Node):
    """map and filter: an expression for every item of a list, or member of an object."""

    def __cinit__(self, Node items, Node body, bint filters):
        self.items, self.body, self.filters = items, body, filters

    cdef object value(self, Context c):
        cdef object items = self.items.value(c)
        cdef list found = []
        cdef dict members = {}
        cdef object new
        if type(items) is dict:
            for key, item in (<dict>items).items():
                if not self.filters:
                    new = self.body.value(self.within(c, item))
                    if new is not None:
                        members[key] = new
                elif self.body.true(self.within(c, item)):
                    members[key] = item
            return members
        if type(items) is not list:
            return None
        for item in <list>items:
            if not self.filters:
                found.append(self.body.value(self.within(c, item)))
            elif self.body.true(self.within(c, item)):
                found.append(item)
        return found

    cdef Context within(self, Context c, object item):
        cdef Context inner = Context(c.event, c.settings, item, c.now_ms)
        inner.doc = c.doc
        return inner


cdef class Now(Node):
    cdef object value(self, Context c):
        return format_time(c.now_ms if c.now_ms is not None else int(time.time() * 1000))
