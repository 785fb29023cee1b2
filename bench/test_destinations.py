"""Mapping events for the most used destinations, against decoding them once with orjson."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean
from time import perf_counter
from typing import Any

import orjson
import pytest

from bench.test_edge import event
from router.destinations import Compiled, catalog, compile_destination
from router.destinations.settings import choice_values
from router.event import Event, restore_event
from router.workspace.models import Destination

_ROUNDS, _TIMES = 15, 1000

MOST_USED: dict[str, dict[str, Any]] = {
    "webhook": {"url": "https://example.com/"},
    "mixpanel": {"projectToken": "token"},
    "amplitude": {"apiKey": "key"},
    "hubspot": {"accessToken": "token"},
    "salesforce": {
        "instanceUrl": "https://a.my.salesforce.com",
        "clientId": "c",
        "clientSecret": "s",
    },
    "intercom": {"accessToken": "token"},
    "moengage": {"api_id": "app", "api_key": "key"},
    "clevertap": {"clevertapAccountId": "a", "clevertapPasscode": "passcode"},
    "google-analytics-4": {},
    "braze": {},
    "customerio": {},
    "klaviyo": {},
}
"""By use; those that the catalogue has, with the least of settings."""

TRACK = orjson.dumps({**event(1), "event": "Order Viewed"})
ORDER = orjson.dumps(event(1))
IDENTIFY = orjson.dumps({
    **{key: value for key, value in event(1).items() if key not in ("event", "properties")},
    "type": "identify",
    "traits": {"email": "ann@example.com", "firstName": "Ann", "last_name": "Lee", "plan": "pro",
               "phone": "+14155550123", "createdAt": "2026-01-02T03:04:05.678Z",
               "address": {"city": "Paris", "country": "FR"}},
})  # fmt: skip


def compiled(slug: str) -> Compiled:
    spec = catalog().spec(slug)
    settings = dict(MOST_USED[slug])
    for name, setting in spec.settings.items():
        if setting.required and setting.default is None and not setting.when:
            choices = choice_values(setting.choices)
            value = "https://example.com" if setting.type == "url" else "sample"
            settings.setdefault(name, choices[0] if choices else value)
    return compile_destination(spec, slug, Destination(destination=slug, settings=settings))


def ratio(one: Compiled, raw: bytes) -> float:
    """How often `orjson.loads` would have run in the time the event is indexed and mapped in: the
    best rounds of each, which take turns."""
    kind = restore_event(raw, 1, "web", 0).kind
    ours, theirs = [], []
    for _ in range(_ROUNDS):
        ours.append(_seconds(lambda: one.map(Event(1, "web", kind, 0, raw, 0))))
        theirs.append(_seconds(lambda: orjson.loads(raw)))
    return min(ours) / min(theirs)


def _seconds(function: Callable[[], object]) -> float:
    started = perf_counter()
    for _ in range(_TIMES):
        function()
    return perf_counter() - started


SLUGS = [slug for slug in MOST_USED if slug in catalog().slugs()][:10]


@pytest.mark.benchmark(group="destinations")
def test_mapping_for_the_most_used(benchmark: Any) -> None:
    found = {slug: ratio(compiled(slug), TRACK) for slug in SLUGS}
    one = compiled("mixpanel")
    kind = restore_event(TRACK, 1, "web", 0).kind
    benchmark(lambda: one.map(Event(1, "web", kind, 0, TRACK, 0)))
    benchmark.extra_info["ratio"] = mean(found.values())
    benchmark.extra_info["ceiling"] = 1.5
    parts = ", ".join(f"{slug} {value:.2f}" for slug, value in found.items())
    benchmark.extra_info["baseline"] = f"orjson.loads of the event; {parts}"


@pytest.mark.benchmark(group="destinations")
@pytest.mark.parametrize("slug", SLUGS)
def test_mapping_an_identify(benchmark: Any, slug: str) -> None:
    one = compiled(slug)
    kind = restore_event(IDENTIFY, 1, "web", 0).kind
    assert one.map(Event(1, "web", kind, 0, IDENTIFY, 0)) is not None
    benchmark(lambda: one.map(Event(1, "web", kind, 0, IDENTIFY, 0)))
    benchmark.extra_info["ratio"] = ratio(one, IDENTIFY)
    benchmark.extra_info["baseline"] = "orjson.loads of the event"


@pytest.mark.benchmark(group="destinations")
@pytest.mark.parametrize("slug", [slug for slug in ("mixpanel", "amplitude") if slug in SLUGS])
def test_mapping_an_order_of_two_products(benchmark: Any, slug: str) -> None:
    """Three rows of one event."""
    one = compiled(slug)
    kind = restore_event(ORDER, 1, "web", 0).kind
    assert len(one.map(Event(1, "web", kind, 0, ORDER, 0))) == 3
    benchmark(lambda: one.map(Event(1, "web", kind, 0, ORDER, 0)))
    benchmark.extra_info["ratio"] = ratio(one, ORDER)
    benchmark.extra_info["baseline"] = "orjson.loads of the event"


@pytest.mark.benchmark(group="destinations")
def test_listing_the_catalogue(benchmark: Any) -> None:
    """Starting costs the files that are enabled; this is what the list costs."""
    entries = benchmark(lambda: catalog().entries())
    benchmark.extra_info["ratio"] = benchmark.stats["median"] / len(entries) * 1000
    benchmark.extra_info["ceiling"] = 2.0
    benchmark.extra_info["baseline"] = "milliseconds a destination"
