"""Cross-origin rules: any page may send events, as at Segment (Fetch standard, section 3.2)."""

from __future__ import annotations

from router.edge.message import Request, Response

_DEFAULT_HEADERS = b"Authorization, Content-Type, X-Retry-Count, AnonymousId, SentAt"


def cors_headers(origin: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """On every answer to a page, errors included, so that it can read the status and the wait."""
    return (
        (b"Access-Control-Allow-Origin", origin),
        (b"Access-Control-Allow-Credentials", b"true"),
        (b"Access-Control-Expose-Headers", b"Retry-After"),
        (b"Vary", b"Origin"),
    )


def preflight(request: Request) -> Response:
    """The answer to OPTIONS; headers by name, since `*` does not cover Authorization."""
    asked = request.headers.get(b"access-control-request-headers", b"") or _DEFAULT_HEADERS
    return Response(204, b"", headers=(
        (b"Access-Control-Allow-Methods", b"GET, POST, OPTIONS"),
        (b"Access-Control-Allow-Headers", asked),
        (b"Access-Control-Max-Age", b"86400"),
    ))  # fmt: skip
