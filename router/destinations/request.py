"""Rows, the batches they form, and the requests they become."""

from __future__ import annotations

import msgspec

from router.event import Event


class Row(msgspec.Struct, gc=False):
    """One event mapped for one action. Rows of a batch share `action` and `key`."""

    event: Event
    action: int
    key: str
    body: bytes


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
