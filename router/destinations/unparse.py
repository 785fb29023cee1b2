"""Trees of parse.py as the text of an expression: the inverse of the parser, for people to read."""

from __future__ import annotations

import re
from typing import Any

from router._fast.parse import Node

_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*\Z")

_KEYWORDS = frozenset({"and", "or", "not", "in", "null", "true", "false", "settings", "item", "$"})
_LEVEL = {
    "or": 1,
    "and": 2,
    "not": 3,
    "compare": 4,
    "??": 5,
    "+": 6,
    "-": 6,
    "*": 7,
    "/": 7,
    "%": 7,
}
_CLOSED = 9


def unparse(tree: Node) -> str:
    """Text that parses to an equal tree, apart from columns."""
    return _text(tree)[0]


def _within(tree: Node, least: int) -> str:
    text, level = _text(tree)
    return text if level >= least else f"({text})"


def _text(tree: Node) -> tuple[str, int]:
    """The text, and how closely it binds."""
    kind = tree[0]
    if kind == "literal":
        return literal_text(tree[1])
    if kind == "path":
        return _path(tree[1], tree[2]), _CLOSED
    if kind == "get":
        base = (
            _text(tree[1])[0] if tree[1][0] in ("call", "get") else f"first([{unparse(tree[1])}])"
        )
        return base + _step(tree[2]), _CLOSED
    if kind == "call":
        return f"{tree[1]}({', '.join(map(unparse, tree[2]))})", _CLOSED
    if kind == "list":
        return f"[{', '.join(map(unparse, tree[1]))}]", _CLOSED
    if kind == "object":
        members = [f"{_member(key)}: {unparse(part)}" for key, part in tree[1]]
        return "{" + ", ".join(members) + "}", _CLOSED
    if kind == "template":
        return _template(tree[1])
    if kind == "not":
        return f"not {_within(tree[1], _LEVEL['compare'])}", _LEVEL["not"]
    if kind == "compare":
        level = _LEVEL["compare"]
        sides = [_within(side, level + 1) for side in tree[2:]]
        return f"{sides[0]} {tree[1]} {sides[1]}", level
    if kind == "arithmetic":
        level = _LEVEL[tree[1]]
        return f"{_within(tree[2], level)} {tree[1]} {_within(tree[3], level + 1)}", level
    level = _LEVEL[kind]
    if len(tree[1]) == 1:
        return _lone(kind, tree[1][0])
    return f" {kind} ".join(_within(part, level + 1) for part in tree[1]), level


def _lone(kind: str, part: Node) -> tuple[str, int]:
    """A group of one, which text cannot write: `and` and `or` make it a condition."""
    if kind == "??":
        return _text(part)
    return f"true and {_within(part, _LEVEL['and'] + 1)}", _LEVEL["and"]


def _path(root: str, keys: list[Any]) -> str:
    if root != "$":
        return root + "".join(map(_step, keys))
    if not keys:
        return "$"
    first = keys[0]
    bare = isinstance(first, str) and _NAME.match(first) and first not in _KEYWORDS
    return (first if bare else f"${_step(first)}") + "".join(map(_step, keys[1:]))


def _step(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    if _NAME.match(key):
        return f".{key}"
    if '"' not in key:
        return f'["{key}"]'
    return f"['{key}']" if "'" not in key else "." + re.sub(r"([^A-Za-z0-9_-])", r"\\\1", key)


def _member(key: str) -> str:
    if _NAME.match(key):
        return key
    if '"' not in key:
        return f'"{key}"'
    if "'" not in key:
        return f"'{key}'"
    # A name begins with a letter or a backslash.
    return "".join(char if char.isascii() and char.isalpha() else f"\\{char}" for char in key)


def literal_text(value: Any) -> tuple[str, int]:
    """A constant, and how closely it binds."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value], _CLOSED
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, list):
        return "[" + ", ".join(literal_text(item)[0] for item in value) + "]", _CLOSED
    if isinstance(value, dict):
        members = [f"{_member(key)}: {literal_text(item)[0]}" for key, item in value.items()]
        return "{" + ", ".join(members) + "}", _CLOSED
    for quote in "\"'`":
        if quote not in value and (quote != "`" or "${" not in value):
            return f"{quote}{value}{quote}", _CLOSED
    parts = re.findall(r'[^"]+|"+', value)
    quoted = [f"'{part}'" if part[0] == '"' else f'"{part}"' for part in parts]
    return f"concat({', '.join(quoted)})", _CLOSED


def _number(value: float) -> tuple[str, int]:
    text = repr(value)
    if "e" in text:  # the language has no exponents
        text = f"{value:.400f}".rstrip("0")
        text += "0" if text[-1] == "." else ""
    return text, _CLOSED if value >= 0 else 8


def _template(parts: list[Node]) -> tuple[str, int]:
    pieces = []
    for part in parts:
        if part[0] == "literal" and isinstance(part[1], str):
            if "`" in part[1] or "${" in part[1]:
                return f"concat({', '.join(map(unparse, parts))})", _CLOSED
            pieces.append(part[1])
        else:
            text = unparse(part)
            if "`" in text:
                return f"concat({', '.join(map(unparse, parts))})", _CLOSED
            pieces.append(f"${{{text}}}")
    return f"`{''.join(pieces)}`", _CLOSED
