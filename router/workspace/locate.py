"""Where in a TOML file a key stands: errors name the line, and the parser does not keep it."""

from __future__ import annotations

import re

_TABLE = re.compile(r"^\s*\[\[?\s*(?P<path>[^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(
    r"""^\s*(?P<path>(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def _split(path: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(path))


def locate(text: str, path: tuple[str, ...]) -> int:
    """The line (from 1) where the key or table `path` is set, else its nearest parent's, else 1."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if match := _TABLE.match(line):
            table = _split(match["path"])
            found.setdefault(table, number)
        elif match := _KEY.match(line):
            found.setdefault(table + _split(match["path"]), number)
    for length in range(len(path), 0, -1):
        if (line_number := found.get(path[:length])) is not None:
            return line_number
    return 1
