"""What a request is made of besides its rows: URL, method, query, headers, and the body around them.

Each part is an expression. Those that the settings decide are evaluated for each request; those that
read the event are evaluated when it is mapped, and rows share a request only where they came out
alike: their values are the row's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from router._fast.expr import Expr, compile_tree
from router._fast.functions import text_of
from router._fast.parse import Node
from router._fast.rows import joined
from router.destinations.encode import form_bytes, json_bytes, json_list, with_query
from router.destinations.trees import folded, parse_at, reads_event, rows_in, with_fields
from router.errors import ConfigError

Settings = Mapping[str, Any]


class Part:
    """One value of a template: an expression, or the place of what was found at mapping time."""

    __slots__ = ("constant", "expression", "slot")

    def __init__(self, constant: Any, expression: Expr | None, slot: int) -> None:
        self.constant, self.expression, self.slot = constant, expression, slot

    def value(self, found: list[Any], now_ms: int | None) -> Any:
        if self.slot >= 0:
            return found[self.slot]
        if self.expression is None:
            return self.constant
        return self.expression.eval({}, None, now_ms)


class Slots:
    """Collects the parts that read the event."""

    def __init__(self, fields: Mapping[str, Node], settings: Settings) -> None:
        self._fields, self._settings = fields, settings
        self._trees: list[Node] = []

    def part(self, text: str, where: str) -> Part:
        parsed = parse_at(text, where)
        if (name := rows_in(parsed)) is not None:
            raise ConfigError(
                f"`{where}`: `{name}` stands for JSON that is made already, not for a value",
                hint=f'write the member as "{name}" alone, or a table around it',
            )
        tree = with_fields(parsed, self._fields, where)
        return self.part_of(folded(tree, self._settings))

    def part_of(self, tree: Node) -> Part:
        if tree[0] == "literal":
            return Part(tree[1], None, -1)
        if not reads_event(tree):
            return Part(None, compile_tree(tree), -1)
        self._trees.append(tree)
        return Part(None, None, len(self._trees) - 1)

    def table(self, table: Mapping[str, str], where: str) -> dict[str, Part]:
        return {name: self.part(text, f"{where}.{name}") for name, text in table.items()}

    def key(self) -> Expr | None:
        """Gives the list of what the parts found; None where no part reads the event."""
        return compile_tree(("list", self._trees)) if self._trees else None


class Around:
    """The body around the rows. `None` in `members` stands for the rows, `True` for the only row."""

    def __init__(self, table: Mapping[str, Any], slots: Slots, where: str) -> None:
        self.members: dict[str, Part | Around | bool] = {}
        for name, value in table.items():
            place = f"{where}.{name}"
            if isinstance(value, dict):
                self.members[name] = Around(value, slots, place)
            elif value in ("rows", "row"):
                self.members[name] = value == "row"
            else:
                self.members[name] = slots.part(str(value), place)
        self.start = b""
        """What stands before the first row, where nothing but rows is in the body."""
        if list(self.members.values()) == [False]:
            self.start = b"{" + json_bytes(next(iter(self.members))) + b":["

    def json(self, rows: list[bytes], found: list[Any], now_ms: int) -> bytes:
        if self.start:
            return joined(rows, self.start, b",", b"]}")
        parts = []
        for name, value in self._written(rows, found, now_ms):
            parts.append(json_bytes(name) + b":" + value)
        return b"{" + b",".join(parts) + b"}"

    def _written(self, rows: list[bytes], found: list[Any], now_ms: int) -> list[tuple[str, bytes]]:
        written = []
        for name, member in self.members.items():
            if isinstance(member, bool):
                written.append((name, rows[0] if member else json_list(rows)))
            elif isinstance(member, Around):
                written.append((name, member.json(rows, found, now_ms)))
            elif (value := member.value(found, now_ms)) is not None:
                written.append((name, json_bytes(value)))
        return written

    def plain(self, rows: list[bytes], found: list[Any], now_ms: int) -> dict[str, Any]:
        """The members as values; rows, and tables, are their JSON."""
        plain: dict[str, Any] = {}
        for name, member in self.members.items():
            if isinstance(member, bool):
                plain[name] = rows[0] if member else json_list(rows)
            elif isinstance(member, Around):
                plain[name] = member.json(rows, found, now_ms)
            else:
                plain[name] = member.value(found, now_ms)
        return plain

    def form(self, rows: list[bytes], found: list[Any], now_ms: int) -> bytes:
        return form_bytes(self.plain(rows, found, now_ms))


class Address:
    """Method, URL and headers of an action's requests."""

    def __init__(
        self,
        slots: Slots,
        where: str,
        *,
        url: str,
        path: str,
        method: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        more_headers: str = "",
    ) -> None:
        self._url = slots.part(url, f"{where}.url") if url else None
        self._path = slots.part(path, f"{where}.path") if path else None
        named = method.startswith(("settings.", "fields."))
        self._method = slots.part(method, f"{where}.method") if named else Part(method, None, -1)
        self._query = slots.table(query, f"{where}.query")
        self._headers = slots.table(headers, f"{where}.headers")
        self._more = slots.part(more_headers, f"{where}.more_headers") if more_headers else None

    @property
    def fixed(self) -> bool:
        """Is it the same for every request?"""
        parts = [self._url, self._path, self._method, self._more]
        parts += [*self._query.values(), *self._headers.values()]
        return all(part is None or (part.slot < 0 and part.expression is None) for part in parts)

    def method(self, found: list[Any]) -> str:
        return text_of(self._method.value(found, None)) or "POST"

    def url(self, found: list[Any], query: Mapping[str, Any], now_ms: int) -> str:
        """The URL with its query, to which `query` is put first."""
        base = text_of(self._url.value(found, now_ms)) if self._url is not None else ""
        path = text_of(self._path.value(found, now_ms)) if self._path is not None else ""
        whole = (base or "").rstrip("/" if path else "") + (path or "")
        own = {name: part.value(found, now_ms) for name, part in self._query.items()}
        return with_query(whole, {**query, **own})

    def headers(self, found: list[Any], now_ms: int) -> dict[str, str]:
        own = {name: part.value(found, now_ms) for name, part in self._headers.items()}
        more = self._more.value(found, now_ms) if self._more is not None else None
        return header_texts({**own, **more} if isinstance(more, dict) else own)


def header_texts(members: Mapping[str, Any]) -> dict[str, str]:
    """Values as a header may hold them: null ones left out, line ends and controls removed."""
    found = {}
    for name, value in members.items():
        if (text := text_of(value)) is not None:
            found[name] = "".join(char for char in text if char >= " " and char != "\x7f")
    return found


def found_in(key: str) -> list[Any]:
    """What the parts found when a row was mapped, from the row's key."""
    return orjson.loads(key) if key else []
