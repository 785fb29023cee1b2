"""The real Python SDKs, with one line changed, against a running router."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.harness import KEY, Router, Sink

PROPERTIES: dict[str, Any] = {
    "unicode": "naïve ✓ 日本語 \U0001f600",
    "nested": {"a": [1, {"b": None}], "empty": {}},
    "big": 12345678901234567890,
    "float": 12.10,
    "tiny": 1e-7,
    "bool": True,
}

pytestmark = pytest.mark.sdk


def _six_calls(client: Any) -> None:
    client.identify("u1", {"email": "ann@example.com", "unicode": PROPERTIES["unicode"]})
    client.track("u1", "Order Completed", PROPERTIES)
    client.page("u1", "Docs", "Home", {"url": "http://x/"})
    client.screen("u1", "App", "Start", {"a": 1})
    client.group("u1", "g1", {"name": "Acme"})
    client.alias("u0", "u1")
    client.flush()


def _check_six(events: list[dict[str, Any]]) -> None:
    by_type = {event["type"]: event for event in events}
    assert sorted(by_type) == ["alias", "group", "identify", "page", "screen", "track"]
    assert by_type["track"]["properties"] == PROPERTIES
    assert by_type["track"]["event"] == "Order Completed"
    assert by_type["group"]["groupId"] == "g1"
    assert by_type["alias"]["previousId"] == "u0"
    for event in events:
        assert event["messageId"]
        assert event["receivedAt"].endswith("Z")
        assert "writeKey" not in event


@pytest.mark.parametrize("gzip", [False, True])
def test_segment_analytics_python(router: Router, sink: Sink, gzip: bool) -> None:
    from segment.analytics.client import Client

    failures: list[Exception] = []
    client = Client(KEY, host=router.edge, gzip=gzip, on_error=lambda e, _: failures.append(e))
    _six_calls(client)
    client.join()
    events = sink.wait_for(6)
    _check_six(events)
    assert not failures
    track = next(raw for raw in sink.raw_events() if b"Order Completed" in raw)
    sent = json.dumps(PROPERTIES["big"]).encode()
    assert sent in track, "a big integer is kept as sent"
    assert b"12.1" in track
    assert b"1e-07" in track, "a float is kept as sent"


def test_rudder_sdk_python(router: Router, sink: Sink) -> None:
    from rudderstack.analytics.client import Client

    failures: list[Exception] = []
    client = Client(KEY, host=router.edge, on_error=lambda e, _: failures.append(e))
    _six_calls(client)
    client.join()
    events = sink.wait_for(6)
    by_type = {event["type"]: event for event in events}
    assert sorted(by_type) == ["alias", "group", "identify", "page", "screen", "track"]
    assert by_type["track"]["properties"] == PROPERTIES
    assert by_type["identify"]["context"]["traits"]["email"] == "ann@example.com"
    assert not failures
