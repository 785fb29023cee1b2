"""Expressions as text to a tree of tuples. Runs once an expression; errors point at the column.

The tree: ("literal", value), ("path", root, keys), ("call", name, args, column), ("not", x),
("and" | "or" | "??", [x…]), ("compare", operator, a, b), ("arithmetic", operator, a, b),
("list", [x…]), ("object", [(key, x)…]), ("template", [x…]), ("get", x, key).
"""

from __future__ import annotations

import math
import re
from difflib import get_close_matches
from typing import Any, NamedTuple

from router._fast.functions import SPECIAL, TABLE
from router.errors import ExpressionError

Node = tuple[Any, ...]

_SPACE = " \t\n\r"
_WORD_START = re.compile(r"[A-Za-z_$\\]")
_WORD = re.compile(r"(?:[A-Za-z0-9_$-]|\\.)+", re.DOTALL)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_SYMBOLS = ("!=", ">=", "<=", "??", "...", "=", ">", "<", "(", ")", "[", "]", "{", "}",
            ",", ".", ":", "!", "+", "-", "*", "/", "%")  # fmt: skip
_LONE = re.compile("[\ud800-\udfff]")
_LOOPS = frozenset({"map", "filter"})
_COMPARE = frozenset({"=", "!=", ">", ">=", "<", "<="})
_KEYWORDS = frozenset({"and", "or", "not", "in", "null", "true", "false"})
_ELSEWHERE = {
    "&": "write `and`",
    "|": "write `or`",
    ";": "an expression is one value",
    "~": "write `match(text, glob)`",
    "is": "write `= null`, say",
    "like": "write `match(text, glob)`",
    "not": "write `not (… in …)`",
    "equals": "write `=`",
    "then": "write `if(condition, then, else)`",
}
"""What other languages write, and what to write here."""
_MAX_DEPTH = 50
"""Of brackets in brackets."""
_MAX_TREE = 200
"""Of nodes in nodes: a sum of so many terms is as deep."""
_MAX_CHARS = 100_000


class Token(NamedTuple):
    """`kind` is "word", "number", "string", "template", a symbol, or "end"."""

    kind: str
    text: str
    column: int


def tokens(text: str) -> list[Token]:
    """Cut `text` into tokens. Raises `ExpressionError`."""
    if len(text) > _MAX_CHARS:
        raise ExpressionError(f"an expression has at most {_MAX_CHARS} characters", text=text[:80])
    found: list[Token] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char in _SPACE:
            at += 1
            continue
        if char in "\"'`":
            end = text.find(char, at + 1)
            if end < 0:
                raise _error("this string is not closed", text, at, f"add {char}")
            kind = "template" if char == "`" else "string"
            found.append(Token(kind, text[at + 1 : end], at + 1))
            at = end + 1
        elif "0" <= char <= "9":
            match = _NUMBER.match(text, at)
            assert match is not None
            at = match.end()
            if text[at : at + 1] == "." and not text[at + 1 : at + 2].isalpha():
                raise _error("a number needs digits after its point", text, at)
            found.append(Token("number", match[0], match.start() + 1))
        elif _WORD_START.match(char):
            match = _WORD.match(text, at)
            if match is None:
                raise _error("a backslash needs a character after it", text, at)
            found.append(Token("word", match[0], at + 1))
            at = match.end()
        else:
            symbol = next((s for s in _SYMBOLS if text.startswith(s, at)), None)
            if symbol is None:
                hint = _ELSEWHERE.get(char, "")
                raise _error(f"unexpected character {char!r}", text, at, hint)
            found.append(Token(symbol, symbol, at + 1))
            at += len(symbol)
    found.append(Token("end", "", len(text) + 1))
    return found


def _error(message: str, text: str, at: int, hint: str = "") -> ExpressionError:
    return ExpressionError(message, text=text, column=at + 1, hint=hint)


def _plain(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL)


class _Parser:
    """Recursive descent; one method a level of precedence, loosest first."""

    def __init__(self, text: str, flat: bool = False, loops: int = 0) -> None:
        self.text = text
        self.flat = flat
        self.loops = loops
        self.tokens = tokens(text)
        self.at = 0
        self.depth = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def take(self, *kinds: str) -> Token | None:
        if self.next.kind in kinds:
            self.at += 1
            return self.tokens[self.at - 1]
        return None

    def word(self, *words: str) -> bool:
        if self.next.kind == "word" and self.next.text in words:
            self.at += 1
            return True
        return False

    def need(self, kind: str, after: str) -> Token:
        token = self.take(kind)
        if token is None:
            raise self.wrong(f"expected `{kind}` {after}")
        return token

    def wrong(self, message: str, hint: str = "") -> ExpressionError:
        token = self.next
        found = "the end" if token.kind == "end" else f"`{token.text or token.kind}`"
        return ExpressionError(
            f"{message}, found {found}", text=self.text, column=token.column, hint=hint
        )

    def whole(self) -> Node:
        node = self.either()
        if self.next.kind != "end":
            raise self.wrong("expected an operator", self.operator_hint())
        return node

    def operator_hint(self) -> str:
        kind, text, _ = self.next
        if kind in _COMPARE:
            return "a comparison has two sides; join two of them with `and`"
        if kind != "word":
            return ""
        lowered = text.lower()
        if lowered in _ELSEWHERE:
            return _ELSEWHERE[lowered]
        function = TABLE.get(lowered) or SPECIAL.get(lowered)
        if function is not None:
            return f"write `{function.usage}`"
        near = get_close_matches(lowered[:20], ("and", "or", "in"), 1)
        return f"did you mean `{near[0]}`?" if near else ""

    def either(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise self.wrong(f"nested deeper than {_MAX_DEPTH}")
        node = self.group() if self.flat else self.any()
        self.depth -= 1
        return node

    def group(self) -> Node:
        found, operator = [self.negation()], "and"
        # Segment's own presets have them in upper case as well.
        while self.next.kind == "word" and self.next.text.lower() in ("and", "or"):
            operator = self.next.text.lower()
            self.at += 1
            found.append(self.negation())
        return found[0] if len(found) == 1 else (operator, found)

    def any(self) -> Node:
        found = [self.both()]
        while self.word("or"):
            found.append(self.both())
        return found[0] if len(found) == 1 else ("or", found)

    def both(self) -> Node:
        found = [self.negation()]
        while self.word("and"):
            found.append(self.negation())
        return found[0] if len(found) == 1 else ("and", found)

    def negation(self) -> Node:
        times = 0
        while self.word("not"):
            times += 1
        node = self.comparison()
        return ("not", node) if times % 2 else (("not", ("not", node)) if times else node)

    def comparison(self) -> Node:
        left = self.fallback()
        if (token := self.take(*_COMPARE)) is not None:
            if self.next.kind in ("=", ">"):
                written = token.kind + self.next.kind
                meant = "!=" if written == "<>" else token.kind
                raise self.wrong("expected a value", f"write `{meant}`")
            return ("compare", token.kind, left, self.fallback())
        if self.word("in"):
            return ("compare", "in", left, self.fallback())
        return left

    def fallback(self) -> Node:
        found = [self.addition()]
        while self.take("??"):
            found.append(self.addition())
        return found[0] if len(found) == 1 else ("??", found)

    def addition(self) -> Node:
        left = self.multiplication()
        while (token := self.take("+", "-")) is not None:
            left = ("arithmetic", token.kind, left, self.multiplication())
        return left

    def multiplication(self) -> Node:
        left = self.sign()
        while (token := self.take("*", "/", "%")) is not None:
            left = ("arithmetic", token.kind, left, self.sign())
        return left

    def sign(self) -> Node:
        if self.take("!"):
            return ("not", self.sign())
        if self.take("-"):
            node = self.sign()
            if node[0] == "literal" and isinstance(node[1], int | float):
                return ("literal", -node[1])
            return ("arithmetic", "-", ("literal", 0), node)
        if self.take("+"):
            return self.sign()
        return self.steps(self.primary())

    def steps(self, node: Node) -> Node:
        """`.name` and `[…]` behind a value."""
        while True:
            if self.take("."):
                token = self.take("word", "number")
                if token is None:
                    raise self.wrong("expected a name after `.`")
                node = _step(node, _plain(token.text))
            elif self.next.kind == "[" and node[0] in ("path", "call", "get"):
                self.at += 1
                token = self.take("number", "string")
                if token is None:
                    raise self.wrong("expected a number or a string in `[ ]`")
                self.need("]", "after the index")
                node = _step(
                    node, int(self.number(token)) if token.kind == "number" else token.text
                )
            else:
                return node

    def primary(self) -> Node:
        token = self.next
        if self.take("number"):
            value = self.number(token)
            return ("literal", value if "." in token.text else int(token.text))
        if self.take("string"):
            return ("literal", token.text)
        if self.take("template"):
            return self.template(token)
        if self.take("("):
            node = self.either()
            self.need(")", "to close the bracket")
            return node
        if self.take("["):
            return ("list", self.until("]"))
        if self.take("{"):
            return self.object()
        if self.take("word"):
            return self.name(token)
        raise self.wrong("expected a value")

    def number(self, token: Token) -> float:
        value = float(token.text)
        if value == math.inf:
            raise ExpressionError("a number too large", text=self.text, column=token.column)
        return value

    def name(self, token: Token) -> Node:
        text = token.text
        if self.next.kind == "(" and text not in _KEYWORDS:
            self.at += 1
            return ("call", text, self.until(")", text in _LOOPS), token.column)
        if text in ("true", "false"):
            return ("literal", text == "true")
        if text == "null":
            return ("literal", None)
        if text in _KEYWORDS:
            self.at -= 1
            raise self.wrong("expected a value")
        if text == "item" and not self.loops:
            raise ExpressionError(
                "`item` stands for nothing outside `map` and `filter`",
                text=self.text,
                column=token.column,
                hint="a member of the event so called is `$.item`",
            )
        if text in ("$", "settings", "item"):
            return ("path", text, [])
        return ("path", "$", [_plain(text)])

    def until(self, closing: str, loop: bool = False) -> list[Node]:
        """`loop`: behind the first, `item` has a meaning."""
        found: list[Node] = []
        if self.take(closing):
            return found
        while True:
            within = loop and bool(found)
            self.loops += within
            found.append(self.either())
            self.loops -= within
            if self.take(closing):
                return found
            if not self.take(","):
                raise self.wrong(f"expected `,` or `{closing}`")

    def object(self) -> Node:
        members: dict[str, Node] = {}
        if self.take("}"):
            return ("object", [])
        while True:
            token = self.take("word", "string")
            if token is None:
                raise self.wrong("expected a member's name")
            key = token.text if token.kind == "string" else _plain(token.text)
            wrong = f"a second member `{key[:80]}`" if key in members else ""
            if not key.isascii() and _LONE.search(key):
                wrong = "a member's name holds a lone surrogate, which JSON cannot"
            if wrong:
                raise ExpressionError(wrong, text=self.text, column=token.column)
            self.need(":", f"after `{key}`")
            members[key] = self.either()
            if self.take("}"):
                return ("object", list(members.items()))
            if not self.take(","):
                raise self.wrong("expected `,` or `}`")

    def template(self, token: Token) -> Node:
        parts: list[Node] = []
        position = 0
        while (start := token.text.find("${", position)) >= 0:
            if start > position:
                parts.append(("literal", token.text[position:start]))
            end = _closing(token.text, start + 2)
            if end < 0:
                raise ExpressionError(
                    "this `${` is not closed",
                    text=self.text,
                    column=token.column + 1 + start,
                    hint="add `}`",
                )
            parts.append(self.part(token.text[start + 2 : end], token.column + start + 2))
            position = end + 1
        if position < len(token.text):
            parts.append(("literal", token.text[position:]))
        return ("template", parts)

    def part(self, text: str, before: int) -> Node:
        """The tree of a part of a template, behind so many characters."""
        try:
            inner = _Parser(text, loops=self.loops)
        except ExpressionError as error:
            raise ExpressionError(
                error.message, text=self.text, column=before + error.column, hint=error.hint
            ) from None
        inner.text = self.text
        inner.tokens = [each._replace(column=before + each.column) for each in inner.tokens]
        return inner.whole()


_BRACES = re.compile(r"""[{}]|"[^"]*"|'[^']*'""")


def _closing(text: str, at: int) -> int:
    """Where the brace opened before `at` is closed; -1 where it is not."""
    depth = 1
    for match in _BRACES.finditer(text, at):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return -1


def _step(node: Node, key: str | int) -> Node:
    if node[0] == "path":
        return ("path", node[1], [*node[2], key])
    return ("get", node, key)


def parse(text: str, flat: bool = False, item: bool = False) -> Node:
    """The tree of `text`. Raises `ExpressionError` with a column.

    `flat`: `and` and `or` bind alike, and the last of a group holds for all of it. `item`: it is
    the part of a loop, and `item` stands for something.
    """
    if not text.strip():
        raise ExpressionError("the expression is empty", text=text, column=1)
    try:
        tree = _Parser(text, flat, int(item)).whole()
    except RecursionError:
        raise ExpressionError("nested too deeply", text=text, column=1) from None
    if _depth(tree) > _MAX_TREE:
        raise ExpressionError(f"more than {_MAX_TREE} operators in a row", text=text, column=1)
    return tree


def children(node: Node) -> list[Node]:
    """The nodes below a node."""
    kind = node[0]
    if kind in ("literal", "path"):
        return []
    if kind == "call":
        return list(node[2])
    if kind in ("not", "get"):
        return [node[1]]
    if kind in ("compare", "arithmetic"):
        return [node[2], node[3]]
    if kind == "object":
        return [part for _, part in node[1]]
    return list(node[1])


def _depth(tree: Node) -> int:
    level, depth = [tree], 0
    while level:
        level = [child for node in level for child in children(node)]
        depth += 1
    return depth


def paths(tree: Node) -> set[str]:
    """The event's fields an expression reads, dotted; `$` where it reads the whole."""
    found: set[str] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if node[0] == "path" and node[1] == "$":
            found.add(".".join(map(str, node[2])) or "$")
        waiting += children(node)
    return found
