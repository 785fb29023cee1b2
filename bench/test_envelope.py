"""Judging, stamping and splicing a body against decoding it, setting three members and encoding it."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from bench.test_edge import event
from bench.test_expr import versus
from router._fast.envelope import Envelope, format_time
from router._fast.seen import Seen


@pytest.mark.benchmark(group="envelope")
@pytest.mark.parametrize("size", [1, 100])
def test_scan_stamp_and_splice(benchmark: Any, size: int) -> None:
    """Without messageIds, so that each event is new; the router makes them."""
    benchmark.extra_info["floor"] = 3.5
    body = orjson.dumps({"batch": [event(None)] * size})
    envelope, seen, now = Envelope(), Seen(bytes(16), 24), int(time.time() * 1000)

    def ours() -> object:
        envelope.parse(body, True)
        return envelope.accept(b"bench", now, seen)

    def theirs() -> list[bytes]:
        stored = []
        for each in orjson.loads(body)["batch"]:
            each["messageId"] = "5d2c1a4e-6b7f-4a53-9f1e-0c2b7d8e9f10"
            each["receivedAt"] = format_time(now)
            each["originalTimestamp"] = each["timestamp"]
            stored.append(orjson.dumps(each))
        return stored

    assert envelope.parse(body, True) is None
    assert envelope.accept(b"bench", now, seen)[1] == size
    versus(benchmark, ours, theirs, "orjson.loads, three members set, orjson.dumps",
           2000 // size, 2000 // size)  # fmt: skip
