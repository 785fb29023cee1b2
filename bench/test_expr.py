"""Filters and mappings against the same in plain Python, and against the CEL bindings of PyPI."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any
from urllib.parse import urlencode

import cel
import orjson
import pytest

from bench.test_edge import event
from router._fast.document import Document
from router._fast.expr import compile, compile_fields
from router._fast.output import form_of
from router._fast.schema import compile as compile_schema

_ROUNDS, _TIMES = 31, 2000
FILTER = (
    'type = "track" and event = "Order Completed" and properties.total > 10 '
    'and contains(context.page.url, "shop")'
)
RAW = orjson.dumps(event(1))
EVENT = orjson.loads(RAW)


def plain_filter(event: dict[str, Any]) -> bool:
    """What a careful person would write: missing members and odd types are false."""
    if event.get("type") != "track" or event.get("event") != "Order Completed":
        return False
    properties = event.get("properties")
    total = properties.get("total") if type(properties) is dict else None
    if type(total) not in (int, float) or not total > 10:
        return False
    context = event.get("context")
    page = context.get("page") if type(context) is dict else None
    url = page.get("url") if type(page) is dict else None
    return type(url) is str and "shop" in url


def plain_mapping(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in (
        ("id", event.get("messageId")),
        ("name", event.get("event")),
        ("user", event.get("userId") or event.get("anonymousId")),
        ("time", event.get("timestamp")),
        ("url", (event.get("context") or {}).get("page", {}).get("url")),
        ("total", (event.get("properties") or {}).get("total")),
        ("properties", event.get("properties")),
    ):
        if value is not None:
            found[name] = value
    return found


MAPPING = {
    "id!": "messageId", "name!": "event", "user": "userId ?? anonymousId", "time": "timestamp",
    "url": "context.page.url", "total": "properties.total", "properties": "properties",
}  # fmt: skip


def versus(
    benchmark: Any, ours: Callable[[], object], theirs: Callable[[], object], name: str,
    times: int = _TIMES, theirs_times: int = _TIMES,
) -> None:  # fmt: skip
    """Rounds of both in turn; notes how many times faster ours is, by the medians."""
    mine: list[float] = []
    other: list[float] = []

    def run(call: Callable[[], object], count: int, into: list[float]) -> None:
        started = perf_counter()
        for _ in range(count):
            call()
        into.append((perf_counter() - started) / count)

    benchmark.pedantic(
        lambda: run(ours, times, mine),
        setup=lambda: run(theirs, theirs_times, other),
        rounds=_ROUNDS, warmup_rounds=2,
    )  # fmt: skip
    ratio = median(other) / median(mine)
    benchmark.extra_info.update(
        ratio=ratio,
        baseline=f"{name}, {median(other) * 1e6:.2f} us against {median(mine) * 1e6:.2f}",
    )


@pytest.mark.benchmark(group="expr")
def test_filter_on_values(benchmark: Any) -> None:
    """A hundred events a call, as delivery asks it."""
    benchmark.extra_info["floor"] = 2.0
    expr, documents, events = compile(FILTER), [Document(RAW)] * 100, [EVENT] * 100
    assert expr.test_many(documents) == b"\1" * 100
    versus(benchmark, lambda: expr.test_many(documents),
           lambda: [plain_filter(each) for each in events],
           "plain Python on dicts, 100 events", 100, 100)  # fmt: skip


@pytest.mark.benchmark(group="expr")
def test_filter_from_bytes(benchmark: Any) -> None:
    benchmark.extra_info["floor"] = 2.0
    expr = compile(FILTER)
    versus(benchmark, lambda: expr.test_doc(Document(RAW)),
           lambda: plain_filter(orjson.loads(RAW)), "orjson.loads and plain Python")  # fmt: skip


@pytest.mark.benchmark(group="expr")
def test_filter_against_cel(benchmark: Any) -> None:
    """The fastest binding that PyPI has: cel-rust's, its program compiled beforehand."""
    benchmark.extra_info["floor"] = 100.0
    expr, document = compile(FILTER), Document(RAW)
    program = cel.compile(
        'e.type == "track" && e.event == "Order Completed" && double(e.properties.total) > 10.0 '
        '&& e.context.page.url.contains("shop")'
    )
    assert program.execute({"e": EVENT}) is True
    versus(benchmark, lambda: expr.test_doc(document), lambda: program.execute({"e": EVENT}),
           "CEL (common-expression-language) on a dict", theirs_times=200)  # fmt: skip


@pytest.mark.benchmark(group="expr")
def test_mapping_from_bytes(benchmark: Any) -> None:
    benchmark.extra_info["floor"] = 2.0
    fields = compile_fields(MAPPING)
    assert orjson.loads(fields.write_doc(Document(RAW))) == plain_mapping(EVENT)
    versus(benchmark, lambda: fields.write_doc(Document(RAW)),
           lambda: orjson.dumps(plain_mapping(orjson.loads(RAW))),
           "orjson.loads, plain Python, orjson.dumps")  # fmt: skip


@pytest.mark.benchmark(group="expr")
def test_form_from_bytes(benchmark: Any) -> None:
    """What a destination that takes forms is sent: every value a text."""
    benchmark.extra_info["floor"] = 5.0
    fields = compile_fields({name: text for name, text in MAPPING.items() if name != "properties"})

    def theirs() -> bytes:
        members = plain_mapping(orjson.loads(RAW))
        del members["properties"]
        return urlencode(members).encode()

    assert fields.write_form_doc(Document(RAW)) == theirs()
    versus(benchmark, lambda: fields.write_form_doc(Document(RAW)), theirs,
           "orjson.loads, plain Python, urlencode")  # fmt: skip


@pytest.mark.benchmark(group="expr")
def test_rows_within_a_form(benchmark: Any) -> None:
    """100 rows as JSON in one member, as some vendors take a batch."""
    benchmark.extra_info["floor"] = 10.0
    rows = b"[" + b",".join([compile_fields(MAPPING).write_doc(Document(RAW))] * 100) + b"]"
    assert form_of({"rows": rows}) == urlencode({"rows": rows}).encode()
    versus(benchmark, lambda: form_of({"rows": rows}), lambda: urlencode({"rows": rows}),
           "urlencode", 50, 5)  # fmt: skip


PLAN = {
    "type": "object", "required": ["properties", "event"],
    "properties": {
        "event": {"type": "string"},
        "properties": {
            "type": "object", "required": ["orderId", "total", "currency"],
            "properties": {
                "orderId": {"type": "string", "pattern": "^[0-9a-f]+$"},
                "total": {"type": "number", "minimum": 0}, "revenue": {"type": "number"},
                "shipping": {"type": "number"}, "tax": {"type": "number"},
                "discount": {"type": "number"}, "coupon": {"type": "string", "maxLength": 40},
                "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
                "products": {"type": "array", "items": {"type": "object"}},
                "note": {"type": "string"},
            },
        },
    },
}  # fmt: skip


def pipeline() -> Callable[[], list[bytes | None]]:
    """100 events from their bytes through a plan, and filter and mapping of three destinations."""
    raws = [orjson.dumps(event(number)) for number in range(100)]
    plan = compile_schema(PLAN)
    filters = [compile(FILTER), compile('type in ["track", "page"]'), compile("userId != null")]
    mappings = [
        compile_fields(MAPPING),
        compile_fields({"event!": "event", "properties": {"distinct_id": "userId ?? anonymousId",
                        "time": "timestamp", "$insert_id": "messageId", "...": "properties"}}),
        compile_fields({"type": "type", "traits": "context.traits", "page": "context.page",
                        "value": "properties.revenue ?? properties.total"}),
    ]  # fmt: skip

    def run() -> list[bytes | None]:
        documents = [Document(raw) for raw in raws]
        valid = plan.valid_many(documents)
        documents = [each for each, good in zip(documents, valid, strict=True) if good]
        rows: list[bytes | None] = []
        for expr, fields in zip(filters, mappings, strict=True):
            wanted = expr.test_many(documents)
            rows += fields.write_many(
                [each for each, good in zip(documents, wanted, strict=True) if good]
            )
        return rows

    return run


@pytest.mark.benchmark(group="expr")
def test_a_batch_through_plan_filters_and_mappings(benchmark: Any) -> None:
    benchmark.extra_info["ceiling"] = 2.5
    raws, ours = [orjson.dumps(event(number)) for number in range(100)], pipeline()
    assert len(ours()) == 300
    versus(benchmark, ours, lambda: [orjson.loads(raw) for raw in raws],
           "orjson.loads alone, 100 events", 50, 50)  # fmt: skip
    # Here the question is how many times as long ours takes.
    benchmark.extra_info["ratio"] = 1 / benchmark.extra_info["ratio"]
