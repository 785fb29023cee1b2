"""From the parser's trees to nodes. What can be decided or made ready once is, here."""

from router._fast.expr_conditions cimport All, Any, Contains, Equal, EqualText, In, Not, Order
from router._fast.expr_nodes cimport Literal, Node, Path
from router._fast.expr_rows cimport Fields, Filled, Object
from router._fast.expr_values cimport (
    Arithmetic, Call, Each, Epoch, First, Get, If, List, Now, Remembered, Template,
    Typed, Typeof,
)

from difflib import get_close_matches

from router._fast.expr_values import TYPES
from router._fast.functions import SPECIAL, TABLE, prepared
from router._fast.parse import parse
from router.errors import ExpressionError


_ROOTS = {"$": 0, "settings": 1, "item": 2}


cdef Node build(object tree, str text):
    kind = tree[0]
    if kind == "literal":
        return Literal(tree[1])
    if kind == "path":
        return Path(_ROOTS[tree[1]], tuple(tree[2]))
    if kind == "get":
        return Get(build(tree[1], text), tree[2])
    if kind == "not":
        return Not(build(tree[1], text))
    if kind == "compare":
        return build_comparison(tree[1], build(tree[2], text), build(tree[3], text))
    if kind == "arithmetic":
        return Arithmetic(tree[1], build(tree[2], text), build(tree[3], text))
    if kind == "object":
        return Object(tuple([key for key, _ in tree[1]]),
                      tuple([build(part, text) for _, part in tree[1]]))
    if kind == "call":
        return build_call(tree, text)
    return build_sequence(kind, tuple([build(part, text) for part in tree[1]]))


cdef Node build_sequence(str kind, tuple parts):
    if kind == "and":
        return All(parts)
    if kind == "or":
        return Any(parts)
    if kind == "??":
        return First(parts)
    return List(parts) if kind == "list" else Template(parts)


cdef Node build_comparison(str operator, Node left, Node right):
    if operator == "in":
        return In(left, right)
    if operator not in ("=", "!="):
        return Order(left, right, operator)
    if type(right) is Literal and type((<Literal>right).constant) is str:
        return EqualText(left, (<Literal>right).constant, operator == "!=")
    return Equal(left, right, operator == "!=")


cdef Node build_call(tuple tree, str text):
    name, column = tree[1], tree[3]
    check_call(name, len(tree[2]), text, column)
    arguments = tuple([build(part, text) for part in tree[2]])
    if name == "filled" and type(arguments[0]) is Object:
        return Filled((<Object>arguments[0]).keys, (<Object>arguments[0]).parts,
                      (None,) * len((<Object>arguments[0]).keys), None, None, [])
    if name == "typeof" and type(arguments[0]) is Path:
        return Typeof(prepared(name, tree[2]), arguments)
    if name == "user_agent" and type(arguments[0]) in (Path, Typed):
        return Remembered(prepared(name, tree[2]), arguments)
    if name in ("epoch_ms", "epoch_s") and type(arguments[0]) in (Path, Typed):
        return Epoch(prepared(name, tree[2]), arguments)
    if name == "contains":
        return Contains(arguments[0], arguments[1])
    if name in SPECIAL:
        return build_special(name, arguments)
    try:
        if name == "as_type" and type(arguments[0]) is Path and type(arguments[1]) is Literal and (
                (<Literal>arguments[1]).constant in TYPES):
            return Typed(prepared(name, tree[2]), arguments)
        return Call(prepared(name, tree[2]), arguments)
    except ValueError as error:
        raise ExpressionError(f"`{name}`: {error}", text=text, column=column) from None


cdef Node build_special(str name, tuple arguments):
    if name == "if":
        return If(arguments[0], arguments[1], arguments[2] if len(arguments) > 2 else Literal())
    if name == "coalesce":
        return First(arguments)
    if name == "now":
        return Now()
    return Each(arguments[0], arguments[1], name == "filter")


cdef Node build_fields(dict table, str prefix, dict trees):
    """A value is text or a tree. `trees` takes each field's by its name. Raises `ExpressionError`,
    whose `field` tells where."""
    cdef Node part, rest = None, plain = None
    keys, parts, required, without = [], [], [], []
    for name, value in table.items():
        key = name.removesuffix("!")
        where = f"{prefix}{key}"
        if type(value) is dict:
            part = build_fields(value, where + ".", trees)
        else:
            try:
                tree = trees[where] = value if type(value) is tuple else parse(value)
                part = build(tree, where if type(value) is tuple else value)
            except ExpressionError as error:
                error.field = where
                raise
        if name == "...":
            rest = part
            plain, without = plain_rest(tree)
            continue
        keys.append(key)
        parts.append(part)
        required.append(where if name.endswith("!") else None)
    return Fields(tuple(keys), tuple(parts), tuple(required), rest, plain, without)


cdef tuple plain_rest(tuple tree):
    """The path and the names left out, where the tree is an object of the event without some members;
    else None and none."""
    without = []
    if tree[0] == "call" and tree[1] == "omit" and all([
            name[0] == "literal" and type(name[1]) is str for name in tree[2][1:]]):
        without = [name[1].encode("utf-8", "surrogatepass") for name in tree[2][1:]]
        tree = tree[2][0]
    if tree[0] == "call" and tree[1] == "as_type" and tree[2][1] == ("literal", "object"):
        tree = tree[2][0]
    return (build(tree, "") if tree[0] == "path" else None), without


cdef check_call(str name, Py_ssize_t count, str text, int column):
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
