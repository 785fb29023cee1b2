"""A destination ready to run: a catalogue file and an instance's settings, compiled together."""

from __future__ import annotations

import hashlib
import hmac
import importlib
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import orjson
from isal import isal_zlib

from router._fast.expr import Expr, MissingField
from router._fast.functions import text_of
from router.destinations.actions import CompiledAction, compile_at, compile_table, texts
from router.destinations.answers import Judge
from router.destinations.filters import compile_filters
from router.destinations.outcome import Reply
from router.destinations.request import BatchRule, Request, Row
from router.destinations.settings import check_settings, secrets_of
from router.destinations.sink import Sink, SinkContext
from router.destinations.spec import Spec
from router.errors import ConfigError, ConfigErrors
from router.event import FLAG_INTEGRATIONS, Event
from router.workspace.models import Destination


class NotApplicable(Exception):
    """The event lacks what its action requires; `field` names it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


class Compiled:
    """One instance of a destination."""

    def __init__(
        self, spec: Spec, id_: str, instance: Destination, context: SinkContext | None
    ) -> None:
        self.spec, self.id, self.slug = spec, id_, instance.destination
        self.title = instance.name or spec.name
        self.settings = check_settings(spec, instance.settings)
        self._secrets = secrets_of(spec, self.settings)
        self._names = [self.title, spec.name, instance.destination, id_, *spec.integrations]
        self._filter = compile_at(instance.filter, "filter") if instance.filter else None
        self._filters = compile_filters(instance.filters)
        self.actions = [
            CompiledAction(name, number, action, self.settings, instance.batch)
            for number, (name, action) in enumerate(spec.actions.items())
        ]
        self._live = [action for action in self.actions if action.always is not False]
        self._plain = self._filter is None and not self._filters
        self.rate, self.timeout = spec.limits.rate, spec.limits.timeout
        self.concurrency = min(
            instance.concurrency or spec.limits.concurrency, spec.limits.concurrency
        )
        self._url = self._optional(spec.url, "url")
        self._auth_headers = compile_table(spec.auth.headers, "auth.headers")
        self._auth_query = compile_table(spec.auth.query, "auth.query")
        self._basic = [compile_at(text, "auth.basic") for text in spec.auth.basic]
        self._bearer = self._optional(spec.auth.bearer, "auth.bearer")
        self._headers = compile_table(spec.headers, "headers")
        self._more_headers = self._optional(spec.more_headers, "more_headers")
        self._compress = self._optional(spec.compress, "compress")
        self._sign = [(one, compile_at(one.key, "sign.key")) for one in spec.sign]
        self._judge = Judge(spec.responses)
        self.sink: Sink | None = _open_sink(spec.code, self.settings, context)

    @staticmethod
    def _optional(text: str, where: str) -> Expr | None:
        return compile_at(text, where) if text else None

    @property
    def batches(self) -> list[BatchRule]:
        """One rule an action, by number."""
        return [action.rule for action in self.actions]

    @property
    def paths(self) -> frozenset[str]:
        """The event's fields that the destination may receive."""
        return frozenset().union(*(action.paths for action in self.actions))

    def map(self, event: Event) -> list[Row] | str:
        """The event's rows, or why it is not for this destination: "integrations", "filter",
        "filters", "filter_failed". Raises `NotApplicable`."""
        if self._plain and not event.flags & FLAG_INTEGRATIONS:
            return self.rows(event)
        if reason := self.wants(event):
            return reason
        if not self._filters:
            return self.rows(event)
        failed, seen = self._filters.failed, event.data
        changed = self._filters.apply(seen, self.settings)
        if changed is None:
            return "filters" if self._filters.failed == failed else "filter_failed"
        if changed is seen:
            return self.rows(event)
        rows = self.rows(
            Event(event.offset, event.source, event.kind, event.flags, orjson.dumps(changed),
                  event.time_ms)
        )  # fmt: skip
        for row in rows:
            # What is tried again or dead is the event as it came: filters run anew.
            row.event = event
        return rows

    def wants(self, event: Event) -> str:
        """ "" where the event is for this destination; else why not: "integrations", "filter"."""
        if event.flags & FLAG_INTEGRATIONS and not self._integrated(event.doc.get("integrations")):
            return "integrations"
        if self._filter is not None and not self._filter.test_doc(event.doc, self.settings):
            return "filter"
        return ""

    def _integrated(self, integrations: Any) -> bool:
        """Segment's rule: this destination's own entry, else `All`, else yes."""
        if not isinstance(integrations, dict):
            return True
        for name in self._names:
            if name in integrations:
                return integrations[name] is not False and integrations[name] is not None
        return integrations.get("All", True) is not False

    def rows(self, event: Event) -> list[Row]:
        """A row for each action that the event triggers. Raises `NotApplicable`."""
        found = []
        for action in self._live:
            if action.always or action.applies(event):
                try:
                    found.append(action.row(event))
                except MissingField as error:
                    reason = f"{error.field} is required by {self.slug}'s action {action.name}"
                    raise NotApplicable(error.field, reason) from None
        return found

    def request(self, rows: list[Row], now_ms: int) -> Request:
        """The request for rows of one batch."""
        action, settings = self.actions[rows[0].action], self.settings
        base = text_of(self._url.eval({}, settings, now_ms)) if self._url is not None else ""
        url = action.url(base or "", texts(self._auth_query, settings, now_ms), now_ms)
        headers = action.headers(now_ms) | texts(self._headers, settings, now_ms)
        headers |= texts(self._auth_headers, settings, now_ms)
        if self._basic:
            user, password = (text_of(each.eval({}, settings)) or "" for each in self._basic)
            headers["Authorization"] = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        if self._bearer is not None and (token := text_of(self._bearer.eval({}, settings))):
            headers["Authorization"] = f"Bearer {token}"
        if self._more_headers is not None:
            more = self._more_headers.eval({}, settings)
            headers |= {str(k): str(v) for k, v in more.items()} if isinstance(more, dict) else {}
        body = action.body(rows, now_ms)
        for one, expression in self._sign:
            if key := text_of(expression.eval({}, settings)):
                digest = hmac.new(key.encode(), body, getattr(hashlib, one.algorithm)).hexdigest()
                headers[one.header] = one.prefix + digest
        if self._compress is not None and self._compress.test({}, settings):
            body = _gzip(body)
            headers["Content-Encoding"] = "gzip"
        method = action.action.method
        if method.startswith("settings."):
            method = str(settings[method.removeprefix("settings.")])
        return Request(method, url, headers, body)

    def judge(self, rows: list[Row], status: int, headers: Mapping[str, str], body: bytes) -> Reply:
        """What an answer means for each row; its reasons hold no secret."""
        reply = self._judge.judge(len(rows), status, headers, body)
        for verdict in reply.verdicts:
            if verdict.reason:
                verdict.reason = self.redact(verdict.reason)
        return reply

    def redact(self, text: str) -> str:
        """`text` without the values of secret settings."""
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return text


def _gzip(body: bytes) -> bytes:
    stream = isal_zlib.compressobj(level=1, wbits=31)
    return bytes(stream.compress(body) + stream.flush())


def _open_sink(code: str, settings: dict[str, Any], context: SinkContext | None) -> Sink | None:
    if not code:
        return None
    if context is None:
        return None
    module, _, name = code.partition(":")
    sink: Sink = getattr(importlib.import_module(module), name)(settings, context)
    return sink


def compile_destination(
    spec: Spec, id_: str, instance: Destination, context: SinkContext | None = None
) -> Compiled:
    """Compile an instance. Raises `ConfigErrors` with everything that is wrong in it."""
    try:
        return Compiled(spec, id_, instance, context)
    except ConfigErrors:
        raise
    except ConfigError as error:
        raise ConfigErrors([error]) from None
