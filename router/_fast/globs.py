"""Globs: `*` any run, `?` one character, `[a-z]`, `[^a-z]`, `\\x` the character x. Of the whole text.

Malformed patterns fit nothing, as in Go's path.Match, whose rules for `[ ]` these are: no empty
class, and `-` and `]` in one only behind a backslash.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

Part = tuple[Any, ...]
"""("*",), ("?",), ("=", character) or ("[", negated, ranges)."""


class _Malformed(Exception):
    pass


@lru_cache(1000)
def compile_glob(pattern: str) -> tuple[Part, ...] | None:
    """The pattern's parts; None where it is malformed."""
    found: list[Part] = []
    at = 0
    try:
        while at < len(pattern):
            char = pattern[at]
            if char == "*":
                if not found or found[-1] != ("*",):
                    found.append(("*",))
                at += 1
            elif char == "?":
                found.append(("?",))
                at += 1
            elif char == "[":
                part, at = _class(pattern, at + 1)
                found.append(part)
            else:
                char, at = _character(pattern, at)
                found.append(("=", char))
    except _Malformed:
        return None
    return tuple(found)


def _character(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at : at + 1] == "\\":
        at += 1
    if at >= len(pattern):
        raise _Malformed
    return pattern[at], at + 1


def _class(pattern: str, at: int) -> tuple[Part, int]:
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[tuple[str, str]] = []
    while pattern[at : at + 1] != "]" or not ranges:
        if pattern[at : at + 1] in ("-", "]"):
            raise _Malformed
        low, at = _character(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            if pattern[at + 1 : at + 2] in ("-", "]"):
                raise _Malformed
            high, at = _character(pattern, at + 1)
        ranges.append((low, high))
    return ("[", negated, tuple(ranges)), at + 1


def _fits(part: Part, char: str) -> bool:
    if part[0] == "=":
        return bool(part[1] == char)
    if part[0] == "?":
        return True
    return any(low <= char <= high for low, high in part[2]) is not part[1]


def glob_pattern(glob: str) -> str | None:
    """The regular expression (patterns.pyx) that matches what the glob fits; None where there is
    none for it: a malformed glob, or one with a range that ends before it begins."""
    parts = compile_glob(glob)
    if parts is None or any(
        low > high for part in parts if part[0] == "[" for low, high in part[2]
    ):
        return None
    return "^" + "".join(_part_pattern(part) for part in parts) + "$"


def _part_pattern(part: Part) -> str:
    if part[0] == "*":
        return "[\\s\\S]*"
    if part[0] == "?":
        return "[\\s\\S]"
    if part[0] == "=":
        return _code_point(part[1])
    ranges = "".join(f"{_code_point(low)}-{_code_point(high)}" for low, high in part[2])
    return f"[{'^' * part[1]}{ranges}]"


def _code_point(char: str) -> str:
    return f"\\u{{{ord(char):x}}}"


def glob_matches(pattern: str, text: str) -> bool:
    """Does the whole text fit? In time of at most the one's length times the other's."""
    parts = compile_glob(pattern)
    if parts is None:
        return False
    at = place = resume = 0
    star = -1
    # Only the last `*` is ever gone back to.
    while at < len(text):
        part = parts[place] if place < len(parts) else None
        if part is not None and part[0] == "*":
            star, resume = place, at
            place += 1
        elif part is not None and _fits(part, text[at]):
            at += 1
            place += 1
        elif star >= 0:
            resume += 1
            at, place = resume, star + 1
        else:
            return False
    return all(part[0] == "*" for part in parts[place:])
