"""Which write key a request carries, in all the forms that SDKs use."""

from __future__ import annotations

import binascii
from functools import lru_cache
from urllib.parse import parse_qs

from router.edge.message import Request


def header_key(request: Request) -> bytes | None:
    """The user of Basic authorization, or None. A Bearer token leaves the key to the body."""
    value = request.headers.get(b"authorization")
    return _basic_user(value) if value else None


@lru_cache(maxsize=4096)
def _basic_user(value: bytes) -> bytes | None:
    """`base64(key + ":")`, as it should be, or without the colon or the padding."""
    scheme, _, encoded = value.strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    encoded = encoded.strip().rstrip(b"=")
    try:
        decoded = binascii.a2b_base64(encoded + b"=" * (-len(encoded) % 4))
    except binascii.Error:
        return None
    return decoded.partition(b":")[0] or None


def query_key(query: bytes) -> bytes | None:
    """`?writeKey=`, or None."""
    if b"riteKey=" not in query:
        return None
    values = parse_query(query).get("writeKey")
    return values[-1].encode("utf-8", "surrogateescape") if values else None


def parse_query(query: bytes) -> dict[str, list[str]]:
    """The members of a query string, at most 1,000; {} where there are more."""
    try:
        return parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        return {}
