"""Expressions as a tree of nodes: parsed once (parse.py), evaluated for every event.

Nodes read an event's index (document.pyx) or, where there is none, its decoded form; a missing path
is null. Evaluation never raises for odd data: what makes no sense is null, or false in a condition.
Each node can do three things: give its value, tell whether that is true, and write it as JSON. The
last two make no Python object where the event's bytes are enough.
"""

cimport cython
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from router._fast.document cimport (
    DOC_FALSE, DOC_FLOAT, DOC_INT, DOC_LIST, DOC_NULL, DOC_OBJECT, DOC_STRING, DOC_TRUE,
    Document, doc_double, doc_int, doc_item, doc_member, doc_node, doc_same, text_at,
)

from difflib import get_close_matches

from router._fast.envelope import format_time
from router._fast.fql_actions import parse_actions
from router._fast.functions import SPECIAL, TABLE, prepared, text_of
from router._fast.parse import parse, paths
from router.errors import ExpressionError

import math
import time

import orjson


DEF KEPT_BYTES = 1 << 20
"""A buffer that one large row made larger than this is not kept for the next."""
DEF EXACT = 9007199254740992
"""Up to here a double holds every whole number."""

cdef extern from "<string.h>" nogil:
    void *memmem(const void *text, size_t n, const void *part, size_t part_n)


@cython.freelist(8)
cdef class Context:
    """What an evaluation sees: the event as `doc`, or as `event` where `doc` is None."""

    cdef dict event
    cdef Document doc
    cdef object settings
    cdef object item
    cdef object now_ms

    def __cinit__(self, dict event, object settings, object item, object now_ms):
        self.event = event
        self.settings = settings
        self.item = item
        self.now_ms = now_ms


cdef class Output:
    """JSON being written. Each row is written over the last."""

    cdef unsigned char *data
    cdef size_t used
    cdef size_t room

    def __cinit__(self):
        self.room = 1024
        self.data = <unsigned char *>malloc(self.room)
        if self.data == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.data)

    cdef int put(self, const void *data, size_t n) except -1:
        if self.used + n > self.room:
            while self.used + n > self.room:
                self.room *= 2
            grown = <unsigned char *>realloc(self.data, self.room)
            if grown == NULL:
                raise MemoryError()
            self.data = grown
        memcpy(self.data + self.used, data, n)
        self.used += n
        return 0

    cdef inline int put_bytes(self, bytes data) except -1:
        return self.put(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef bytes taken(self):
        return PyBytes_FromStringAndSize(<const char *>self.data, self.used)


cdef class Node:
    cdef object value(self, Context c):
        return None

    cdef bint true(self, Context c):
        """Is the value exactly true? Conditions override it to make no object."""
        return self.value(c) is True

    cdef bint write(self, Context c, Output out) except -1:
        """Write the value as JSON; False, with nothing written, where it is null."""
        cdef object value = self.value(c)
        cdef bytes json = None if value is None else json_of(value)
        if json is None:
            return False
        out.put_bytes(json)
        return True


cdef bytes json_of(object value):
    """None for what JSON is not written of: nested deeper than 254, a lone surrogate."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return None


cdef class Literal(Node):
    """A constant; `json` is how it is written, `utf8` its text where it is one, `number` its value
    where it is a number that a double holds exactly."""

    cdef object constant
    cdef bytes json
    cdef bytes utf8
    cdef double number
    cdef bint is_number

    cdef int prepare(self, object constant) except -1:
        self.constant = constant
        if type(constant) is str:
            self.utf8 = (<str>constant).encode("utf-8", "surrogatepass")
        self.is_number = type(constant) is float or (
            type(constant) is int and -EXACT <= constant <= EXACT)
        if self.is_number:
            self.number = constant
        try:
            self.json = orjson.dumps(constant)
        except TypeError:
            self.json = b"null"
        return 0

    cdef object value(self, Context c):
        return self.constant

    cdef bint write(self, Context c, Output out) except -1:
        if self.constant is None:
            return False
        out.put_bytes(self.json)
        return True


cdef class Step:
    """One step of a path: a member's name, which in a list may be an item's number."""

    cdef bytes name
    cdef Py_ssize_t index

    def __cinit__(self, object key):
        cdef str text = key if type(key) is str else str(key)
        self.name = text.encode("utf-8", "surrogatepass")
        self.index = int(text) if text.isdecimal() and len(text) < 10 else -1


cdef class Path(Node):
    """Members below one of the roots: 0 the event, 1 the settings, 2 the item."""

    cdef int root
    cdef tuple keys
    cdef tuple steps

    cdef inline bint indexed(self, Context c):
        """Is it found by `find`, in the event's index?"""
        return self.root == 0 and c.doc is not None

    cdef const doc_node *find(self, Context c):
        cdef const doc_node *node = c.doc.tape.nodes
        cdef Step step
        for step in self.steps:
            if node.type == DOC_OBJECT:
                node = doc_member(&c.doc.tape, node, PyBytes_AS_STRING(step.name),
                                  PyBytes_GET_SIZE(step.name))
            elif step.index >= 0:
                node = doc_item(&c.doc.tape, node, step.index)
            else:
                return NULL
            if node == NULL:
                return NULL
        return node

    cdef object value(self, Context c):
        if self.root == 1:
            return walk(c.settings, self.keys)
        if self.root == 2:
            return walk(c.item, self.keys)
        if c.doc is None:
            return walk(c.event, self.keys)
        if not self.steps:
            return c.doc.data()
        return c.doc.load(self.find(c))

    cdef bint true(self, Context c):
        cdef const doc_node *node
        if not self.indexed(c):
            return self.value(c) is True
        node = self.find(c)
        return node != NULL and node.type == DOC_TRUE

    cdef bint write(self, Context c, Output out) except -1:
        """The value's own bytes."""
        cdef const doc_node *node
        if not self.indexed(c):
            return Node.write(self, c, out)
        node = self.find(c)
        if node == NULL or node.type == DOC_NULL:
            return False
        out.put(node.p, node.n)
        return True


cdef class Get(Node):
    """A member of what an expression gives."""

    cdef Node of
    cdef tuple keys

    cdef object value(self, Context c):
        return walk(self.of.value(c), self.keys)


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


cdef object walk(object found, tuple keys):
    cdef object key
    for key in keys:
        if type(found) is dict:
            found = (<dict>found).get(key if type(key) is str else str(key))
        elif type(found) is list:
            if type(key) is str:
                if not (<str>key).isdecimal() or len(<str>key) > 9:
                    return None
                key = int(key)
            if key >= len(<list>found):
                return None
            found = (<list>found)[key]
        else:
            return None
        if found is None:
            return None
    return found


cdef class Not(Node):
    cdef Node of

    cdef object value(self, Context c):
        return not self.of.true(c)

    cdef bint true(self, Context c):
        return not self.of.true(c)


cdef class All(Node):
    cdef tuple parts

    cdef object value(self, Context c):
        return self.true(c)

    cdef bint true(self, Context c):
        cdef Node part
        for part in self.parts:
            if not part.true(c):
                return False
        return True


cdef class Any(Node):
    cdef tuple parts

    cdef object value(self, Context c):
        return self.true(c)

    cdef bint true(self, Context c):
        cdef Node part
        for part in self.parts:
            if part.true(c):
                return True
        return False


cdef class First(Node):
    """The first that is not null."""

    cdef tuple parts

    cdef bint write(self, Context c, Output out) except -1:
        cdef Node part
        for part in self.parts:
            if part.write(c, out):
                return True
        return False

    cdef object value(self, Context c):
        cdef Node part
        cdef object found = None
        for part in self.parts:
            found = part.value(c)
            if found is not None:
                return found
        return None


cdef inline bint is_number(object value):
    return type(value) is int or type(value) is float


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


cdef class Equal(Node):
    cdef Node left
    cdef Node right
    cdef bint negated

    cdef object value(self, Context c):
        return self.true(c)

    cdef bint true(self, Context c):
        cdef const doc_node *node
        cdef Literal right
        cdef double number
        if type(self.left) is Path and type(self.right) is Literal and (<Path>self.left).indexed(c):
            node, right = (<Path>self.left).find(c), <Literal>self.right
            if right.constant is None:
                return (node == NULL or node.type == DOC_NULL) != self.negated
            if right.constant is True:
                return (node != NULL and node.type == DOC_TRUE) != self.negated
            if right.constant is False:
                return (node != NULL and node.type == DOC_FALSE) != self.negated
            if right.is_number and plain_number(node, &number):
                return (number == right.number) != self.negated
        return equal(self.left.value(c), self.right.value(c)) != self.negated


cdef class EqualText(Node):
    """A path compared with a literal string: the commonest condition there is."""

    cdef Node left
    cdef str right
    cdef bytes utf8
    cdef bint negated

    cdef object value(self, Context c):
        return self.true(c)

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


cdef class Order(Node):
    """Numbers only; anything else is false, NaN too."""

    cdef Node left
    cdef Node right
    cdef int operator

    cdef object value(self, Context c):
        return self.true(c)

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


cdef class In(Node):
    """`texts` where the list is of literal strings: their UTF-8."""

    cdef Node left
    cdef Node right
    cdef tuple texts

    cdef object value(self, Context c):
        return self.true(c)

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


cdef class Arithmetic(Node):
    cdef Node left
    cdef Node right
    cdef str operator

    cdef object value(self, Context c):
        cdef object a = self.left.value(c)
        cdef object b = self.right.value(c)
        if self.operator == "+" and (type(a) is str or type(b) is str):
            return None if a is None or b is None else text_of(a) + text_of(b)
        if not is_number(a) or not is_number(b):
            return None
        try:
            if self.operator == "+":
                found = a + b
            elif self.operator == "-":
                found = a - b
            elif self.operator == "*":
                found = a * b
            elif b == 0:
                return None
            elif self.operator == "/":
                found = a / b
            else:
                found = math.fmod(a, b) if type(a) is float or type(b) is float else a % b
        except (OverflowError, ValueError):
            return None
        if type(found) is float and not math.isfinite(found):
            return None
        if type(found) is int and not -(1 << 63) <= found < (1 << 64):
            return float(found)
        return found


cdef class List(Node):
    cdef tuple parts

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


cdef class Object(Node):
    """Members that are null are left out."""

    cdef tuple keys
    cdef tuple parts
    cdef tuple json

    cdef bint write(self, Context c, Output out) except -1:
        cdef Py_ssize_t i
        cdef size_t before
        out.put(b"{", 1)
        for i in range(len(self.parts)):
            before = out.used
            out.put_bytes(<bytes>self.json[i])
            if (<Node>self.parts[i]).write(c, out):
                out.put(b",", 1)
            else:
                out.used = before
        close_object(out)
        return True

    cdef object value(self, Context c):
        cdef dict found = {}
        cdef Py_ssize_t i
        cdef object value
        for i in range(len(self.keys)):
            value = (<Node>self.parts[i]).value(c)
            if value is not None:
                found[self.keys[i]] = value
        return found


cdef int close_object(Output out) except -1:
    """In place of the comma behind the last member, or behind an opening brace alone."""
    if out.data[out.used - 1] == b",":
        out.used -= 1
    return out.put(b"}", 1)


cdef bytes member_json(str key):
    return orjson.dumps(key) + b":"


class MissingField(Exception):
    """A required field has no value for this event. `field` is its dotted name."""

    def __init__(self, field):
        super().__init__(f"{field} is required")
        self.field = field


cdef class Fields(Node):
    """The members of a mapped row: nulls and empty objects are left out, required ones insisted on,
    and `rest` gives what the members do not name themselves."""

    cdef tuple keys
    cdef tuple parts
    cdef tuple required
    cdef Node rest
    cdef tuple json

    cdef bint write(self, Context c, Output out) except -1:
        """As `value`; False where there would be no member."""
        cdef Py_ssize_t i
        cdef size_t before, start = out.used
        cdef set written = None if self.rest is None else set()
        out.put(b"{", 1)
        for i in range(len(self.parts)):
            before = out.used
            out.put_bytes(<bytes>self.json[i])
            if (<Node>self.parts[i]).write(c, out):
                out.put(b",", 1)
                if written is not None:
                    written.add(self.keys[i])
            else:
                out.used = before
                if self.required[i] is not None:
                    raise MissingField(self.required[i])
        if self.rest is not None:
            self.write_rest(c, out, written)
        if out.used == start + 1:
            out.used = start
            return False
        close_object(out)
        return True

    cdef int write_rest(self, Context c, Output out, set written) except -1:
        cdef const doc_node *of
        cdef const doc_node *node
        cdef const doc_node *end
        cdef dict members = {}
        if not (type(self.rest) is Path and (<Path>self.rest).indexed(c)):
            return self.write_members(self.rest.value(c), out, written)
        of = (<Path>self.rest).find(c)
        if of == NULL or of.type != DOC_OBJECT:
            return 0
        node, end = of + 1, c.doc.tape.nodes + of.next
        # Of members with one name the last counts.
        while node < end:
            key = text_at(node.key, node.key_n, node.key_escaped)
            if key not in written:
                members[key] = node - c.doc.tape.nodes
            node = c.doc.tape.nodes + node.next
        for place in members.values():
            node = c.doc.tape.nodes + <Py_ssize_t>place
            if node.type != DOC_NULL:
                out.put(b'"', 1)
                out.put(node.key, node.key_n)
                out.put(b'":', 2)
                out.put(node.p, node.n)
                out.put(b",", 1)
        return 0

    cdef int write_members(self, object more, Output out, set written) except -1:
        if type(more) is dict:
            for key, value in (<dict>more).items():
                json = None if key in written or value is None else json_of(value)
                if json is not None:
                    out.put_bytes(member_json(key))
                    out.put_bytes(json)
                    out.put(b",", 1)
        return 0

    cdef object value(self, Context c):
        cdef dict found = {}
        cdef Py_ssize_t i
        cdef Node part
        cdef object value, key, more
        for i in range(len(self.keys)):
            part = <Node>self.parts[i]
            value = part.value(c)
            if value is None or (type(value) is dict and not <dict>value and type(part) is Fields):
                if self.required[i] is not None:
                    raise MissingField(self.required[i])
            else:
                found[self.keys[i]] = value
        if self.rest is not None:
            more = self.rest.value(c)
            if type(more) is dict:
                for key, value in (<dict>more).items():
                    if key not in found and value is not None:
                        found[key] = value
        return found


cdef class Template(Node):
    cdef tuple parts

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
    cdef object function
    cdef tuple arguments

    cdef object value(self, Context c):
        cdef Node part
        if len(self.arguments) == 1:
            return self.function((<Node>self.arguments[0]).value(c))
        return self.function(*[part.value(c) for part in self.arguments])


cdef class Contains(Node):
    cdef Node text
    cdef Node part

    cdef object value(self, Context c):
        return self.true(c)

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


cdef class If(Node):
    cdef Node condition
    cdef Node then
    cdef Node otherwise

    cdef object value(self, Context c):
        return self.then.value(c) if self.condition.true(c) else self.otherwise.value(c)

    cdef bint write(self, Context c, Output out) except -1:
        return (self.then if self.condition.true(c) else self.otherwise).write(c, out)


cdef class Each(Node):
    """map and filter: an expression for every item of a list."""

    cdef Node items
    cdef Node body
    cdef bint filters

    cdef object value(self, Context c):
        cdef object items = self.items.value(c)
        cdef Context inner
        cdef list found = []
        if type(items) is not list:
            return None
        for item in <list>items:
            inner = Context(c.event, c.settings, item, c.now_ms)
            inner.doc = c.doc
            if not self.filters:
                found.append(self.body.value(inner))
            elif self.body.true(inner):
                found.append(item)
        return found


cdef class Now(Node):
    cdef object value(self, Context c):
        return format_time(c.now_ms if c.now_ms is not None else int(time.time() * 1000))


_ORDER = {"<": 0, "<=": 1, ">": 2, ">=": 3}
_ROOTS = {"$": 0, "settings": 1, "item": 2}
_DIALECTS = {"router": parse, "actions": parse_actions}


cdef Node build(object tree, str text):
    kind = tree[0]
    if kind == "literal":
        literal = Literal()
        (<Literal>literal).prepare(tree[1])
        return literal
    if kind == "path":
        return build_path(tree)
    if kind == "get":
        get = Get()
        get.of, get.keys = build(tree[1], text), (tree[2],)
        return get
    if kind == "not":
        negation = Not()
        negation.of = build(tree[1], text)
        return negation
    if kind == "compare":
        return build_comparison(tree, text)
    if kind == "arithmetic":
        arithmetic = Arithmetic()
        arithmetic.operator = tree[1]
        arithmetic.left, arithmetic.right = build(tree[2], text), build(tree[3], text)
        return arithmetic
    if kind == "object":
        object_ = Object()
        object_.keys = tuple([key for key, _ in tree[1]])
        object_.parts = tuple([build(part, text) for _, part in tree[1]])
        object_.json = tuple([member_json(key) for key in object_.keys])
        return object_
    if kind == "call":
        return build_call(tree, text)
    return build_sequence(kind, tuple([build(part, text) for part in tree[1]]))


cdef Node build_path(tuple tree):
    cdef Path path = Path()
    path.root, path.keys = _ROOTS[tree[1]], tuple(tree[2])
    path.steps = tuple([Step(key) for key in path.keys])
    return path


cdef Node build_sequence(str kind, tuple parts):
    cdef All all_
    cdef Any any_
    cdef First first
    cdef List list_
    cdef Template template
    if kind == "and":
        all_ = All()
        all_.parts = parts
        return all_
    if kind == "or":
        any_ = Any()
        any_.parts = parts
        return any_
    if kind == "??":
        first = First()
        first.parts = parts
        return first
    if kind == "list":
        list_ = List()
        list_.parts = parts
        return list_
    template = Template()
    template.parts = parts
    return template


cdef Node build_comparison(tuple tree, str text):
    cdef EqualText same
    cdef Equal equality
    cdef Order order
    cdef In membership
    operator = tree[1]
    cdef Node left = build(tree[2], text)
    if operator in ("=", "!=") and tree[3][0] == "literal" and type(tree[3][1]) is str:
        same = EqualText()
        same.left, same.right, same.negated = left, tree[3][1], operator == "!="
        same.utf8 = same.right.encode("utf-8", "surrogatepass")
        return same
    cdef Node right = build(tree[3], text)
    if operator in ("=", "!="):
        equality = Equal()
        equality.left, equality.right, equality.negated = left, right, operator == "!="
        return equality
    if operator == "in":
        membership = In()
        membership.left, membership.right = left, right
        if type(right) is List and all([type(part) is Literal and (<Literal>part).utf8 is not None
                                        for part in (<List>right).parts]):
            membership.texts = tuple([(<Literal>part).utf8 for part in (<List>right).parts])
        return membership
    order = Order()
    order.left, order.right, order.operator = left, right, _ORDER[operator]
    return order


cdef Node build_call(tuple tree, str text):
    cdef Call call
    cdef Contains contains
    name, column = tree[1], tree[3]
    check_call(name, len(tree[2]), text, column)
    arguments = tuple([build(part, text) for part in tree[2]])
    if name == "contains":
        contains = Contains()
        contains.text, contains.part = arguments
        return contains
    if name in SPECIAL:
        return build_special(name, arguments)
    call = Call()
    call.arguments = arguments
    try:
        call.function = prepared(name, tree[2])
    except ValueError as error:
        raise ExpressionError(f"`{name}`: {error}", text=text, column=column) from None
    return call


cdef Node build_special(str name, tuple arguments):
    cdef If choice
    cdef First first
    cdef Each each
    if name == "if":
        choice = If()
        choice.condition, choice.then = arguments[0], arguments[1]
        choice.otherwise = arguments[2] if len(arguments) > 2 else Literal()
        return choice
    if name == "coalesce":
        first = First()
        first.parts = arguments
        return first
    if name == "now":
        return Now()
    each = Each()
    each.items, each.body, each.filters = arguments[0], arguments[1], name == "filter"
    return each


cdef Node build_fields(dict table, str prefix, set read):
    cdef Fields fields = Fields()
    keys, parts, required = [], [], []
    for name, value in table.items():
        key = name[:-1] if name.endswith("!") else name
        where = f"{prefix}{key}"
        if type(value) is dict:
            part = build_fields(value, where + ".", read)
        else:
            try:
                tree = parse(value)
                part = build(tree, value)
            except ExpressionError as error:
                error.field = where
                raise
            read |= paths(tree)
        if name == "...":
            fields.rest = part
            continue
        keys.append(key)
        parts.append(part)
        required.append(where if name.endswith("!") else None)
    fields.keys, fields.parts, fields.required = tuple(keys), tuple(parts), tuple(required)
    fields.json = tuple([member_json(key) for key in keys])
    return fields


def compile_fields(dict table not None):
    """Compile a table of expressions to one that gives an object.

    A name ending in `!` is required: without a value `MissingField` is raised. `...` names an
    expression whose members are added where the table has none of that name. Raises
    `ExpressionError`, whose `field` tells where.
    """
    cdef Expr expr = Expr()
    read = set()
    expr.node = build_fields(table, "", read)
    expr.text = "{…}"
    expr.paths = frozenset(read)
    return expr


def check_call(name, count, text, column):
    """Raise `ExpressionError` for an unknown function or a wrong number of arguments."""
    known = TABLE.get(name) or SPECIAL.get(name)
    if known is None:
        near = get_close_matches(name, [*TABLE, *SPECIAL], 1)
        hint = f"did you mean `{near[0]}`?" if near else "see docs/expressions.md"
        raise ExpressionError(f"there is no function `{name}`", text=text, column=column, hint=hint)
    if count < known.least or (known.most is not None and count > known.most):
        given = f"{count or 'no'} argument{'s' * (count != 1)}"
        raise ExpressionError(f"`{name}` was given {given}", text=text, column=column,
                              hint=f"it is used as `{known.usage}`")


cdef class Expr:
    """A compiled expression. `paths` tells which of the event's fields it reads."""

    cdef Node node
    cdef Output output
    cdef readonly str text
    cdef readonly frozenset paths

    def eval(self, dict event not None, settings=None, now_ms=None):
        """The value for `event`; null where it has none."""
        return self.node.value(Context(event, settings, None, now_ms))

    def test(self, dict event not None, settings=None, now_ms=None):
        """True only where the value is exactly true."""
        return self.node.true(Context(event, settings, None, now_ms))

    def eval_doc(self, Document doc not None, settings=None, now_ms=None):
        """`eval` of an event's index."""
        return self.node.value(context_of(doc, settings, now_ms))

    def test_doc(self, Document doc not None, settings=None, now_ms=None):
        """`test` of an event's index, without objects for what its bytes can tell."""
        return self.node.true(context_of(doc, settings, now_ms))

    def write_doc(self, Document doc not None, settings=None, now_ms=None):
        """The value as JSON; values that are the event's own stand there byte for byte."""
        return self.written(context_of(doc, settings, now_ms))

    cdef bytes written(self, Context c):
        if self.output is None:
            self.output = Output()
        elif self.output.room > KEPT_BYTES:
            self.output = Output()
        self.output.used = 0
        if self.node.write(c, self.output):
            return self.output.taken()
        return b"{}" if type(self.node) is Fields else b"null"

    def test_many(self, list docs not None, settings=None, now_ms=None):
        """`test_doc` of each: a byte 1 or 0."""
        cdef Context c = Context(None, settings, None, now_ms)
        cdef bytearray found = bytearray(len(docs))
        cdef Py_ssize_t i
        for i in range(len(docs)):
            c.doc = <Document?>docs[i]
            found[i] = self.node.true(c)
        return bytes(found)

    def write_many(self, list docs not None, settings=None, now_ms=None):
        """`write_doc` of each; None for those that lack a required field."""
        cdef Context c = Context(None, settings, None, now_ms)
        cdef list found = []
        for doc in docs:
            c.doc = <Document?>doc
            try:
                found.append(self.written(c))
            except MissingField:
                found.append(None)
        return found

    def __repr__(self):
        return f"Expr({self.text!r})"


cdef Context context_of(Document doc, object settings, object now_ms):
    cdef Context c = Context(None, settings, None, now_ms)
    c.doc = doc
    return c


def compile(str text not None, str dialect not None="router"):
    """Compile an expression. Raises `ExpressionError` with a column and, where it can, a hint.

    `dialect`: "router", or "actions" for a `subscribe` of Segment's Actions (fql_actions.py).
    """
    if dialect not in _DIALECTS:
        raise ValueError(f"no dialect {dialect!r}")
    return compile_tree(_DIALECTS[dialect](text), text)


def compile_tree(tuple tree not None, str text not None=""):
    """Compile a tree of parse.py; `text` is what errors quote. Raises `ExpressionError`."""
    cdef Expr expr = Expr()
    expr.text = text
    expr.node = build(tree, text)
    expr.paths = frozenset(paths(tree))
    return expr
