"""A destination ready to run: a catalogue file and an instance's settings, compiled together."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson
from isal import isal_zlib

from router._fast.expr import Expr, MissingField
from router.destinations.actions import CompiledAction
from router.destinations.answers import Judge
from router.destinations.auth import Prover
from router.destinations.filters import compile_filters
from router.destinations.http import Http
from router.destinations.oauth import Tokens, TokenStore
from router.destinations.outcome import Reply
from router.destinations.request import BatchRule, Request, Row
from router.destinations.sending import send
from router.destinations.settings import check_settings, secrets_of
from router.destinations.sink import Sink, SinkContext
from router.destinations.spec import Spec
from router.destinations.subscriptions import subscriptions
from router.destinations.template import header_texts
from router.destinations.trees import compile_at
from router.errors import ConfigError, ConfigErrors
from router.event import FLAG_INTEGRATIONS, KINDS, Event
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
        self.secrets = secrets_of(spec, self.settings)
        self._names = [self.title, spec.name, instance.destination, id_, *spec.integrations]
        self._filter = compile_at(instance.filter, "filter") if instance.filter else None
        self._filters = compile_filters(instance.filters)
        self.actions = [
            CompiledAction(
                one.name, one.of, number, spec, one.action, when=one.when, fields=one.fields,
                settings=self.settings, batch=instance.batch,
            )
            for number, one in enumerate(subscriptions(spec, instance, self.settings))
        ]  # fmt: skip
        self._live = [action for action in self.actions if action.always is not False]
        self._by_kind = [
            [each for each in self._live if each.types is None or kind in each.types]
            for kind in KINDS
        ]
        self._plain = self._filter is None and not self._filters
        self.rate, self.timeout = spec.limits.rate, spec.limits.timeout
        self.concurrency = min(
            instance.concurrency or spec.limits.concurrency, spec.limits.concurrency
        )
        self.not_applicable: Counter[tuple[str, str]] = Counter()
        """Events that an action passed over, by the action and the field they lack."""
        self._prover = Prover(spec, self.settings)
        self._headers = {
            name: compile_at(text, f"headers.{name}") for name, text in spec.headers.items()
        }
        self._more_headers = self._optional(spec.more_headers, "more_headers")
        self._compress = self._optional(spec.compress, "compress")
        self._fixable = self._prover.fixed and not any(
            "now(" in text for text in [*spec.headers.values(), spec.more_headers]
        )
        self._fixed: dict[int, tuple[Request, dict[str, Any]]] = {}
        """By action: what its requests have in common, and what the proof adds to their bodies."""
        self._judge = Judge(spec.responses, spec.limits.reset_header)
        self.tokens = self._open_tokens(context)
        self.sink: Sink | None = _open_sink(spec.sink, self.settings, context)

    def _open_tokens(self, context: SinkContext | None) -> Tokens | None:
        oauth = self._prover.auth.oauth
        if oauth is None:
            return None
        store = TokenStore(context.data / "tokens" if context is not None else None)
        return Tokens(oauth, self.id, self.settings, store)

    def set_now(self, now_ms: int | None) -> None:
        """Let `now()` give this time while events are mapped; None: the clock's."""
        for action in self.actions:
            action.now_ms = now_ms

    def assume_token(self, token: str) -> None:
        """Take `token` for the OAuth token instead of fetching one, to show requests."""
        if self.tokens is not None:
            self.tokens.assumed = token

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

    @property
    def ordered(self) -> bool:
        """Does it need one user's events in order, if the instance says nothing?"""
        return self.spec.ordered

    @property
    def per_row(self) -> bool:
        """Do its answers tell the rows of one request apart?"""
        if self.sink is not None or any(rule.each for rule in self.spec.responses):
            return True
        return any(action.code is not None for action in self._live)

    def map_plain(self, events: list[Event]) -> list[Row] | None:
        """A row for each of the events in one call; None where that has to be decided one by one."""
        if not self._plain or len(self._live) != 1:
            return None
        return self._live[0].rows(events)

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
        """A row, or several, for each action that the event triggers. Raises `NotApplicable` where
        all of them lack something; what only one lacks is counted in `not_applicable`."""
        found: list[Row] = []
        lacking: NotApplicable | None = None
        for action in self._by_kind[event.kind]:
            if not (action.always or action.applies(event)):
                continue
            field = action.lacks(event)
            if not field:
                try:
                    found += action.expand(event)
                    continue
                except MissingField as error:
                    field = error.field
            self.not_applicable[action.name, field] += 1
            if lacking is None and action.action.missing == "dead_letter":
                reason = f"{field} is required by {self.slug}'s action {action.name}"
                lacking = NotApplicable(field, reason)
        if lacking is not None and not found:
            raise lacking
        return found

    def request(self, rows: list[Row], now_ms: int) -> Request:
        """The request for rows of one batch of an action that needs only one."""
        action = self.actions[rows[0].action]
        fixed = self._fixed.get(action.number)
        if fixed is not None:
            request, members = fixed
            body, _ = action.body(rows, members, now_ms)
            request = Request(request.method, request.url, request.headers.copy(), body)
            return self._signed(request, now_ms)
        members = self._prover.body(now_ms)
        body, kind = action.body(rows, members, now_ms)
        headers = {"Content-Type": kind} if kind else {}
        headers |= action.headers(rows, now_ms)
        url = action.url(rows, self._prover.query(now_ms), now_ms)
        request = self._headed(Request(action.method(rows), url, headers, body), now_ms)
        if self._fixable and action.fixed:
            unsigned = Request(request.method, request.url, request.headers.copy(), b"")
            self._fixed[action.number] = unsigned, members
        return self._signed(request, now_ms)

    def finished(self, request: Request, now_ms: int) -> Request:
        """The request with what all of the destination's have: headers, proof, compression."""
        return self._signed(self._headed(request, now_ms), now_ms)

    def _headed(self, request: Request, now_ms: int) -> Request:
        settings = self.settings
        found = {name: each.eval({}, settings, now_ms) for name, each in self._headers.items()}
        headers = header_texts(found) | request.headers | self._prover.headers(now_ms)
        if self._more_headers is not None:
            more = self._more_headers.eval({}, settings)
            headers |= header_texts(more) if isinstance(more, dict) else {}
        request.headers = headers
        return request

    def _signed(self, request: Request, now_ms: int) -> Request:
        self._prover.sign(request, now_ms)
        if request.body and self._compress is not None and self._compress.test({}, self.settings):
            request.body = _gzip(request.body)
            request.headers["Content-Encoding"] = "gzip"
        self._prover.finish(request, now_ms)
        return request

    def proof(self, now_ms: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the proof adds to a request's query, and to its body."""
        return self._prover.query(now_ms), self._prover.body(now_ms)

    def needs_send(self, action: int) -> bool:
        """Does the action take more than one request: steps, code, or a token to be fetched?"""
        one = self.actions[action]
        return bool(one.steps or one.code or self.tokens is not None)

    async def send(self, rows: list[Row], http: Http, now_ms: int | None = None) -> Reply:
        """Send rows of one batch of an action for which `needs_send` is true."""
        return await send(self, rows, http, now_ms)

    def judge(self, rows: list[Row], status: int, headers: Mapping[str, str], body: bytes) -> Reply:
        """What an answer means for each row; its reasons hold no secret."""
        reply = self._judge.judge(rows, status, headers, body)
        verdicts = reply.verdicts
        if not verdicts[0].reason and verdicts.count(verdicts[0]) == len(verdicts):
            return reply
        for verdict in verdicts:
            if verdict.reason:
                verdict.reason = self.redact(verdict.reason)
        return reply

    def redact(self, text: str) -> str:
        """`text` without the values of secret settings."""
        for secret in self.secrets:
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
