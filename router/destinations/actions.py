"""One action, compiled: from an event to rows, and from rows to a request's URL, headers and body."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from router._fast.expr import Expr, MissingField, compile_fields, compile_tree
from router._fast.functions import text_of
from router._fast.parse import Node
from router._fast.rows import joined, plain_rows
from router.destinations.encode import (
    CONTENT_TYPES,
    form_bytes,
    json_bytes,
    json_list,
    lines_of,
    multipart_bytes,
)  # fmt: skip
from router.destinations.fields import Fields
from router.destinations.http import Client
from router.destinations.outcome import Verdict
from router.destinations.request import BatchRule, Row
from router.destinations.spec import Action, Spec
from router.destinations.steps import CompiledStep, compile_steps
from router.destinations.template import Address, Around, Slots, found_in
from router.destinations.trees import at_place, folded, parse_at, types_of, with_fields
from router.errors import ConfigError, ExpressionError
from router.event import Event
from router.workspace.models import Batch

Code = Callable[[list[dict[str, Any]], dict[str, Any], Client], Awaitable[list[Verdict]]]
"""Sends rows that are JSON objects; gives a verdict a row, in order."""


def table_trees(table: Mapping[str, Any], change: Callable[[str, str], Node], where: str) -> Any:
    """A table of expressions, which may hold tables, as one of trees for `compile_fields`."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        place = f"{where}.{name}"
        if isinstance(value, dict):
            found[name] = table_trees(value, change, place)
        elif isinstance(value, str):
            found[name] = change(value, place)
        else:
            raise ConfigError(f"`{place}` has to be an expression", hint="texts stand in quotes")
    return found


class CompiledAction:
    """An action of one instance, its settings known. `when` is the tree of its trigger."""

    def __init__(
        self,
        name: str,
        of: str,
        number: int,
        spec: Spec,
        action: Action,
        *,
        when: Node,
        fields: Fields,
        settings: dict[str, Any],
        batch: Batch,
    ) -> None:
        self.name, self.of, self.number, self.action = name, of, number, action
        self.fields = fields
        self._settings = settings
        self._row: Expr | None
        self.now_ms: int | None = None
        """The time that `now()` gives while events are mapped; None: the clock's."""
        where = f"actions.{name}"
        self._each: Expr | None = None
        condition = self._condition(when, where)
        self.when = compile_tree(condition)
        self.types = types_of(condition)
        """The types of events that can trigger it; None: any."""
        self.always = condition[1] is True if condition[0] == "literal" else None
        """What the trigger gives for every event, where the settings alone decide."""
        self._form_rows = action.format == "query" or (action.format == "form" and not action.body)
        if action.each:
            self._each = compile_tree(self._tree(action.each, f"{where}.each"))
        self.steps: list[CompiledStep] = []
        if action.steps:
            url = action.url or spec.url
            self.steps, self._row = compile_steps(action.steps, url, fields.trees, settings, where)
        else:
            self._row = self._compile_row(where)
        slots = Slots(fields.trees, settings)
        self._address = Address(
            slots, where, url=action.url or spec.url, path=action.path, method=action.method,
            query=action.query, headers=action.headers, more_headers=action.more_headers,
        )  # fmt: skip
        self._around = Around(action.body, slots, f"{where}.body") if action.body else None
        if action.key:
            slots.part(action.key, f"{where}.key")
        self._key = slots.key()
        self.rule = self._batch_rule(batch)
        self.code = load_code(action.code or spec.code, where)

    def _tree(self, text: str, where: str) -> Node:
        tree = parse_at(text, where, item=self._each is not None)
        return folded(with_fields(tree, self.fields.trees, where), self._settings)

    def _condition(self, when: Node, where: str) -> Node:
        if not self.action.if_:
            return when
        return folded(("and", [when, self._tree(self.action.if_, f"{where}.if")]), self._settings)

    def applies(self, event: Event) -> bool:
        """Does the event trigger it?"""
        if self.always is not None:
            return self.always
        return self.when.test_doc(event.doc, self._settings, self.now_ms)

    def lacks(self, event: Event) -> str:
        """The required field for which the event has no value; "" where it has all."""
        complete = self.fields.complete
        if complete is None or complete.test_doc(event.doc, self._settings, self.now_ms):
            return ""
        return self.fields.lacking(event.doc, self.now_ms)

    def _compile_row(self, where: str) -> Expr | None:
        """None where a row is the event's own bytes."""
        row = self.action.row
        place = f"{where}.row"
        if row == "" and self.fields.trees:
            row = "fields"
        if row in ("", "$"):
            return compile_tree(("path", "$", [])) if self._form_rows else None
        try:
            if isinstance(row, str):
                return compile_tree(self._tree(row, place))
            return compile_fields(table_trees(row, self._tree, place))
        except ExpressionError as error:
            raise at_place(error, f"{place}.{error.field}" if error.field else place) from None

    def _batch_rule(self, override: Batch) -> BatchRule:
        batching = self.action.batch
        alone = self.action.steps or self._form_rows or self.action.format == "query"
        if batching is None or alone:
            return BatchRule(1, 1 << 30, 0.0)
        return BatchRule(
            min(override.events or batching.events, batching.events),
            min(override.bytes or batching.bytes, batching.bytes),
            batching.seconds if override.seconds is None else override.seconds,
        )

    @property
    def paths(self) -> frozenset[str]:
        """The event's fields it reads."""
        read = self.when.paths | (self._row.paths if self._row is not None else {"$"})
        read |= self._each.paths if self._each is not None else frozenset()
        return frozenset(read | (self._key.paths if self._key is not None else set()))

    def key(self, event: Event) -> str:
        if self._key is None:
            return ""
        return self._key.write_doc(event.doc, self._settings, self.now_ms).decode()

    def row(self, event: Event) -> Row:
        """The event mapped. Raises `MissingField`."""
        if self._row is None:
            body = event.raw
        elif self._form_rows:
            body = self._row.write_form_doc(event.doc, self._settings, self.now_ms)
        else:
            body = self._row.write_doc(event.doc, self._settings, self.now_ms)
        return Row(event, self.number, self.key(event), body)

    def expand(self, event: Event) -> list[Row]:
        """The event's rows: one, or one an item of `each`. Raises `MissingField`."""
        if self._each is None or self._row is None:
            return [self.row(event)]
        items = self._each.eval_doc(event.doc, self._settings, self.now_ms)
        key = self.key(event)
        write, settings = self._row.write_item, self._settings
        bodies = [
            write(event.doc, item, settings, self.now_ms)
            for item in (items if isinstance(items, list) else [])
            if item is not None
        ]
        if self._form_rows:
            bodies = [form_bytes(orjson.loads(body)) for body in bodies]
        return [Row(event, self.number, key, body) for body in bodies]

    def rows(self, events: list[Event]) -> list[Row] | None:
        """`row` of each in one go; None where some event needs more of a look."""
        if self.always is not True or self._key is not None or self._each is not None:
            return None
        if self.fields.complete is not None or self._form_rows or self.action.steps:
            return None
        if self._row is None:
            return plain_rows(events, self.number)
        try:
            bodies = self._row.write_many([event.doc for event in events], self._settings)
        except MissingField:
            return None
        return plain_rows(events, self.number, bodies)

    @property
    def fixed(self) -> bool:
        """Do its requests differ by their body alone?"""
        one = self.action
        return (
            self._address.fixed and not one.idempotency and one.format not in ("query", "multipart")
        )

    def method(self, rows: list[Row]) -> str:
        return self._address.method(found_in(rows[0].key))

    def url(self, rows: list[Row], query: Mapping[str, Any], now_ms: int) -> str:
        url = self._address.url(found_in(rows[0].key), query, now_ms)
        if self.action.format == "query":
            # A plus that is meant is %2B there, so each that stands is a space.
            members = rows[0].body.replace(b"+", b"%20").decode()
            url = f"{url}{'&' if '?' in url else '?'}{members}" if members else url
        return url

    def headers(self, rows: list[Row], now_ms: int) -> dict[str, str]:
        headers = self._address.headers(found_in(rows[0].key), now_ms)
        if self.action.idempotency:
            headers[self.action.idempotency] = request_id(rows)
        return headers

    def body(self, rows: list[Row], more: dict[str, Any], now_ms: int) -> tuple[bytes, str]:
        """The rows as the vendor wants them, with what stands around them, and the Content-Type;
        `more` are members to add to a body that is an object."""
        form = self.action.format
        kind = CONTENT_TYPES.get(form, "")
        if form == "json" and self._around is not None and self._around.start and not more:
            return joined(rows, self._around.start, b",", b"]}"), kind
        bodies = [row.body for row in rows]
        if form in ("none", "query"):
            return b"", ""
        if form == "ndjson":
            return b"\n".join(bodies) + b"\n", kind
        if form == "text":
            return lines_of(bodies), kind
        if form == "multipart":
            return multipart_bytes(more | self._members(rows, bodies, now_ms))
        if form == "form":
            if self._around is None:
                extra = form_bytes(more)
                return b"&".join(part for part in (extra, bodies[0]) if part), kind
            return form_bytes(more | self._members(rows, bodies, now_ms)), kind
        if self._around is not None:
            found = found_in(rows[0].key)
            return _with_members(self._around.json(bodies, found, now_ms), more), kind
        if self.action.batch is None:
            return _with_members(bodies[0], more), kind
        return json_list(bodies), kind

    def _members(self, rows: list[Row], bodies: list[bytes], now_ms: int) -> dict[str, Any]:
        if self._around is None:
            found = orjson.loads(bodies[0])
            return found if isinstance(found, dict) else {}
        return self._around.plain(bodies, found_in(rows[0].key), now_ms)


def load_code(name: str, where: str) -> Code | None:
    """The function that `package.module:function` names. Raises `ConfigError`."""
    if not name:
        return None
    module, _, function = name.partition(":")
    try:
        found: Code = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"`{where}.code`: {error}", hint="package.module:function") from None
    return found


def _with_members(body: bytes, more: dict[str, Any]) -> bytes:
    """A JSON object with further members in front."""
    if not more or not body.startswith(b"{"):
        return body
    head = json_bytes({name: value for name, value in more.items() if value is not None})
    if head == b"{}" or body == b"{}":
        return head if body == b"{}" else body
    return head[:-1] + b"," + body[1:]


def request_id(rows: list[Row]) -> str:
    """The same for the same rows: the message's id, or a hash of all ids."""
    ids = [text_of(row.event.doc.get("messageId")) or "" for row in rows]
    if len(ids) == 1:
        return ids[0]
    return hashlib.sha256("\n".join(ids).encode("utf-8", "surrogatepass")).hexdigest()[:36]
