"""From a parsed pattern (patterns_parse.py) to the program that patterns.h runs."""

from __future__ import annotations

from typing import Any, NamedTuple

from router._fast.patterns_parse import LAST, WORDS, Ranges, Tree, parse
from router.errors import PatternError

MAX_STEPS = 5_000
MAX_RANGES = 100_000

_CHAR, _SPLIT, _ASSERT, _MATCH = range(4)
_ASSERTIONS = {"^": 0, "$": 1, "b": 2, "B": 3}


class Program(NamedTuple):
    """`steps` are (op, x, y) as patterns.h has them; the code points from `bounds[i]` on are of
    class `classes[i]`; `samples` holds one code point of each class."""

    steps: list[tuple[int, int, int]]
    start: int
    sets: list[Ranges]
    bounds: list[int]
    classes: list[int]
    samples: list[int]
    prefix: str
    """ASCII text that every match begins with, wherever that is; "" where there is none such."""
    literal: bool
    """Nothing but `prefix` has to be there."""


def compile_program(text: str) -> Program:
    """Raises `PatternError` for what does not parse, has no linear-time form or is too large."""
    tree = parse(text)
    _refuse(tree, text)
    if _size(tree) > MAX_STEPS:
        raise PatternError(
            f"the pattern is too large: it takes more than {MAX_STEPS} steps",
            text=text, hint="repeat fewer times",
        )  # fmt: skip
    steps: list[tuple[int, int, int]] = [(_MATCH, 0, 0)]
    sets: dict[Ranges, int] = {}
    start = _emit(tree, 0, steps, sets)
    told_apart = [*sets]
    if any(op == _ASSERT and x > 1 for op, x, _ in steps):
        told_apart.append(WORDS)
    if sum(map(len, told_apart)) > MAX_RANGES:
        raise PatternError("the pattern has too many different classes", text=text)
    bounds, classes, samples = _partition(told_apart)
    prefix, literal = _prefix(tree)
    return Program(steps, start, [*sets], bounds, classes, samples, prefix, literal)


def _refuse(tree: Tree, text: str) -> None:
    kind = tree[0]
    if kind == "look":
        raise PatternError(
            "lookahead and lookbehind are not supported: they have no linear-time form",
            text=text, column=tree[1] + 1, hint='say "not" with a second pattern in the schema',
        )  # fmt: skip
    if kind == "back":
        raise PatternError(
            "back references are not supported: they have no linear-time form",
            text=text, column=tree[1] + 1, hint="spell the alternatives out",
        )  # fmt: skip
    if kind in ("cat", "alt"):
        for part in tree[1]:
            _refuse(part, text)
    elif kind == "repeat":
        _refuse(tree[1], text)


def _size(tree: Tree) -> int:
    """At least as many as the steps it takes, and never 0: it bounds the work of emitting too."""
    if tree[0] in ("cat", "alt"):
        return 1 + len(tree[1]) + sum(_size(part) for part in tree[1])
    if tree[0] == "repeat":
        _, of, least, most = tree
        copies: int = least + 1 if most is None else most
        return 1 + copies * (1 + _size(of))
    return 1


def _emit(tree: Tree, then: int, steps: list[tuple[int, int, int]], sets: dict[Ranges, int]) -> int:
    """Append the tree's steps, which go on to `then`; the first one's index."""

    def add(op: int, x: int, y: int) -> int:
        steps.append((op, x, y))
        return len(steps) - 1

    kind = tree[0]
    if kind == "set":
        return add(_CHAR, sets.setdefault(tree[1], len(sets)), then)
    if kind == "assert":
        return add(_ASSERT, _ASSERTIONS[tree[1]], then)
    if kind == "cat":
        for part in reversed(tree[1]):
            then = _emit(part, then, steps, sets)
        return then
    if kind == "alt":
        entry = _emit(tree[1][-1], then, steps, sets)
        for part in reversed(tree[1][:-1]):
            entry = add(_SPLIT, _emit(part, then, steps, sets), entry)
        return entry
    _, of, least, most = tree
    entry = then
    if most is None:
        entry = add(_SPLIT, 0, then)
        steps[entry] = (_SPLIT, _emit(of, entry, steps, sets), then)
    else:
        for _ in range(most - least):
            entry = add(_SPLIT, _emit(of, entry, steps, sets), then)
    for _ in range(least):
        entry = _emit(of, entry, steps, sets)
    return entry


def _partition(sets: list[Ranges]) -> tuple[list[int], list[int], list[int]]:
    """Classes of code points that no set tells apart."""
    changes: dict[int, int] = {0: 0}
    for i, ranges in enumerate(sets):
        for first, last in ranges:
            changes[first] = changes.get(first, 0) ^ (1 << i)
            changes[last + 1] = changes.get(last + 1, 0) ^ (1 << i)
    changes.pop(LAST + 1, None)
    bounds, classes, samples = [], [], []
    numbers: dict[int, int] = {}
    members = 0
    for bound in sorted(changes):
        members ^= changes[bound]
        if members not in numbers:
            numbers[members] = len(numbers)
            samples.append(bound)
        bounds.append(bound)
        classes.append(numbers[members])
    return bounds, classes, samples


def _prefix(tree: Tree) -> tuple[str, bool]:
    parts: list[Any] = tree[1] if tree[0] == "cat" else [tree]
    found = ""
    for part in parts:
        if part[0] != "set" or len(part[1]) != 1 or part[1][0][0] != part[1][0][1]:
            break
        if part[1][0][0] > 0x7F:
            break
        found += chr(part[1][0][0])
    rest = parts[len(found) :]
    if any(_looks_back(part) for part in rest):
        return "", False
    return found, bool(found) and not rest


def _looks_back(tree: Tree) -> bool:
    """Whether it asks what stands before a place: then a search cannot begin in the middle."""
    if tree[0] == "assert":
        return bool(tree[1] != "$")
    if tree[0] in ("cat", "alt"):
        return any(_looks_back(part) for part in tree[1])
    return tree[0] == "repeat" and _looks_back(tree[1])
