"""Rows, the batches they form, and the requests they become."""

from __future__ import annotations

import msgspec

from router._fast.rows import Row

__all__ = ["BatchRule", "Request", "Row"]


class Request(msgspec.Struct):
    """One HTTP request, ready to send."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


class BatchRule(msgspec.Struct, frozen=True):
    """When a batch is full: by rows, by bytes of their bodies, or `wait` seconds after the first."""

    events: int = 1
    bytes: int = 1 << 20
    wait: float = 0.0
