"""One action, compiled: from an event to a row, and from rows to a request's URL and body."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import orjson

from router._fast.expr import Expr, compile_fields
from router._fast.expr import compile as compile_expression
from router._fast.functions import text_of
from router.destinations.request import BatchRule, Row
from router.destinations.spec import Action
from router.errors import ConfigError, ExpressionError
from router.event import Event
from router.workspace.models import Batch


def compile_at(text: str, where: str) -> Expr:
    """`text` compiled. Raises `ConfigError` that names `where`."""
    try:
        return compile_expression(text)
    except ExpressionError as error:
        raise ConfigError(
            f"`{where}`, column {error.column}: {error.message}", hint=error.hint
        ) from None


def compile_table(table: dict[str, str], where: str) -> dict[str, Expr]:
    return {name: compile_at(text, f"{where}.{name}") for name, text in table.items()}


def texts(table: dict[str, Expr], settings: dict[str, Any], now_ms: int) -> dict[str, str]:
    """The values of a table as text, those that are null left out."""
    found = {}
    for name, expression in table.items():
        if (text := text_of(expression.eval({}, settings, now_ms))) is not None:
            found[name] = text
    return found


class CompiledAction:
    """An action of one instance, its settings known."""

    def __init__(
        self, name: str, number: int, action: Action, settings: dict[str, Any], batch: Batch
    ) -> None:
        self.name, self.number, self.action = name, number, action
        self._settings = settings
        where = f"actions.{name}"
        self.when = compile_at(action.when, f"{where}.when")
        self.always = self._decided()
        self._key = compile_at(action.key, f"{where}.key") if action.key else None
        self._query = compile_table(action.query, f"{where}.query")
        self._headers = compile_table(action.headers, f"{where}.headers")
        self._path = compile_at(action.path, f"{where}.path") if action.path else None
        self._url = compile_at(action.url, f"{where}.url") if action.url else None
        self._around = {
            name: None if text in ("rows", "row") else compile_at(text, f"{where}.body.{name}")
            for name, text in action.body.items()
        }
        self._fields = self._compile_fields(where)
        self.rule = self._batch_rule(batch)

    def _decided(self) -> bool | None:
        """What `when` gives for every event, where only the settings decide; else None."""
        if self.when.paths or "now(" in self.action.when:
            return None
        return self.when.test({}, self._settings)

    def applies(self, event: Event) -> bool:
        """Does the event trigger it?"""
        if self.always is not None:
            return self.always
        return self.when.test_doc(event.doc, self._settings)

    def _compile_fields(self, where: str) -> Expr | None:
        fields = self.action.fields
        if isinstance(fields, str):
            return None if fields == "$" else compile_at(fields, f"{where}.fields")
        try:
            return compile_fields(fields)
        except ExpressionError as error:
            raise ConfigError(
                f"`{where}.fields.{error.field}`, column {error.column}: {error.message}",
                hint=error.hint,
            ) from None

    def _batch_rule(self, override: Batch) -> BatchRule:
        batching = self.action.batch
        if batching is None:
            return BatchRule(1, 1 << 30, 0.0)
        return BatchRule(
            min(override.events or batching.events, batching.events),
            min(override.bytes or batching.bytes, batching.bytes),
            batching.seconds if override.seconds is None else override.seconds,
        )

    @property
    def paths(self) -> frozenset[str]:
        """The event's fields it reads."""
        read = self.when.paths | (self._fields.paths if self._fields is not None else {"$"})
        return frozenset(read | (self._key.paths if self._key is not None else set()))

    def row(self, event: Event) -> Row:
        """The event mapped. Raises `MissingField`."""
        if self._fields is None:
            body = event.raw
        else:
            body = self._fields.write_doc(event.doc, self._settings)
        key = ""
        if self._key is not None:
            key = text_of(self._key.eval_doc(event.doc, self._settings)) or ""
        return Row(event, self.number, key, body)

    def url(self, base: str, query: dict[str, str], now_ms: int) -> str:
        settings = self._settings
        whole = text_of(self._url.eval({}, settings, now_ms)) if self._url is not None else base
        path = text_of(self._path.eval({}, settings, now_ms)) if self._path is not None else ""
        found = (whole or "").rstrip("/" if path else "") + (path or "")
        members = query | texts(self._query, settings, now_ms)
        if not members:
            return found
        return found + ("&" if "?" in found else "?") + urlencode(members, quote_via=quote)

    def headers(self, now_ms: int) -> dict[str, str]:
        kind = {"json": "application/json", "ndjson": "application/x-ndjson",
                "form": "application/x-www-form-urlencoded"}[self.action.format]  # fmt: skip
        return {"Content-Type": kind} | texts(self._headers, self._settings, now_ms)

    def body(self, rows: list[Row], now_ms: int) -> bytes:
        """The rows as the vendor wants them, with what stands around them."""
        form = self.action.format
        if form == "ndjson":
            return b"\n".join([row.body for row in rows]) + b"\n"
        if not self._around:
            if form == "form":
                return _form(orjson.loads(rows[0].body))
            return _list(rows) if self.action.batch is not None else rows[0].body
        if form == "form":
            return _form({
                name: self._inner(name, rows).decode() if expression is None
                else expression.eval({}, self._settings, now_ms)
                for name, expression in self._around.items()
            })  # fmt: skip
        parts = []
        for name, expression in self._around.items():
            if expression is None:
                value = self._inner(name, rows)
            elif (plain := expression.eval({}, self._settings, now_ms)) is None:
                continue
            else:
                value = orjson.dumps(plain)
            parts.append(orjson.dumps(name) + b":" + value)
        return b"{" + b",".join(parts) + b"}"

    def _inner(self, name: str, rows: list[Row]) -> bytes:
        return rows[0].body if self.action.body[name] == "row" else _list(rows)


def _list(rows: list[Row]) -> bytes:
    return b"[" + b",".join([row.body for row in rows]) + b"]"


def _form(members: dict[str, Any]) -> bytes:
    pairs = {
        name: value if isinstance(value, str) else text_of(value) for name, value in members.items()
    }
    return urlencode({name: text for name, text in pairs.items() if text is not None}).encode()
