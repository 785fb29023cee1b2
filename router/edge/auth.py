"""Write keys: where a request may carry one, and the source it belongs to."""

from __future__ import annotations

import base64
import binascii
from functools import lru_cache
from urllib.parse import parse_qsl, unquote_to_bytes

from router._fast.lane import Tally
from router.metrics import ACCEPTED, DUPLICATES, REJECTED
from router.workspace.models import Source

_CLIENT = {"auto": -1, "browser": 1, "mobile": 1, "server": 0}


class SourceState(Tally):
    """A source as the hot path wants it, with its counts since they were last brought over."""

    def __init__(self, id_: str, source: Source) -> None:
        self.id, self.name = id_, id_.encode()
        self.key = source.write_key
        self.enabled, self.strict = source.enabled, source.strict
        self.client = _CLIENT[source.kind]
        self.accepted = self.duplicates = 0
        self._accepted = ACCEPTED.labels(id_)
        self._duplicates = DUPLICATES.labels(id_)

    def count(self) -> None:
        """Add what was counted to the metrics."""
        accepted, self.accepted = self.accepted, 0
        duplicates, self.duplicates = self.duplicates, 0
        if accepted:
            self._accepted.inc(accepted)
        if duplicates:
            self._duplicates.inc(duplicates)


def count_rejected(source: str, reason: str, number: int = 1) -> None:
    REJECTED.labels(source, reason).inc(number)


@lru_cache(maxsize=512)
def key_of_header(authorization: bytes) -> bytes:
    """The write key of an Authorization header: Basic's user, with or without the colon, or a
    Bearer token; empty where there is none."""
    scheme, _, value = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if scheme.lower() != b"basic":
        return b""
    value = value.strip()
    try:
        decoded = base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return decoded.split(b":", 1)[0]


def key_of_query(query: bytes) -> bytes:
    """`?writeKey=` of a query string."""
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name.lower() == b"writekey":
            return unquote_to_bytes(value.replace(b"+", b" "))
    return b""


def query_pairs(query: bytes) -> list[tuple[str, str]]:
    """The query's members in order, decoded."""
    return parse_qsl(
        query.decode("latin-1"),
        keep_blank_values=True,
        encoding="utf-8",
        errors="replace",
        max_num_fields=1000,
    )
