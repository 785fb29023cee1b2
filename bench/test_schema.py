"""Tracking plans against the validators there are: compiled Rust, and Python generated from the schema."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import fastjsonschema
import jsonschema_rs
import orjson
import pytest

from router._fast.document import Document
from router._fast.schema import compile

_ROUND = 2000
_ROUNDS = 60

PLAN: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "properties": {
            "type": "object",
            "properties": {
                "order_id": {"type": "string", "pattern": "^ORD-[0-9]+$"},
                "sku": {"type": "string", "pattern": "^[A-Z]{2,4}-[0-9]{3,8}(-[a-z]+)?$"},
                "revenue": {"type": "number", "minimum": 0},
                "quantity": {"type": "integer", "minimum": 1, "maximum": 1000},
                "currency": {"type": "string", "enum": ["EUR", "NOK", "USD"]},
                "coupon": {"type": ["string", "null"], "maxLength": 40},
                "gift": {"type": "boolean"},
                "affiliation": {"type": "string", "minLength": 1},
                "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 10},
                "shipping": {
                    "type": "object",
                    "properties": {"method": {"type": "string"}, "cost": {"type": "number"}},
                    "required": ["method"],
                },
            },
            "required": ["order_id", "revenue", "currency"],
        }
    },
    "required": ["properties"],
}

EVENT: dict[str, Any] = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "ajs-next-1732512171142-0a1b2c3d-4e5f-6789-abcd-ef0123456789",
    "anonymousId": "507f191e-810c-4197-9de8-60ea7e1a5d2f",
    "userId": "user-48151623",
    "timestamp": "2026-11-24T05:22:51.142Z",
    "context": {
        "library": {"name": "analytics.js", "version": "next-1.70.0"},
        "page": {
            "path": "/checkout/done", "referrer": "https://shop.example/cart",
            "title": "Thank you", "url": "https://shop.example/checkout/done?step=4",
        },
        "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
        "locale": "nb-NO", "timezone": "Europe/Oslo", "ip": "203.0.113.9",
        "campaign": {"name": "winter", "source": "newsletter", "medium": "email"},
    },
    "integrations": {"All": True},
    "properties": {
        "order_id": "ORD-20261124", "sku": "SHOE-104233-blue", "revenue": 129.9, "quantity": 2,
        "currency": "NOK", "coupon": None, "gift": False, "affiliation": "Web shop",
        "tags": ["sale", "shoes", "winter"], "shipping": {"method": "courier", "cost": 4.5},
    },
}  # fmt: skip
RAW = orjson.dumps(EVENT)

Rival = Callable[[Any], Any]
RUST: Rival = jsonschema_rs.Draft7Validator(PLAN).is_valid
PYTHON: Rival = fastjsonschema.compile(PLAN)


def compare(
    benchmark: Any, ours: Rival, theirs: Rival, subject: Any, name: str, floor: float
) -> None:
    """Rounds of both in turn; each round's time is of one event."""
    mine: list[float] = []
    other: list[float] = []

    def run(check: Rival, times: list[float]) -> None:
        started = time.perf_counter()
        for _ in range(_ROUND):
            check(subject)
        times.append((time.perf_counter() - started) / _ROUND)

    benchmark.pedantic(run, (ours, mine), setup=lambda: run(theirs, other), rounds=_ROUNDS)
    benchmark.extra_info.update(
        ratio=median(other) / median(mine), floor=floor,
        baseline=f"{name}, {median(other) * 1e6:.2f} us against {median(mine) * 1e6:.2f}",
    )  # fmt: skip


@pytest.mark.benchmark(group="schema")
@pytest.mark.parametrize(
    ("rival", "name", "floor"),
    [(RUST, "jsonschema-rs", 1.3), (PYTHON, "fastjsonschema", 4)],
    ids=["rust", "python"],
)
def test_a_decoded_event(benchmark: Any, rival: Rival, name: str, floor: float) -> None:
    """A plan of ten properties, two with a pattern; an event of 1 KB that keeps to it."""
    schema = compile(PLAN)
    assert schema.valid(EVENT)
    compare(benchmark, schema.valid, rival, EVENT, name, floor)


@pytest.mark.benchmark(group="schema")
def test_from_raw_bytes(benchmark: Any) -> None:
    """The same, from the event's bytes."""
    schema = compile(PLAN)
    assert schema.valid_doc(Document(RAW))
    compare(
        benchmark, lambda raw: schema.valid_doc(Document(raw)),
        lambda raw: RUST(orjson.loads(raw)), RAW, "orjson and jsonschema-rs", 2,
    )  # fmt: skip


@pytest.mark.benchmark(group="schema")
def test_of_an_index_that_is_there(benchmark: Any) -> None:
    """The plan's own share, where filters and mappings need the document anyway."""
    schema = compile(PLAN)
    compare(benchmark, schema.valid_doc, lambda _: RUST(EVENT), Document(RAW), "jsonschema-rs", 1.3)


@pytest.mark.benchmark(group="schema")
def test_all_violations(benchmark: Any) -> None:
    """An event with four violations, told with all places and messages."""
    bad = {"properties": {**EVENT["properties"], "order_id": 4, "quantity": 0, "currency": "SEK"}}
    del bad["properties"]["revenue"]
    schema = compile(PLAN)
    rust = jsonschema_rs.Draft7Validator(PLAN)
    assert len(schema.violations(bad)) == len(list(rust.iter_errors(bad))) == 4
    compare(benchmark, schema.violations, lambda v: list(rust.iter_errors(v)), bad,
            "jsonschema-rs", 1.0)  # fmt: skip
