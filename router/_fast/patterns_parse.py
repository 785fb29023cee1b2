"""Regular expressions of ECMA-262 (the `u` flag's rules, as JSON Schema asks) parsed to tuples.

    ("set", ranges)         a character in one of the ranges (first, last), which ascend
    ("cat", parts)          one after the other
    ("alt", parts)          one of them
    ("repeat", of, n, m)    n to m times; m is None for any number
    ("assert", which)       "^", "$", "b" or "B"
    ("look" | "back",)      a lookaround or a back reference: they parse, but have no linear-time form

Where the `u` flag is stricter than what people write, this is lenient: a `]`, `}` or `{` that closes
or opens nothing stands for itself, and any ASCII punctuation may be escaped.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

from router.errors import PatternError

MAX_CHARS = 10_000
MAX_NESTING = 100
LAST = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]
Tree = tuple[Any, ...]

DIGITS: Ranges = ((0x30, 0x39),)
WORDS: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
SPACES: Ranges = (
    (0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A),
    (0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
)  # fmt: skip
LINE_ENDS: Ranges = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_LOOKS = ("=", "!", "<=", "<!")
_ASSERTIONS = ("^", "$", "\\b", "\\B", *(f"(?{mark}" for mark in _LOOKS))
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ")

_CATEGORIES = {
    "letter": "L", "casedletter": "LC", "uppercaseletter": "Lu", "lowercaseletter": "Ll",
    "titlecaseletter": "Lt", "modifierletter": "Lm", "otherletter": "Lo", "mark": "M",
    "combiningmark": "M", "nonspacingmark": "Mn", "spacingmark": "Mc", "enclosingmark": "Me",
    "number": "N", "decimalnumber": "Nd", "digit": "Nd", "letternumber": "Nl", "othernumber": "No",
    "punctuation": "P", "punct": "P", "connectorpunctuation": "Pc", "dashpunctuation": "Pd",
    "openpunctuation": "Ps", "closepunctuation": "Pe", "initialpunctuation": "Pi",
    "finalpunctuation": "Pf", "otherpunctuation": "Po", "symbol": "S", "mathsymbol": "Sm",
    "currencysymbol": "Sc", "modifiersymbol": "Sk", "othersymbol": "So", "separator": "Z",
    "spaceseparator": "Zs", "lineseparator": "Zl", "paragraphseparator": "Zp", "other": "C",
    "control": "Cc", "cntrl": "Cc", "format": "Cf", "surrogate": "Cs", "privateuse": "Co",
    "unassigned": "Cn",
}  # fmt: skip
"""Long names of general categories (Unicode's PropertyValueAliases.txt), without underscores."""


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """The ranges in order, those that touch as one."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    found, start = [], 0
    for first, last in ranges:
        if first > start:
            found.append((start, first - 1))
        start = last + 1
    if start <= LAST:
        found.append((start, LAST))
    return tuple(found)


@cache
def _by_category() -> dict[str, Ranges]:
    """The code points of every two-letter general category."""
    found: dict[str, list[tuple[int, int]]] = {}
    category, start = unicodedata.category(chr(0)), 0
    for code in range(1, LAST + 2):
        other = unicodedata.category(chr(code)) if code <= LAST else ""
        if other != category:
            found.setdefault(category, []).append((start, code - 1))
            category, start = other, code
    return {name: tuple(ranges) for name, ranges in found.items()}


@cache
def property_ranges(name: str) -> Ranges | None:
    r"""The code points of `\p{name}`: a general category, or one of the few others we know."""
    key, _, value = name.rpartition("=")
    if key not in ("", "gc", "General_Category"):
        return None
    if not key and value in ("Any", "ASCII", "Assigned", "White_Space"):
        others = {"Any": ((0, LAST),), "ASCII": ((0, 0x7F),), "White_Space": _white_space()}
        return others.get(value) or complement(_by_category()["Cn"])
    short = _CATEGORIES.get(value.replace("_", "").lower(), value)
    names = ("Lu", "Ll", "Lt") if short == "LC" else (short,)
    return union(
        pair
        for category, ranges in _by_category().items()
        for pair in ranges
        if category in names or category[0] in names
    ) or None  # fmt: skip


def _white_space() -> Ranges:
    return union([*(pair for pair in SPACES if pair[0] != 0xFEFF), (0x85, 0x85)])


class _Reader:
    """A pattern and how far it is read."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0
        self.groups, self.names = 0, list[str]()
        self.references: list[tuple[int, str | int]] = []

    def error(self, message: str, at: int | None = None, hint: str = "") -> PatternError:
        column = (self.at if at is None else at) + 1
        return PatternError(message, text=self.text, column=column, hint=hint)

    def peek(self, count: int = 1) -> str:
        return self.text[self.at : self.at + count]

    def take(self, text: str) -> bool:
        if not self.text.startswith(text, self.at):
            return False
        self.at += len(text)
        return True


def parse(text: str) -> Tree:
    """The tree of a pattern. Raises `PatternError` with the column where it does not parse."""
    reader = _Reader(text)
    if len(text) > MAX_CHARS:
        raise reader.error(f"the pattern is longer than {MAX_CHARS} characters", 0)
    tree = _alternatives(reader)
    if reader.at < len(text):
        raise reader.error("a ) that closes nothing", hint="write \\) for the character")
    for at, reference in reader.references:
        known = reference in reader.names if isinstance(reference, str) else (
            reference <= reader.groups
        )  # fmt: skip
        if not known:
            raise reader.error(f"there is no group {reference} to refer back to", at)
    return tree


def _alternatives(reader: _Reader) -> Tree:
    parts = [_sequence(reader)]
    while reader.take("|"):
        parts.append(_sequence(reader))
    return parts[0] if len(parts) == 1 else ("alt", parts)


def _sequence(reader: _Reader) -> Tree:
    parts = []
    while reader.at < len(reader.text) and reader.peek() not in "|)":
        start = reader.at
        part = _atom(reader)
        again = reader.at
        limits = _quantifier(reader)
        if limits is not None:
            if reader.text.startswith(_ASSERTIONS, start):
                raise reader.error("an assertion cannot be repeated", start)
            part = ("repeat", part, *limits)
            if _quantifier(reader) is not None:
                raise reader.error("nothing to repeat", again + 1)
        parts.append(part)
    return parts[0] if len(parts) == 1 else ("cat", parts)


def _quantifier(reader: _Reader) -> tuple[int, int | None] | None:
    limits: tuple[int, int | None] | None = None
    if reader.take("*"):
        limits = (0, None)
    elif reader.take("+"):
        limits = (1, None)
    elif reader.take("?"):
        limits = (0, 1)
    elif reader.peek() == "{":
        limits = _braces(reader)
    if limits is not None:
        # Whether it is lazy changes what is matched, never whether anything is.
        reader.take("?")
    return limits


def _braces(reader: _Reader) -> tuple[int, int | None] | None:
    """{n}, {n,} or {n,m}; anything else in braces is text."""
    end = reader.text.find("}", reader.at, reader.at + 24)
    least, comma, most = reader.text[reader.at + 1 : max(end, reader.at)].partition(",")
    if not all(part.isascii() and part.isdecimal() for part in (least, most or "0")):
        return None
    low = int(least)
    high = low if not comma else int(most) if most else None
    if high is not None and high < low:
        raise reader.error("the repetition's numbers are the wrong way round")
    reader.at = end + 1
    return low, high


def _atom(reader: _Reader) -> Tree:
    char = reader.peek()
    if char == "(":
        return _group(reader)
    if char == "\\":
        return _escape(reader)
    if char in "*+?" or (char == "{" and _braces(reader) is not None):
        raise reader.error("nothing to repeat", hint=f"write \\{char} for the character")
    reader.at += 1
    if char == "[":
        return "set", _class(reader)
    if char in "^$":
        return "assert", char
    if char == ".":
        return "set", complement(LINE_ENDS)
    return "set", ((ord(char), ord(char)),)


def _group(reader: _Reader) -> Tree:
    start = reader.at
    reader.depth += 1
    if reader.depth > MAX_NESTING:
        raise reader.error(f"groups are nested deeper than {MAX_NESTING}")
    reader.at += 1
    look = False
    if reader.take("?"):
        look = any(reader.take(mark) for mark in _LOOKS)
        if not look and reader.take("<"):
            _group_name(reader)
        elif not look and not reader.take(":"):
            raise reader.error(
                f"(?{reader.peek()} is not of ECMA-262", start, "write (?:…) for a group"
            )
    else:
        reader.groups += 1
    tree = _alternatives(reader)
    if not reader.take(")"):
        raise reader.error("a ( without its )", start, "write \\( for the character")
    reader.depth -= 1
    return ("look", start) if look else tree


def _group_name(reader: _Reader) -> None:
    name = _name(reader)
    if name in reader.names:
        raise reader.error(f"the group name {name} is used twice")
    reader.names.append(name)
    reader.groups += 1


def _name(reader: _Reader) -> str:
    end = reader.text.find(">", reader.at)
    name = reader.text[reader.at : max(end, reader.at)]
    if not name.replace("$", "_").isidentifier():
        raise reader.error("a group's name has to be an identifier that ends with >")
    reader.at = end + 1
    return name


def _escape(reader: _Reader) -> Tree:
    start = reader.at
    char = reader.peek(2)[1:]
    if char and char in "bB":
        reader.at += 2
        return "assert", char
    if char and char in "123456789":
        reader.at += 1
        while reader.peek().isascii() and reader.peek().isdecimal():
            reader.at += 1
        reader.references.append((start, int(reader.text[start + 1 : reader.at][:9])))
        return "back", start
    if char == "k":
        reader.at += 2
        if not reader.take("<"):
            raise reader.error("\\k needs a group's name in < >", start)
        reader.references.append((start, _name(reader)))
        return "back", start
    return "set", _escaped_set(reader)


def _escaped_set(reader: _Reader) -> Ranges:
    """The characters that an escape stands for, in and outside of a class."""
    start = reader.at
    reader.at += 1
    char = reader.peek()
    reader.at += 1
    if not char:
        raise reader.error("a \\ with nothing behind it", start)
    if char in "dDwWsS":
        ranges = {"d": DIGITS, "w": WORDS, "s": SPACES}[char.lower()]
        return complement(ranges) if char.isupper() else ranges
    if char in "pP":
        return _property(reader, start, char == "P")
    code = _escaped_code(reader, char)
    if code is None:
        raise reader.error(
            f"\\{char} means nothing in ECMA-262", start, _ELSEWHERE.get(char, "drop the backslash")
        )
    return ((code, code),)


_ELSEWHERE = {"A": "write ^", "z": "write $", "Z": "write $", "h": "write [ \\t]"}


def _escaped_code(reader: _Reader, char: str) -> int | None:
    if char in _CONTROLS:
        return _CONTROLS[char]
    if char == "0":
        return None if reader.peek().isdecimal() else 0
    if char == "c":
        letter = reader.peek()
        if not (letter.isascii() and letter.isalpha()):
            return None
        reader.at += 1
        return ord(letter) % 32
    if char == "x":
        return _hex(reader, 2)
    if char == "u":
        return _unicode_escape(reader)
    return ord(char) if char in _PUNCTUATION else None


def _hex(reader: _Reader, digits: int) -> int | None:
    text = reader.peek(digits)
    if len(text) < digits or not all(c in "0123456789abcdefABCDEF" for c in text):
        return None
    reader.at += digits
    return int(text, 16)


def _unicode_escape(reader: _Reader) -> int | None:
    if reader.take("{"):
        end = reader.text.find("}", reader.at)
        code = _hex(reader, max(end - reader.at, 1)) if end - reader.at <= 12 else None
        return code if code is not None and code <= LAST and reader.take("}") else None
    high = _hex(reader, 4)
    if high is not None and 0xD800 <= high < 0xDC00 and reader.peek(2) == "\\u":
        back = reader.at
        reader.at += 2
        low = _hex(reader, 4)
        if low is not None and 0xDC00 <= low < 0xE000:
            return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
        reader.at = back
    return high


def _property(reader: _Reader, start: int, negated: bool) -> Ranges:
    end = reader.text.find("}", reader.at)
    if reader.peek() != "{" or end < 0:
        raise reader.error("\\p needs a property's name in { }", start)
    name = reader.text[reader.at + 1 : end]
    ranges = property_ranges(name)
    if ranges is None:
        raise reader.error(
            f"the property {name[:40]} is not known", start,
            "general categories are, like \\p{L}, \\p{Lu} or \\p{Nd}",
        )  # fmt: skip
    reader.at = end + 1
    return complement(ranges) if negated else ranges


def _class(reader: _Reader) -> Ranges:
    """Behind a [ and up to its ]."""
    start = reader.at - 1
    negated = reader.take("^")
    found: list[tuple[int, int]] = []
    while not reader.take("]"):
        if reader.at >= len(reader.text):
            raise reader.error("a [ without its ]", start, "write \\[ for the character")
        begin = reader.at
        first = _class_atom(reader)
        if reader.peek() == "-" and reader.peek(2) not in ("-", "-]"):
            reader.at += 1
            last = _class_atom(reader)
            if _single(first) and _single(last):
                if last[0][0] < first[0][0]:
                    raise reader.error("the range is the wrong way round", begin)
                found.append((first[0][0], last[0][0]))
                continue
            found += [*last, (0x2D, 0x2D)]
        found += first
    ranges = union(found)
    return complement(ranges) if negated else ranges


def _single(ranges: Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]


def _class_atom(reader: _Reader) -> Ranges:
    if reader.peek() != "\\":
        reader.at += 1
        code = ord(reader.text[reader.at - 1])
        return ((code, code),)
    if reader.peek(2) == "\\b":
        reader.at += 2
        return ((8, 8),)
    return _escaped_set(reader)
