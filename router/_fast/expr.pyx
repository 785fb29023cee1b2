"""Expressions, compiled: parsed once (parse.py), built of nodes (expr_nodes.pyx, expr_conditions.pyx,
expr_values.pyx, expr_rows.pyx), evaluated for every event."""

from router._fast.document cimport Document
from router._fast.expr_build cimport build, build_fields
from router._fast.expr_nodes cimport Context, Node
from router._fast.expr_rows cimport Fields
from router._fast.output cimport Output

from router._fast.expr_rows import MissingField
from router._fast.fql_actions import parse_actions
from router._fast.hints import hints
from router._fast.parse import parse, paths


DEF KEPT_BYTES = 1 << 20
"""A buffer that one large row made larger than this is not kept for the next."""

_DIALECTS = {"router": parse, "actions": parse_actions}


cdef class Expr:
    """A compiled expression. `paths` tells which of the event's fields it reads, `hints` which of them
    are likely misspelt."""

    cdef Node node
    cdef Output output
    cdef readonly str text
    cdef readonly frozenset paths
    cdef readonly list hints

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

    def write_item(self, Document doc not None, item, settings=None, now_ms=None):
        """`write_doc`, where `item` stands for this value."""
        cdef Context c = context_of(doc, settings, now_ms)
        c.item = item
        return self.written(c)

    def write_form_doc(self, Document doc not None, settings=None, now_ms=None):
        """An object's members as application/x-www-form-urlencoded; those that are null are left out,
        lists and objects are their JSON. Empty where the value is no object."""
        self.start()
        self.node.write_form(context_of(doc, settings, now_ms), self.output)
        return self.output.taken()

    cdef int start(self) except -1:
        if self.output is None or self.output.room > KEPT_BYTES:
            self.output = Output()
        self.output.used = 0
        return 0

    cdef bytes written(self, Context c):
        self.start()
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
    expr.hints = hints(tree)
    return expr


def compile_fields(dict table not None):
    """Compile a table of expressions to one that gives an object.

    A name ending in `!` is required: without a value `MissingField` is raised. `...` names an
    expression whose members are added where the table has none of that name. Raises
    `ExpressionError`, whose `field` tells where.
    """
    cdef Expr expr = Expr()
    cdef dict trees = {}
    expr.node = build_fields(table, "", trees)
    expr.text = "{…}"
    expr.paths = frozenset().union(*[paths(tree) for tree in trees.values()])
    expr.hints = [f"{name}: {hint}" for name, tree in trees.items() for hint in hints(tree)]
    return expr
