"""Bodies of requests, from plain values or from rows that are JSON already."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from router._fast.functions import text_of
from router._fast.output import form_of
from router._fast.rows import joined

CONTENT_TYPES = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "form": "application/x-www-form-urlencoded",
    "text": "text/plain; charset=utf-8",
}


def json_bytes(value: Any) -> bytes:
    """JSON; `null` for what none can be written of."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return b"null"


def json_list(rows: list[bytes]) -> bytes:
    return joined(rows, b"[", b",", b"]")


def texts_of(members: dict[str, Any]) -> dict[str, str | bytes]:
    """The members as text, those that are null left out; bytes stay."""
    texts = {
        name: value if isinstance(value, bytes) else text_of(value)
        for name, value in members.items()
    }
    return {name: text for name, text in texts.items() if text is not None}


def form_bytes(members: dict[str, Any]) -> bytes:
    """application/x-www-form-urlencoded (WHATWG URL, section 5.2); objects are their JSON."""
    return form_of(texts_of(members))


def query_text(members: dict[str, Any]) -> str:
    return form_of(texts_of(members), plus=False).decode()


def with_query(url: str, members: dict[str, Any]) -> str:
    query = query_text(members)
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


def multipart_bytes(members: dict[str, Any]) -> tuple[bytes, str]:
    """multipart/form-data (RFC 7578), and its Content-Type. The boundary is a hash of the content,
    so that the same rows make the same request."""
    parts = {
        name: text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        for name, text in texts_of(members).items()
    }
    digest = hashlib.sha256(b"\0".join(parts.values())).hexdigest()[:32]
    boundary = f"event-router-{digest}"
    lines = []
    for name, data in parts.items():
        quoted = name.replace("%", "%25").replace('"', "%22").replace("\r", "%0D")
        quoted = quoted.replace("\n", "%0A")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{quoted}"\r\n\r\n'
        lines.append(head.encode("utf-8", "surrogatepass") + data + b"\r\n")
    body = b"".join(lines) + f"--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def lines_of(rows: list[bytes]) -> bytes:
    """Rows that are JSON texts, as the lines they hold; a row of another kind is its JSON."""
    lines = []
    for row in rows:
        value = orjson.loads(row)
        lines.append((text_of(value) or "").encode("utf-8", "surrogatepass"))
    return b"\n".join(lines)
