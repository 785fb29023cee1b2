"""Expressions as a tree of nodes: parsed once (parse.py), evaluated for every event.

Nodes read the decoded event; a missing path is null. Evaluation never raises for odd data: what
makes no sense is null, or false in a condition.
"""

from difflib import get_close_matches

from router._fast.envelope import format_time
from router._fast.functions import SPECIAL, TABLE, text_of
from router._fast.parse import parse, paths
from router.errors import ExpressionError

import math
import time


cdef class Context:
    """What an evaluation sees."""

    cdef dict event
    cdef object settings
    cdef object item
    cdef object now_ms

    def __cinit__(self, dict event, object settings, object item, object now_ms):
        self.event = event
        self.settings = settings
        self.item = item
        self.now_ms = now_ms


cdef class Node:
    cdef object value(self, Context c):
        return None

    cdef bint true(self, Context c):
        """Is the value exactly true? Conditions override it to make no object."""
        return self.value(c) is True


cdef class Literal(Node):
    cdef object constant

    cdef object value(self, Context c):
        return self.constant


cdef class Member(Node):
    """A top-level member of the event."""

    cdef object key

    cdef object value(self, Context c):
        return c.event.get(self.key)


cdef class Path(Node):
    """Members below one of the roots."""

    cdef int root
    cdef tuple keys

    cdef object value(self, Context c):
        cdef object found
        if self.root == 0:
            found = c.event
        elif self.root == 1:
            found = c.settings
        else:
            found = c.item
        return walk(found, self.keys)


cdef class Get(Node):
    """A member of what an expression gives."""

    cdef Node of
    cdef tuple keys

    cdef object value(self, Context c):
        return walk(self.of.value(c), self.keys)


cdef object walk(object found, tuple keys):
    cdef object key
    for key in keys:
        if type(found) is dict:
            found = (<dict>found).get(key if type(key) is str else str(key))
        elif type(found) is list:
            if type(key) is str:
                if not (<str>key).isdecimal():
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
        return equal(self.left.value(c), self.right.value(c)) != self.negated


cdef class EqualText(Node):
    """A path compared with a literal string: the commonest condition there is."""

    cdef Node left
    cdef str right
    cdef bint negated

    cdef object value(self, Context c):
        return self.true(c)

    cdef bint true(self, Context c):
        cdef object found = self.left.value(c)
        return (type(found) is str and <str>found == self.right) != self.negated


cdef class Order(Node):
    """Numbers only; anything else is false, NaN too."""

    cdef Node left
    cdef Node right
    cdef int operator

    cdef object value(self, Context c):
        return self.true(c)

    cdef bint true(self, Context c):
        cdef object a = self.left.value(c)
        cdef object b = self.right.value(c)
        if not is_number(a) or not is_number(b):
            return False
        if self.operator == 0:
            return a < b
        if self.operator == 1:
            return a <= b
        if self.operator == 2:
            return a > b
        return a >= b


cdef class In(Node):
    cdef Node left
    cdef Node right

    cdef object value(self, Context c):
        return self.true(c)

    cdef bint true(self, Context c):
        cdef object items = self.right.value(c)
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


cdef class Object(Node):
    """Members that are null are left out."""

    cdef tuple keys
    cdef tuple parts

    cdef object value(self, Context c):
        cdef dict found = {}
        cdef Py_ssize_t i
        cdef object value
        for i in range(len(self.keys)):
            value = (<Node>self.parts[i]).value(c)
            if value is not None:
                found[self.keys[i]] = value
        return found


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
        cdef object text = self.text.value(c)
        cdef object part = self.part.value(c)
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


cdef Node build(object tree, str text):
    kind = tree[0]
    if kind == "literal":
        literal = Literal()
        literal.constant = tree[1]
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
        return object_
    if kind == "call":
        return build_call(tree, text)
    return build_sequence(kind, tuple([build(part, text) for part in tree[1]]))


cdef Node build_path(tuple tree):
    cdef Member member
    cdef Path path
    if tree[1] == "$" and len(tree[2]) == 1 and type(tree[2][0]) is str:
        member = Member()
        member.key = tree[2][0]
        return member
    path = Path()
    path.root, path.keys = _ROOTS[tree[1]], tuple(tree[2])
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
        return same
    cdef Node right = build(tree[3], text)
    if operator in ("=", "!="):
        equality = Equal()
        equality.left, equality.right, equality.negated = left, right, operator == "!="
        return equality
    if operator == "in":
        membership = In()
        membership.left, membership.right = left, right
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
    if name in SPECIAL:
        return build_special(name, arguments)
    if name == "contains":
        contains = Contains()
        contains.text, contains.part = arguments
        return contains
    call = Call()
    call.function, call.arguments = TABLE[name].call, arguments
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
    if name in SPECIAL:
        usage, _, least, most = SPECIAL[name]
    elif name in TABLE:
        usage, least, most = TABLE[name].usage, TABLE[name].least, TABLE[name].most
    else:
        near = get_close_matches(name, [*TABLE, *SPECIAL], 1)
        hint = f"did you mean `{near[0]}`?" if near else "see docs/expressions.md"
        raise ExpressionError(f"there is no function `{name}`", text=text, column=column, hint=hint)
    if count < least or (most is not None and count > most):
        raise ExpressionError(f"`{name}` was given {count} arguments", text=text, column=column,
                              hint=f"it is used as `{usage}`")


cdef class Expr:
    """A compiled expression. `paths` tells which of the event's fields it reads."""

    cdef Node node
    cdef readonly str text
    cdef readonly frozenset paths

    def eval(self, dict event not None, settings=None, now_ms=None):
        """The value for `event`; null where it has none."""
        return self.node.value(Context(event, settings, None, now_ms))

    def test(self, dict event not None, settings=None, now_ms=None):
        """True only where the value is exactly true."""
        return self.node.true(Context(event, settings, None, now_ms))

    def __repr__(self):
        return f"Expr({self.text!r})"


def compile(str text not None):
    """Compile an expression. Raises `ExpressionError` with a column and, where it can, a hint."""
    cdef Expr expr = Expr()
    tree = parse(text)
    expr.text = text
    expr.node = build(tree, text)
    expr.paths = frozenset(paths(tree))
    return expr
