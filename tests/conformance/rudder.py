"""RudderStack's recorded transformations against our defaults: the other peer's opinion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from router.destinations import catalog
from router.destinations.spec import Spec
from router.errors import RouterError
from tests.conformance.compare import requests_difference
from tests.conformance.run import VECTORS, Column, Result, compiled, instance_settings, judged, sent


def rudder_column(slug: str) -> Column | None:
    """None where there are no vectors for it."""
    spec = catalog().spec(slug)
    name = spec.conformance.rudder or slug.replace("-", "_")
    path = VECTORS / "rudder" / f"{name}.json"
    if not path.exists():
        return None
    return Column(slug, "rudder", list(_results(slug, spec, json.loads(path.read_text()))))


def _results(slug: str, spec: Spec, file: dict[str, Any]) -> Iterator[Result]:
    for case in file["cases"]:
        if case["kind"] != "processor":
            yield Result(case["id"], "skipped", f"of kind {case['kind']}")
            continue
        expect = case["expect"]
        if expect.get("non_http"):
            yield Result(case["id"], "skipped", "not over HTTP")
            continue
        event = case["input"]["event"]
        if not isinstance(event, dict):
            yield Result(case["id"], "skipped", "no single event")
            continue
        try:
            settings = instance_settings(spec, case["input"].get("config") or {})
            one = compiled(slug, spec, settings, {}, "access-token")
            found = sent(one, [event])
        except RouterError as error:
            yield Result(case["id"], "differs", str(error).splitlines()[0])
            continue
        wanted = [_request(each) for each in expect.get("requests", [])]
        yield judged(spec, case["id"], wanted, found, requests_difference)


def _request(given: dict[str, Any]) -> dict[str, Any]:
    query = "&".join(f"{name}={value}" for name, value in (given.get("params") or {}).items())
    url = given.get("endpoint") or ""
    body = given.get("body")
    if given.get("body_format") == "JSON_ARRAY" and isinstance(body, dict):
        body = body.get("batch", body)
    return {
        "method": given.get("method") or "POST",
        "url": f"{url}{'&' if '?' in url else '?'}{query}" if query else url,
        "headers": {k: v for k, v in (given.get("headers") or {}).items() if v is not None},
        "body": body,
    }
