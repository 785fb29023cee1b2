"""From a request with events to a durable block and an answer."""

from __future__ import annotations

import time
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from router._fast.envelope import Envelope, InvalidBody, Rejection
from router._fast.lane import Lane
from router.dedup import Dedup
from router.edge.auth import SourceState, count_rejected, key_of_header, key_of_query
from router.edge.inflate import CannotInflate, inflate
from router.edge.message import SUCCESS, Request, Respond, Response, overload, refusal
from router.edge.rejected import Rejected
from router.edge.routes import event_routes
from router.errors import Unavailable
from router.log import EventLog
from router.metrics import RECEIVED_BYTES, REJECTED_UNRECORDED, RETRIED_REQUESTS
from router.workspace.models import Limits, Settings

_UNKNOWN = "-"
"""In place of a source's id, where a request belongs to none."""


class Intake:
    """Takes events. One for all connections; runs on the loop."""

    def __init__(self, log: EventLog, dedup: Dedup, rejected: Rejected) -> None:
        self._log, self._seen, self._rejected = log, dedup.seen, rejected
        self._envelope = Envelope()
        self.lane = Lane(
            self._envelope, self._seen, log.queue, self, SUCCESS, event_routes(), key_of_header
        )
        self._sources: dict[bytes, SourceState] = {}
        self._limits = Limits()
        self._proxies: list[IPv4Network | IPv6Network] = []
        self._received = self._retried = 0

    def apply(self, settings: Settings, sources: dict[bytes, SourceState]) -> None:
        self._sources = sources
        self._limits = settings.limits
        self._proxies = [ip_network(text, strict=False) for text in settings.server.trusted_proxies]
        self.lane.configure(sources, self._limits, bool(self._proxies))

    def count(self) -> None:
        """Bring the metrics up to date."""
        for source in self._sources.values():
            source.count()
        lane = self.lane
        RECEIVED_BYTES.inc(self._received + lane.received)
        RETRIED_REQUESTS.inc(self._retried + lane.retried)
        self._received = self._retried = lane.received = lane.retried = 0

    def take(
        self, request: Request, query: bytes, batch: bool, kind: int, respond: Respond
    ) -> None:
        """Accept the events of `request`; `respond` is called once they are durable or refused."""
        headers, body, limits = request.headers, request.body, self._limits
        self._received += len(body)
        if headers.get(b"x-retry-count", b"0") not in (b"", b"0"):
            self._retried += 1
        try:
            if encoding := headers.get(b"content-encoding"):
                body = inflate(body, encoding, limits.body_bytes)
            key = self._envelope.parse(body, batch, limits.batch_events)
        except (CannotInflate, InvalidBody) as error:
            self._refuse_body(error, request, query, body, respond)
            return
        if not key:
            key = key_of_header(headers.get(b"authorization", b"")) or key_of_query(query)
        source = self._sources.get(key)
        if source is None or not source.enabled:
            self._refuse_all(source, request, *_WRONG_KEY[source is None], respond)
        elif batch and self._envelope.events > limits.batch_events:
            message = f"a batch has at most {limits.batch_events} events (limits.batch_events)"
            self._refuse_all(source, request, "batch_too_long", "batch", message, respond)
        else:
            self._accept(source, request, batch, kind, respond)

    def _accept(
        self, source: SourceState, request: Request, batch: bool, kind: int, respond: Respond
    ) -> None:
        limits = self._limits
        ip = self.client_ip(request)
        now_ms = int(time.time() * 1000)
        block, count, duplicates, rejections = self._envelope.accept(
            source.name, now_ms, self._seen, kind, ip.encode(), source.client,
            limits.event_bytes, limits.depth, limits.message_id_chars,
        )  # fmt: skip
        answer = self.keep_rejected(source, ip, batch, rejections)

        def durable(_: int, error: Unavailable | None) -> None:
            if error is None:
                source.accepted += count
                source.duplicates += duplicates
                respond(answer)
            else:
                if block is not None:
                    self._seen.discard_block(block)
                respond(self.overload(error))

        if block is not None:
            try:
                self._log.append(block, count, now_ms, durable)
            except Unavailable as error:
                durable(-1, error)
        elif duplicates:
            # The first of them may be on its way to the disk: its 200 is ours too.
            self._log.barrier(durable)
        else:
            respond(answer)

    def keep_rejected(
        self, source: SourceState, ip: str, batch: bool, rejections: list[Rejection]
    ) -> Response:
        """Keep what was refused, with its reason; returns the request's answer."""
        if not rejections:
            return SUCCESS
        self._rejected.add(source.id, ip, rejections)
        for _, code, _, _, _ in rejections:
            count_rejected(source.id, code)
        _, code, field, message, _ = rejections[0]
        if source.strict or (not batch and code == "event_too_large"):
            return refusal(code, message, field)
        return SUCCESS

    def overload(self, error: Unavailable) -> Response:
        return overload(str(error), error.retry_after)

    def _refuse_body(
        self, error: CannotInflate | InvalidBody, request: Request, query: bytes, body: bytes,
        respond: Respond,
    ) -> None:  # fmt: skip
        """A body that is no request as a whole: 400, as at Segment."""
        key = key_of_header(request.headers.get(b"authorization", b"")) or key_of_query(query)
        source = self._sources.get(key)
        name = source.id if source is not None else _UNKNOWN
        field = error.field if isinstance(error, InvalidBody) else ""
        count_rejected(name, error.code)
        self._rejected.add(
            name, self.client_ip(request), [(0, error.code, field, str(error), body)]
        )
        respond(refusal(error.code, str(error), field))

    def _refuse_all(
        self, source: SourceState | None, request: Request, code: str, field: str, message: str,
        respond: Respond,
    ) -> None:  # fmt: skip
        """Every event of the request, for one reason: 200 as at Segment, 400 if strict."""
        name = source.id if source is not None else _UNKNOWN
        rejections = self._envelope.rejections(code, field, message)
        count_rejected(name, code, self._envelope.events)
        REJECTED_UNRECORDED.inc(self._envelope.events - len(rejections))
        self._rejected.add(name, self.client_ip(request), rejections)
        strict = source is not None and source.strict
        respond(refusal(code, message, field) if strict else SUCCESS)

    def client_ip(self, request: Request) -> str:
        """The peer's address; behind a trusted proxy, the last one it did not vouch for itself."""
        if not self._proxies or not self._trusted(request.peer):
            return request.peer
        forwarded = request.headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        for part in reversed(forwarded):
            address = part.strip()
            if not _is_address(address):
                break
            if not self._trusted(address):
                return address
        return request.peer

    def _trusted(self, address: str) -> bool:
        if not _is_address(address):
            return False
        parsed = ip_address(address)
        return any(parsed in network for network in self._proxies)


_WRONG_KEY = {
    True: ("unknown_write_key", "writeKey", "no source has this write key"),
    False: ("source_disabled", "writeKey", "the source is disabled"),
}


def _is_address(text: str) -> bool:
    if "%" in text:  # a scope id is any text, and means nothing elsewhere
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
