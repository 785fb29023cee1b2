"""Segment's mapping JSON (mapping-kit) to the trees of parse.py, so that an exported mapping runs as it is.

A mapping is a JSON value. An object with one key that begins with `@` is a directive and stands for
a value; any other object or list is one of mappings, and everything else is itself, texts too.
Directives: @path @template @literal @if @case @replace @arrayPath @flatten @json @merge @transform
@excludeWhenNull @liquid. Semantics are those of action-destinations' mapping-kit, in which three
things differ here: what is null is left out as what is missing is, a list or an object in a template
is written as JSON, and @merge passes over members that are missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from router._fast.parse import Node, children
from router.destinations.liquid import liquid_tree
from router.errors import ConfigError

Lookup = Callable[[list[str]], Node]
"""The tree for a path, in the payload that a directive sees."""

_STEP = re.compile(r"[^\[\].]+")
_PLACE = re.compile(r"\{\{\{([^}]+)\}\}\}|\{\{([^}]+)\}\}")
_MAX_DEPTH = 40
_MAX_NODES = 20_000
_MAX_PATTERN = 10
_NULL: Node = ("literal", None)


def mapping_tree(mapping: Any, where: str = "mapping") -> Node:
    """The tree of a mapping. Raises `ConfigError` that names the place, `where` and below."""
    tree = _resolve(mapping, _event_path, where, 0)
    if _size(tree) > _MAX_NODES:
        raise ConfigError(f"`{where}` is larger than {_MAX_NODES} values", hint="split it up")
    return tree


def is_directive(value: Any) -> bool:
    """Is it an object with a key that begins with `@`, as no plain value has?"""
    return isinstance(value, dict) and any(key.startswith("@") for key in value)


def _event_path(keys: list[str]) -> Node:
    return ("path", "$", keys)


def _item_path(keys: list[str]) -> Node:
    return ("path", "item", keys)


def _size(tree: Node) -> int:
    waiting, count = [tree], 0
    while waiting and count <= _MAX_NODES:
        count += 1
        waiting += children(waiting.pop())
    return count


def _call(name: str, *arguments: Node) -> Node:
    return ("call", name, list(arguments), 0)


def _resolve(value: Any, at: Lookup, where: str, depth: int) -> Node:
    if depth > _MAX_DEPTH:
        raise ConfigError(f"`{where}` is nested deeper than {_MAX_DEPTH}")
    if isinstance(value, list):
        return ("list", [_resolve(x, at, f"{where}[{i}]", depth + 1) for i, x in enumerate(value)])
    if not isinstance(value, dict):
        return ("literal", value)
    if not is_directive(value):
        return (
            "object",
            [(key, _resolve(x, at, f"{where}.{key}", depth + 1)) for key, x in value.items()],
        )
    name, *more = value
    if more:
        raise ConfigError(
            f"`{where}`: a directive stands alone, here are {', '.join(value)}",
            hint="wrap each in an object of its own",
        )
    directive = _DIRECTIVES.get(name)
    if directive is None:
        known = ", ".join(_DIRECTIVES)
        raise ConfigError(f"`{where}`: there is no directive `{name}`", hint=f"known: {known}")
    return directive(value[name], at, f"{where}.{name}", depth + 1)


def path_keys(path: str) -> list[str]:
    """`$.a.b[0]` as its steps; `$` and `$.` are the whole."""
    if path in ("", ".", "$", "$."):
        return []
    return [_unquoted(step) for step in _STEP.findall(path.replace("$.", "", 1))]


def _unquoted(step: str) -> str:
    return step[1:-1] if len(step) > 1 and step[0] == step[-1] and step[0] in "'\"" else step


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"`{where}` has to be text")
    return value


def _table(value: Any, where: str, *needed: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"`{where}` has to be an object")
    for key in needed:
        if key not in value:
            raise ConfigError(f"`{where}.{key}` is missing")
    return value


def _path(value: Any, at: Lookup, where: str, depth: int) -> Node:
    return at(path_keys(_text(value, where)))


def _template(value: Any, at: Lookup, where: str, depth: int) -> Node:
    text, parts, end = _text(value, where), [], 0
    for match in _PLACE.finditer(text):
        if match.start() > end:
            parts.append(("literal", text[end : match.start()]))
        parts.append(at(path_keys((match[1] or match[2]).strip())))
        end = match.end()
    if end < len(text) or not parts:
        parts.append(("literal", text[end:]))
    return ("template", parts)


def _if(value: Any, at: Lookup, where: str, depth: int) -> Node:
    """`blank` holds where there is a value that JavaScript's `!= ''` holds of."""
    table = _table(value, where)
    if "exists" in table:
        test = _resolve(table["exists"], at, f"{where}.exists", depth)
        condition: Node = ("compare", "!=", test, _NULL)
    elif "blank" in table:
        test = _resolve(table["blank"], at, f"{where}.blank", depth)
        nothing = (None, "", 0, False)
        condition = ("and", [("compare", "!=", test, ("literal", each)) for each in nothing])
    else:
        raise ConfigError(f"`{where}` needs `exists` or `blank`")
    then = _resolve(table.get("then"), at, f"{where}.then", depth)
    otherwise = table.get("else") or None
    return _choice(condition, test, then, _resolve(otherwise, at, f"{where}.else", depth))


def _choice(condition: Node, test: Node, then: Node, otherwise: Node) -> Node:
    """`a ?? b` where it is one: it is the commonest mapping there is."""
    if condition[0] == "compare" and test == then:
        return test if otherwise == _NULL else ("??", [test, otherwise])
    return _call("if", condition, then, otherwise)


def _case(value: Any, at: Lookup, where: str, depth: int) -> Node:
    table = _table(value, where, "operator")
    name = {"lower": "lowercase", "upper": "uppercase"}.get(table["operator"])
    if name is None:
        raise ConfigError(f"`{where}.operator` has to be `lower` or `upper`")
    found = _resolve(table.get("value"), at, f"{where}.value", depth)
    return ("??", [_call(name, found), found])


def _replace(value: Any, at: Lookup, where: str, depth: int) -> Node:
    table = _table(value, where, "pattern")
    found = _resolve(table.get("value"), at, f"{where}.value", depth)
    options = ("" if table.get("global", True) else "1") + ("i" if table.get("ignorecase") else "")
    text = _call("string", found)
    for number in ("", "2"):
        pattern = table.get(f"pattern{number}")
        if pattern in (None, ""):
            continue
        new = table.get(f"replacement{number}") or ""
        for each in (pattern, new):
            if len(_text(each, f"{where}.pattern{number}")) > _MAX_PATTERN:
                raise ConfigError(f"`{where}`: {each!r} is longer than {_MAX_PATTERN} characters")
        text = _call("replace", text, ("literal", pattern), ("literal", new), ("literal", options))
    kind = _call("typeof", found)
    plain = ("list", [("literal", each) for each in ("string", "number", "bool")])
    return _call("if", ("compare", "in", kind, plain), text, found)


def _array_path(value: Any, at: Lookup, where: str, depth: int) -> Node:
    if not isinstance(value, list) or not value:
        raise ConfigError(f"`{where}` has to be a list of a path and a shape")
    root = value[0]
    found = at(path_keys(root)) if isinstance(root, str) else _resolve(root, at, where, depth)
    if len(value) < 2 or not isinstance(value[1], dict) or not value[1]:
        return found
    shape = _resolve(value[1], _item_path, f"{where}[1]", depth)
    kinds: Node = ("list", [("literal", "list"), ("literal", "object")])
    several = _call("map", _call("list", found), shape)
    return _call("if", ("compare", "in", _call("typeof", found), kinds), several, found)


def _flatten(value: Any, at: Lookup, where: str, depth: int) -> Node:
    table = _table(value, where, "value")
    found = _resolve(table["value"], at, f"{where}.value", depth)
    separator = _text(table.get("separator") or ".", f"{where}.separator")
    lists = not table.get("omitArrays")
    flat = _call("flatten", found, ("literal", separator), ("literal", lists))
    is_object = ("compare", "=", _call("typeof", found), ("literal", "object"))
    return _call("if", is_object, flat, found)


def _json(value: Any, at: Lookup, where: str, depth: int) -> Node:
    table = _table(value, where, "mode", "value")
    found = _resolve(table["value"], at, f"{where}.value", depth)
    if table["mode"] == "encode":
        return _call("json_encode", found)
    if table["mode"] != "decode":
        raise ConfigError(f"`{where}.mode` has to be `encode` or `decode`")
    return ("??", [_call("json_decode", found), found])


def _merge(value: Any, at: Lookup, where: str, depth: int) -> Node:
    table = _table(value, where, "objects", "direction")
    if not isinstance(table["objects"], list) or not table["objects"]:
        raise ConfigError(f"`{where}.objects` has to be a list of objects")
    if table["direction"] not in ("left", "right"):
        raise ConfigError(f"`{where}.direction` has to be `left` or `right`")
    found = [
        _resolve(each, at, f"{where}.objects[{i}]", depth)
        for i, each in enumerate(table["objects"])
    ]
    return _call("merge", *(found if table["direction"] == "right" else reversed(found)))


def _transform(value: Any, at: Lookup, where: str, depth: int) -> Node:
    """The second mapping sees what the first gives: its paths become the trees of the first."""
    table = _table(value, where, "apply", "mapping")
    if not isinstance(table["apply"], dict):
        raise ConfigError(f"`{where}.apply` has to be an object")
    first = _resolve(table["apply"], at, f"{where}.apply", depth)
    members = dict(first[1]) if first[0] == "object" else {}

    def in_first(keys: list[str]) -> Node:
        if not keys:
            return first
        return step_into(members.get(keys[0], _NULL), keys[1:])

    return _resolve(table["mapping"], in_first, f"{where}.mapping", depth)


def step_into(tree: Node, keys: list[Any]) -> Node:
    """The tree of a member of what `tree` gives."""
    for number, key in enumerate(keys):
        if tree[:2] == ("call", "as_type") and tree[2][1] == ("literal", "object"):
            # A member of what is no object is null all the same; an item of a list is not.
            tree = tree[2][0] if not str(key).isdecimal() else tree
        if tree[0] == "path":
            return ("path", tree[1], [*tree[2], *keys[number:]])
        if tree[0] == "object":
            tree = dict(tree[1]).get(str(key), _NULL)
        else:
            tree = ("get", tree, key)
    return tree


def _plain(value: Any, at: Lookup, where: str, depth: int) -> Node:
    return _resolve(value, at, where, depth)


def _liquid(value: Any, at: Lookup, where: str, depth: int) -> Node:
    return liquid_tree(_text(value, where), at, where)


_DIRECTIVES: dict[str, Callable[[Any, Lookup, str, int], Node]] = {
    "@path": _path,
    "@template": _template,
    "@literal": _plain,
    "@if": _if,
    "@case": _case,
    "@replace": _replace,
    "@arrayPath": _array_path,
    "@flatten": _flatten,
    "@json": _json,
    "@merge": _merge,
    "@transform": _transform,
    "@excludeWhenNull": _plain,
    "@liquid": _liquid,
}
