"""From a request's body to the log: whose it is, what of it is good, and the answer once durable."""

from __future__ import annotations

import logging
import time

from router._fast.envelope import Envelope, InvalidBody
from router.dedup import Dedup
from router.edge.auth import header_key, query_key
from router.edge.inflate import CannotInflate, inflate
from router.edge.message import SUCCESS, Request, Respond, Response, overload, refusal
from router.edge.peer import Peers
from router.edge.rejected import Rejected
from router.edge.sources import LiveSource, index_sources
from router.errors import Unavailable
from router.log import EventLog
from router.metrics import RECEIVED_BYTES, RETRIED_REQUESTS
from router.workspace.models import Limits, Workspace

_log = logging.getLogger(__name__)

BATCH = -1
"""The `kind` of a body that holds a list of events; else an index into `router.event.KINDS`."""


class Intake:
    """Takes the bodies of one edge; on the loop only."""

    def __init__(self, log: EventLog, dedup: Dedup, rejected: Rejected) -> None:
        self._log, self._seen, self._rejected = log, dedup.seen, rejected
        self._envelope = Envelope()
        self.sources: dict[bytes, LiveSource] = {}
        self._limits = Limits()
        self._peers = Peers([])
        self._failures = 0
        self._bytes = 0

    def apply(self, workspace: Workspace) -> None:
        self.measure()
        self.sources = index_sources(workspace)
        self._limits = workspace.settings.limits
        self._peers = Peers(workspace.settings.server.trusted_proxies)

    def measure(self) -> None:
        """Bring the metrics up to date; a counter costs too much to touch for each request."""
        RECEIVED_BYTES.inc(self._bytes)
        self._bytes = 0
        for source in self.sources.values():
            source.measure()

    def take(self, request: Request, respond: Respond, kind: int, query: bytes) -> None:
        """Answer `request`, now if it is refused, else once its events are durable."""
        body, headers, limits = request.body, request.headers, self._limits
        self._bytes += len(body)
        if b"x-retry-count" in headers and headers[b"x-retry-count"] not in (b"", b"0"):
            RETRIED_REQUESTS.inc()
        encoding = headers.get(b"content-encoding")
        envelope = self._envelope
        try:
            if encoding:
                body = inflate(body, encoding, limits.body_bytes)
            key = envelope.parse(body, kind == BATCH)
        except (InvalidBody, CannotInflate) as error:
            respond(self._refuse_body(request, query, error, body))
            return
        key = key or header_key(request) or query_key(query) or envelope.item_key
        source = self.sources.get(key) if key else None
        if source is None or not source.enabled or envelope.events > limits.batch_events:
            respond(self._refuse_all(request, source, key))
            return
        self._accept(request, respond, kind, source)

    def _accept(self, request: Request, respond: Respond, kind: int, source: LiveSource) -> None:
        limits, now_ms = self._limits, int(time.time() * 1000)
        block, count, duplicates, rejections = self._envelope.accept(
            source.raw_id, now_ms, self._seen, kind, self._peers.address(request), source.client,
            limits.event_bytes, limits.depth, limits.message_id_chars,
        )  # fmt: skip
        answer = SUCCESS
        if rejections:
            self._rejected.add_all(source.id, request.peer, rejections)
            if source.strict or (kind != BATCH and rejections[0][1] == "event_too_large"):
                index, code, field, message, _ = rejections[0]
                where = f"batch[{index}]: " if kind == BATCH else ""
                answer = refusal(code, where + message, field)
        if block is None:
            if duplicates:
                self._wait(respond, answer, source, duplicates)
            else:
                respond(answer)
            return
        failures = self._failures

        def done(offset: int, error: Unavailable | None) -> None:
            if error is not None:
                self._failures += 1
                self._seen.discard_block(block)
                respond(overload(str(error), error.retry_after))
                return
            source.accepted += count
            source.duplicates += duplicates
            # What this request repeats may have been lost with a group that failed since.
            lost = duplicates and self._failures != failures
            respond(overload("the disk failed", 1) if lost else answer)

        try:
            self._log.append(block, count, now_ms, done)
        except Unavailable as error:
            done(-1, error)

    def _wait(
        self, respond: Respond, answer: Response, source: LiveSource, duplicates: int
    ) -> None:
        """A repetition is answered once what it repeats is durable."""

        def done(offset: int, error: Unavailable | None) -> None:
            if error is not None:
                respond(overload(str(error), error.retry_after))
                return
            source.duplicates += duplicates
            respond(answer)

        self._log.barrier(done)

    def _refuse_body(
        self, request: Request, query: bytes, error: InvalidBody | CannotInflate, body: bytes
    ) -> Response:
        """A body that is nothing as a whole: 400, whoever sent it."""
        key = header_key(request) or query_key(query)
        source = self.sources.get(key) if key else None
        field = error.field if isinstance(error, InvalidBody) else "Content-Encoding"
        shown = body if isinstance(error, InvalidBody) else b""
        self._rejected.add_all(
            source.id if source else "", request.peer, [(0, error.code, field, str(error), shown)]
        )
        return refusal(error.code, str(error), field)

    def _refuse_all(
        self, request: Request, source: LiveSource | None, key: bytes | None
    ) -> Response:
        """Every event of a valid body, for a reason that is not theirs."""
        if source is None:
            code = "unknown_write_key" if key else "no_write_key"
            message = (
                "no source has this write key"
                if key
                else "a write key is required: Basic authorization, or writeKey in the body"
            )
            field = "writeKey"
        elif not source.enabled:
            code, field, message = "source_disabled", "writeKey", "the source is disabled"
        else:
            code, field = "too_many_events", "batch"
            message = f"a batch holds at most {self._limits.batch_events} events"
        self._rejected.add_all(
            source.id if source else "",
            request.peer,
            self._envelope.rejections(code, field, message),
        )
        return refusal(code, message, field) if source and source.strict else SUCCESS
