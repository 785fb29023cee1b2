"""Content-Encoding undone, never past the limit."""

from __future__ import annotations

from isal import isal_zlib
from isal.igzip_lib import IsalError

_GZIP, _ZLIB, _RAW = 31, 15, -15
_LAYERS, _MEMBERS = 4, 64


class CannotInflate(ValueError):
    """The body is not what its Content-Encoding says, is too large, or is in one not known."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def inflate(body: bytes, encoding: bytes, limit: int) -> bytes:
    """`body` as it was before compression, at most `limit` bytes. Raises `CannotInflate`."""
    names = [part.strip().lower() for part in encoding.split(b",")]
    if len(names) > _LAYERS:
        raise CannotInflate("unsupported_encoding", f"more than {_LAYERS} Content-Encodings")
    for name in reversed(names):
        if name in (b"", b"identity"):
            continue
        if name in (b"gzip", b"x-gzip"):
            body = _members(body, limit)
        elif name == b"deflate":
            # RFC 9110 means zlib; some clients send the bare stream.
            zlib = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
            body, _ = _one(body, _ZLIB if zlib else _RAW, limit)
        else:
            shown = name.decode("latin-1")[:40]
            raise CannotInflate(
                "unsupported_encoding",
                f"Content-Encoding {shown!r} is not supported: send gzip, deflate or none",
            )
    return body


def _members(body: bytes, limit: int) -> bytes:
    """Every member of a gzip file (RFC 1952, section 2.2)."""
    whole, rest = _one(body, _GZIP, limit)
    members = 1
    while rest:
        # Each is a copy of what follows it, so that thousands of empty ones would take seconds.
        if members == _MEMBERS:
            raise CannotInflate("invalid_encoding", f"more than {_MEMBERS} gzip members")
        more, rest = _one(rest, _GZIP, limit - len(whole))
        whole += more
        members += 1
    return whole


def _one(body: bytes, wbits: int, limit: int) -> tuple[bytes, bytes]:
    stream = isal_zlib.decompressobj(wbits=wbits)
    try:
        out = stream.decompress(body, limit + 1)
    except IsalError:  # type: ignore[misc]
        raise CannotInflate(
            "invalid_encoding", "the body is not what its Content-Encoding says"
        ) from None
    if len(out) > limit:
        raise CannotInflate("body_too_large", "the inflated body exceeds limits.body_bytes")
    if not stream.eof:
        raise CannotInflate("invalid_encoding", "the compressed body is cut off")
    return out, stream.unused_data
