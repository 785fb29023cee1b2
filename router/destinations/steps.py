"""Actions of several requests: each sees what the ones before it took from their answers.

When an event is mapped its row is an object of what the steps read: the fields, and the event's own
values, under the names `@0`, `@1`… The steps are evaluated when the row is sent.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from router._fast.expr import Expr, compile_fields, compile_tree
from router._fast.functions import text_of
from router._fast.parse import Node
from router.destinations.encode import (
    CONTENT_TYPES,
    form_bytes,
    json_bytes,
    multipart_bytes,
    with_query,
)  # fmt: skip
from router.destinations.request import Request
from router.destinations.spec import Step
from router.destinations.template import header_texts
from router.destinations.trees import folded, parse_at, rebuilt, with_fields
from router.errors import ConfigError

_CACHED = 10_000


class Reads:
    """What the steps of an action read, by the name under which the row has it."""

    def __init__(self, fields: Mapping[str, Node], settings: Mapping[str, Any]) -> None:
        self._fields, self._settings, self._where = fields, settings, ""
        self._trees: dict[str, Node] = {}
        self._places: dict[tuple[Any, ...], str] = {}
        self.known: list[str] = []
        """The steps that have been done."""

    def tree(self, text: str, where: str) -> Node:
        """The tree over `{row, steps}` that says what `text` does over the event."""
        tree = parse_at(text, where)
        with_fields(tree, self._fields, where)  # for its error where a field is not known
        self._where = where
        return folded(rebuilt(tree, self._moved), self._settings)

    def _moved(self, node: Node) -> Node:
        if node[0] != "path" or node[1] != "$":
            return node
        if node[2][:1] == ["steps"]:
            if len(node[2]) < 2 or node[2][1] not in self.known:
                known = ", ".join(self.known) or "none"
                message = f"`{self._where}` reads a step that is not done before it"
                raise ConfigError(message, hint=f"known here: {known}")
            return node
        if node[2][:1] == ["fields"] and len(node[2]) > 1:
            name = node[2][1]
            self._trees.setdefault(name, self._fields[name])
            return ("path", "$", ["row", name, *node[2][2:]])
        if node[2][:1] == ["fields"]:
            members = [(name, ("path", "$", ["fields", name])) for name in self._fields]
            return rebuilt(("object", members), self._moved)
        place = self._places.setdefault(tuple(node[2]), f"@{len(self._places)}")
        self._trees[place] = node
        return ("path", "$", ["row", place])

    def row(self) -> Expr:
        """Gives the row."""
        return compile_tree(("object", list(self._trees.items())))


class CompiledStep:
    """One step. Every expression is over `{row, steps}`."""

    def __init__(self, step: Step, url: str, reads: Reads, where: str) -> None:
        self.step = step
        self._when = self._optional(step.if_, reads, f"{where}.if")
        self._url = self._optional(step.url or url, reads, f"{where}.url")
        self._path = self._optional(step.path, reads, f"{where}.path")
        named = step.method.startswith(("settings.", "fields.", "if("))
        self._method = self._optional(step.method, reads, f"{where}.method") if named else None
        self._query = {name: compile_tree(reads.tree(text, f"{where}.query.{name}"))
                       for name, text in step.query.items()}  # fmt: skip
        self._headers = {name: compile_tree(reads.tree(text, f"{where}.headers.{name}"))
                         for name, text in step.headers.items()}  # fmt: skip
        self._body = self._compiled_body(reads, f"{where}.body")
        self._take = self._over_answer(step.take, f"{where}.take")
        self.cache: OrderedDict[bytes, tuple[float, Any]] = OrderedDict()

    @staticmethod
    def _optional(text: str, reads: Reads, where: str) -> Expr | None:
        return compile_tree(reads.tree(text, where)) if text else None

    @staticmethod
    def _over_answer(text: str, where: str) -> Expr | None:
        return compile_tree(parse_at(text, where)) if text else None

    def _compiled_body(self, reads: Reads, where: str) -> Expr | None:
        body = self.step.body
        if isinstance(body, str):
            return self._optional(body, reads, where)
        return compile_fields(body_trees(body, reads, where)) if body else None

    def applies(self, seen: dict[str, Any], now_ms: int) -> bool:
        return self._when is None or self._when.test(seen, None, now_ms)

    def request(
        self, seen: dict[str, Any], query: Mapping[str, Any], more: dict[str, Any], now_ms: int
    ) -> Request:
        """The request. Raises `MissingField`."""

        def text(expression: Expr | None) -> str:
            if expression is None:
                return ""
            return text_of(expression.eval(seen, None, now_ms)) or ""

        path = text(self._path)
        url = text(self._url).rstrip("/" if path else "") + path
        own = {name: each.eval(seen, None, now_ms) for name, each in self._query.items()}
        value = self._body.eval(seen, None, now_ms) if self._body is not None else None
        members = value if isinstance(value, dict) else {}
        form = self.step.format if self._body is not None else "none"
        if form == "query":
            own |= members
        body, kind = _written(form, value, members, more)
        headers = {"Content-Type": kind} if kind else {}
        headers |= header_texts(
            {name: each.eval(seen, None, now_ms) for name, each in self._headers.items()}
        )
        method = text(self._method) if self._method is not None else self.step.method
        return Request(method, with_query(url, {**query, **own}), headers, body)

    def taken(self, body: bytes) -> Any:
        """What the answer gives to later steps."""
        if self._take is None:
            return True
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        return self._take.eval(answer if isinstance(answer, dict) else {"body": answer})

    def is_missing(self, status: int) -> bool:
        return status in self.step.missing or f"{status // 100}xx" in self.step.missing

    def remembered(self, request: Request) -> tuple[bool, Any]:
        """(True, what was taken) where the same request was answered not long ago."""
        if not self.step.cache:
            return False, None
        until, value = self.cache.get(_cache_key(request), (0.0, None))
        return until > time.monotonic(), value

    def remember(self, request: Request, value: Any) -> None:
        seconds = self.step.cache if value is not None else self.step.cache_missing
        if not seconds:
            return
        key = _cache_key(request)
        self.cache[key] = (time.monotonic() + seconds, value)
        self.cache.move_to_end(key)
        if len(self.cache) > _CACHED:
            self.cache.popitem(last=False)


def body_trees(table: Mapping[str, Any], reads: Reads, where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in table.items():
        place = f"{where}.{name}"
        if isinstance(value, dict):
            found[name] = body_trees(value, reads, place)
        elif isinstance(value, str):
            found[name] = reads.tree(value, place)
        else:
            raise ConfigError(f"`{place}` has to be an expression", hint="texts stand in quotes")
    return found


def _written(
    form: str, value: Any, members: dict[str, Any], more: dict[str, Any]
) -> tuple[bytes, str]:
    if form in ("none", "query"):
        return b"", ""
    if form == "form":
        return form_bytes(more | members), CONTENT_TYPES["form"]
    if form == "multipart":
        return multipart_bytes(more | members)
    if form == "text":
        return (text_of(value) or "").encode("utf-8", "surrogatepass"), CONTENT_TYPES["text"]
    body = json_bytes(more | members if more and isinstance(value, dict) else value)
    return (body + b"\n" if form == "ndjson" else body), CONTENT_TYPES[form]


def _cache_key(request: Request) -> bytes:
    return msgspec.msgpack.encode((request.method, request.url, request.body))


def compile_steps(
    steps: list[Step],
    url: str,
    fields: Mapping[str, Node],
    settings: Mapping[str, Any],
    where: str,
) -> tuple[list[CompiledStep], Expr]:
    """The steps, and the expression that gives a row for them. Raises `ConfigError`."""
    reads = Reads(fields, settings)
    found = []
    for number, step in enumerate(steps):
        place = f"{where}.steps[{number}]"
        if step.name in reads.known:
            raise ConfigError(f"`{place}.name`: there is a step `{step.name}` already")
        found.append(CompiledStep(step, url, reads, place))
        reads.known.append(step.name)
    return found, reads.row()
