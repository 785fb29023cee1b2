"""The part of Liquid that mappings use, to trees of parse.py: output with filters, if, unless, assign.

A template's value is text. As in Liquid only nil and false are false; `and` and `or` bind alike, from
the right. What `assign` names is known until the block it stands in ends. Loops, and filters that are
not in the table, are refused, as most of them are in Segment's own mappings.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from router._fast.parse import Node
from router.errors import ConfigError

_MAX_CHARS = 1000
_TAG = re.compile(r"\{\{-?(.*?)-?\}\}|\{%-?(.*?)-?%\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*("[^"]*"|'[^']*'|-?\d+(?:\.\d+)?|==|!=|<=|>=|<>|[<>|:,]|[\w$][\w$-]*(?:\.[\w$-]+|\[[^\]]*\])*)"""
)
_STEP = re.compile(r"""[^\[\].'"]+|\[(?:"([^"]*)"|'([^']*)'|(\d+))\]""")
_CONSTANTS = {"nil": None, "null": None, "true": True, "false": False, "blank": "", "empty": ""}
_COMPARE = {"==": "=", "!=": "!=", "<>": "!=", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
_CALLS = {
    "upcase": "uppercase", "downcase": "lowercase", "capitalize": "capitalize", "strip": "trim",
    "append": "concat", "split": "split", "first": "first", "last": "last", "join": "join",
    "size": "length", "replace": "replace", "round": "round", "floor": "floor", "ceil": "ceil",
    "abs": "abs", "url_encode": "url_encode", "url_decode": "url_decode", "sha1": "sha1",
    "sha256": "sha256", "md5": "md5", "base64_encode": "base64", "base64_decode": "base64_decode",
    "json": "json_encode", "slice": "substring", "uniq": "unique", "reverse": "reverse",
    "compact": "compact", "hmac_sha256": "hmac_sha256", "hmac_sha1": "hmac_sha1",
}  # fmt: skip
_ARITHMETIC = {"plus": "+", "minus": "-", "times": "*", "divided_by": "/", "modulo": "%"}

Lookup = Callable[[list[str]], Node]


def liquid_tree(text: str, at: Lookup, where: str) -> Node:
    """The tree of a template; `at` gives the tree of a path. Raises `ConfigError`."""
    if len(text) > _MAX_CHARS:
        raise ConfigError(f"`{where}`: a template has at most {_MAX_CHARS} characters")
    return _Template(text, at, where).whole()


class _Template:
    def __init__(self, text: str, at: Lookup, where: str) -> None:
        self.at, self.where = at, where
        self.parts = self._cut(text)
        self.next = 0

    def wrong(self, message: str) -> ConfigError:
        return ConfigError(f"`{self.where}`: {message}", hint="write an expression instead")

    def _cut(self, text: str) -> list[tuple[str, str]]:
        """The text as pairs of a kind ("text", "output", "tag") and what stands in it."""
        found, end = [], 0
        for match in _TAG.finditer(text):
            found.append(("text", text[end : match.start()]))
            kind = "output" if match[1] is not None else "tag"
            found.append((kind, (match[1] if kind == "output" else match[2]).strip()))
            end = match.end()
        found.append(("text", text[end:]))
        return [(kind, part) for kind, part in found if part or kind != "text"]

    def whole(self) -> Node:
        tree, ended = self.block({}, ())
        if ended:
            raise self.wrong(f"`{ended}` without a beginning")
        return tree

    def block(self, names: dict[str, Node], ends: tuple[str, ...]) -> tuple[Node, str]:
        """Parts up to one of the tags `ends`, or the text's end; and that tag."""
        names, parts = dict(names), []
        while self.next < len(self.parts):
            kind, part = self.parts[self.next]
            self.next += 1
            if kind == "text":
                parts.append(("literal", part))
            elif kind == "output":
                parts.append(self.value(part, names))
            else:
                word, _, rest = part.partition(" ")
                if word in ends:
                    return ("template", parts or [("literal", "")]), part
                if word == "assign":
                    name, _, value = rest.partition("=")
                    names[name.strip()] = self.value(value, names)
                elif word in ("if", "unless"):
                    parts.append(self.choice(word, rest, names))
                else:
                    raise self.wrong(f"the tag `{word}` is not known here")
        if ends:
            raise self.wrong(f"`{ends[-1]}` is missing")
        return ("template", parts or [("literal", "")]), ""

    def choice(self, word: str, rest: str, names: dict[str, Node]) -> Node:
        condition = self.condition(rest, names)
        if word == "unless":
            condition = ("not", condition)
        then, ended = self.block(names, ("elsif", "else", f"end{word}"))
        otherwise: Node = ("literal", "")
        if ended.startswith("elsif"):
            otherwise = self.choice("if", ended[5:], names)
        elif ended == "else":
            otherwise, _ = self.block(names, (f"end{word}",))
        return ("call", "if", [condition, then, otherwise], 0)

    def tokens(self, text: str) -> list[str]:
        found, end = [], 0
        text = text.strip()
        while end < len(text):
            match = _TOKEN.match(text, end)
            if match is None:
                raise self.wrong(f"cannot read `{text[end : end + 20]}`")
            found.append(match[1])
            end = match.end()
        return found

    def condition(self, text: str, names: dict[str, Node]) -> Node:
        return self.any_of(self.tokens(text), names)

    def any_of(self, tokens: list[str], names: dict[str, Node]) -> Node:
        for place, token in enumerate(tokens):
            if token in ("and", "or"):
                left = self.test(tokens[:place], names)
                return (token, [left, self.any_of(tokens[place + 1 :], names)])
        return self.test(tokens, names)

    def test(self, tokens: list[str], names: dict[str, Node]) -> Node:
        if len(tokens) == 1:
            value = self.operand(tokens[0], names)
            nothing = (None, False)
            return ("and", [("compare", "!=", value, ("literal", each)) for each in nothing])
        if len(tokens) != 3:
            raise self.wrong(f"no condition: `{' '.join(tokens)}`")
        left, right = self.operand(tokens[0], names), self.operand(tokens[2], names)
        if tokens[1] == "contains":
            return ("call", "contains", [left, right], 0)
        if tokens[1] not in _COMPARE:
            raise self.wrong(f"no operator: `{tokens[1]}`")
        return ("compare", _COMPARE[tokens[1]], left, right)

    def operand(self, token: str, names: dict[str, Node]) -> Node:
        if token[0] in "'\"":
            return ("literal", token[1:-1])
        if token in _CONSTANTS:
            return ("literal", _CONSTANTS[token])
        if token[0].isdigit() or (token[0] == "-" and token[1:2].isdigit()):
            return ("literal", float(token) if "." in token else int(token))
        if not (token[0].isalpha() or token[0] in "_$"):
            raise self.wrong(f"no value: `{token}`")
        steps = [next((g for g in match.groups() if g is not None), match[0])
                 for match in _STEP.finditer(token)]  # fmt: skip
        if steps[0] in names:
            tree = names[steps[0]]
            for step in steps[1:]:
                tree = ("get", tree, step)
            return tree
        return self.at(steps)

    def value(self, text: str, names: dict[str, Node]) -> Node:
        """An operand and the filters it goes through."""
        tokens = self.tokens(text)
        if not tokens:
            raise self.wrong("an output is empty")
        tree, rest = self.operand(tokens[0], names), tokens[1:]
        while rest:
            if rest[0] != "|" or len(rest) < 2:
                raise self.wrong(f"cannot read `{' '.join(rest)}`")
            name, arguments, at = rest[1], [], 2
            if rest[2:3] == [":"]:
                arguments, at = [self.operand(rest[3], names)] if rest[3:] else [], 4
                while rest[at : at + 1] == [","] and rest[at + 1 :]:
                    arguments.append(self.operand(rest[at + 1], names))
                    at += 2
            tree, rest = self.filtered(tree, name, arguments), rest[at:]
        return tree

    def filtered(self, value: Node, name: str, arguments: list[Node]) -> Node:
        def call(function: str, *given: Node) -> Node:
            return ("call", function, list(given), 0)

        first: list[Any] = [*arguments, ("literal", "")]
        if name in _ARITHMETIC:
            return ("arithmetic", _ARITHMETIC[name], call("number", value), first[0])
        if name == "default":
            nothing = ("list", [("literal", None), ("literal", False), ("literal", "")])
            return call("if", ("compare", "in", value, nothing), first[0], value)
        if name == "prepend":
            return call("concat", first[0], value)
        if name == "remove":
            return call("replace", value, first[0], ("literal", ""))
        if name == "replace_first":
            return call("replace", value, *arguments, ("literal", "1"))
        if name not in _CALLS:
            raise self.wrong(f"the filter `{name}` is not known here")
        return call(_CALLS[name], value, *arguments)
