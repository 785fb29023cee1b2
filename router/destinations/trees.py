"""Trees of parse.py, rewritten before they are compiled: fields and settings put in, constants folded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from router._fast.expr import Expr, compile_tree
from router._fast.parse import Node, children, parse
from router.destinations.mapping_kit import step_into
from router.errors import ConfigError, ExpressionError

NULL: Node = ("literal", None)
_MAX_NODES = 50_000


def parse_at(text: str, where: str, item: bool = False) -> Node:
    """The tree of an expression, in which `item` means something where it is true. Raises
    `ConfigError` that names `where`."""
    try:
        tree = parse(text, item=item)
        compile_tree(tree, text)  # finds unknown functions, with their column
    except ExpressionError as error:
        raise at_place(error, where) from None
    return tree


def compile_at(text: str, where: str) -> Expr:
    """`text` compiled. Raises `ConfigError` that names `where`."""
    return compile_tree(parse_at(text, where), text)


def at_place(error: ExpressionError, where: str) -> ConfigError:
    column = f", column {error.column}" if error.column else ""
    return ConfigError(f"`{where}`{column}: {error.message}", hint=error.hint)


def rebuilt(tree: Node, change: Callable[[Node], Node]) -> Node:
    """The tree with `change` applied to each node, the innermost first."""
    kind = tree[0]
    if kind in ("literal", "path"):
        return change(tree)
    if kind == "call":
        return change(("call", tree[1], [rebuilt(part, change) for part in tree[2]], tree[3]))
    if kind == "not":
        return change(("not", rebuilt(tree[1], change)))
    if kind == "get":
        return change(("get", rebuilt(tree[1], change), tree[2]))
    if kind in ("compare", "arithmetic"):
        return change((kind, tree[1], rebuilt(tree[2], change), rebuilt(tree[3], change)))
    if kind == "object":
        return change(("object", [(key, rebuilt(part, change)) for key, part in tree[1]]))
    return change((kind, [rebuilt(part, change) for part in tree[1]]))


def with_fields(tree: Node, fields: Mapping[str, Node], where: str) -> Node:
    """The tree with each `fields.name` replaced by that field's own tree."""

    def change(node: Node) -> Node:
        if node[0] != "path" or node[1] != "$" or node[2][:1] != ["fields"]:
            return node
        steps = node[2][1:]
        if not steps:
            return ("object", list(fields.items()))
        if steps[0] not in fields:
            near = get_close_matches(str(steps[0]), fields, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(fields)}"
            raise ConfigError(f"`{where}`: the action has no field `{steps[0]}`", hint=hint)
        return step_into(fields[steps[0]], steps[1:])

    found = rebuilt(tree, change)
    if size(found) > _MAX_NODES:
        raise ConfigError(f"`{where}` becomes larger than {_MAX_NODES} values")
    return found


def size(tree: Node) -> int:
    waiting, count = [tree], 0
    while waiting and count <= _MAX_NODES:
        count += 1
        waiting += children(waiting.pop())
    return count


def folded(tree: Node, settings: Mapping[str, Any]) -> Node:
    """The tree with the settings' values in it, and with what they decide decided."""

    def change(node: Node) -> Node:
        if node[0] == "path":
            return _setting(node, settings) if node[1] == "settings" else node
        if node[0] == "literal":
            return node
        if node[0] == "call" and node[1] in ("if", "coalesce"):
            return _choice(node)
        if node[0] == "call" and node[1] == "exists" and node[2][0][0] != "literal":
            return ("compare", "!=", node[2][0], NULL)
        if node[0] in ("and", "or", "??"):
            return _shortened(node)
        if node == ("call", "now", [], node[-1]):
            return node
        if all(part[0] == "literal" for part in children(node)):
            return ("literal", compile_tree(node).eval({}))
        return node

    return rebuilt(tree, change)


def _setting(node: Node, settings: Mapping[str, Any]) -> Node:
    return ("literal", compile_tree(node).eval({}, settings))


def _choice(node: Node) -> Node:
    arguments = node[2]
    if node[1] == "coalesce":
        return _shortened(("??", arguments))
    if arguments[0][0] != "literal":
        return node
    if arguments[0][1] is True:
        return arguments[1]  # type: ignore[no-any-return]
    return arguments[2] if len(arguments) > 2 else NULL


def _shortened(node: Node) -> Node:
    """`and`, `or` and `??` without the parts that cannot matter."""
    kind, parts = node
    kept: list[Node] = []
    for part in parts:
        if part[0] != "literal":
            kept.append(part)
        elif kind == "??" and part[1] is not None:
            kept.append(part)
            break
        elif kind == "and" and part[1] is not True:
            return ("literal", False)
        elif kind == "or" and part[1] is True:
            return ("literal", True)
    if not kept:
        return ("literal", {"and": True, "or": False}.get(kind))
    return kept[0] if kind == "??" and len(kept) == 1 else (kind, kept)


def reads_event(tree: Node) -> bool:
    """Does the value depend on the event?"""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if node[0] == "path" and node[1] == "$":
            return True
        waiting += children(node)
    return False


def rows_in(tree: Node) -> str | None:
    """`rows` or `row`, where the tree reads such a member of the event."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if node[0] == "path" and node[1] == "$" and node[2] and node[2][0] in ("row", "rows"):
            return str(node[2][0])
        waiting += children(node)
    return None


def types_of(tree: Node) -> frozenset[str] | None:
    """The types of events of which a condition can be true; None where it does not tell."""
    kind = tree[0]
    if kind == "literal":
        return None if tree[1] is True else frozenset()
    if kind == "compare" and tree[2] == ("path", "$", ["type"]):
        operator, wanted = tree[1], tree[3]
        if operator == "=" and wanted[0] == "literal":
            return frozenset([wanted[1]] if isinstance(wanted[1], str) else [])
        if operator == "in" and wanted[0] == "literal" and isinstance(wanted[1], list):
            return frozenset(each for each in wanted[1] if isinstance(each, str))
    if kind == "and":
        told = [types for part in tree[1] if (types := types_of(part)) is not None]
        return frozenset.intersection(*told) if told else None
    if kind == "or":
        all_types = [types_of(part) for part in tree[1]]
        if all(types is not None for types in all_types):
            return frozenset().union(*(types for types in all_types if types is not None))
    return None
