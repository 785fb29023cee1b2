"""What the router writes onto an event: times, the address, the id that tells duplicates."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from router.metrics import ACCEPTED, DUPLICATES
from router.workspace.models import Server
from tests.edge.conftest import OK, UUID, Harness, one, post, track


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


# Times


async def test_the_timestamp_is_corrected_by_the_clocks_difference(api: Harness) -> None:
    stored = await one(
        api, track(timestamp="2020-02-29T12:00:00.123+01:00", sentAt="2020-02-29T11:00:05.456Z")
    )
    age = ms(stored["receivedAt"]) - ms(stored["timestamp"])
    assert age == 5333, "to the millisecond"
    assert stored["originalTimestamp"] == "2020-02-29T12:00:00.123+01:00"
    assert stored["sentAt"] == "2020-02-29T11:00:05.456Z"


async def test_without_sent_at_the_timestamp_is_believed(api: Harness) -> None:
    stored = await one(api, track(timestamp="2015-2-02T00:30:08.276Z"))
    assert stored["timestamp"] == "2015-02-02T00:30:08.276Z"
    assert stored["originalTimestamp"] == "2015-2-02T00:30:08.276Z"


@pytest.mark.parametrize(("sent", "kept"), [
    ("2026-11-24T05:22:51.142Z", "2026-11-24T05:22:51.142Z"),
    ("2026-11-24T05:22:51.142345+00:00", "2026-11-24T05:22:51.142Z"),
    ("2026-11-24T05:22:51.999999999Z", "2026-11-24T05:22:51.999Z"),
    ("2026-11-24 05:22:51 -0530", "2026-11-24T10:52:51.000Z"),
    ("2026-11-24", "2026-11-24T00:00:00.000Z"),
    (1795497771142, "2026-11-24T05:22:51.142Z"),
    (1795497771, "2026-11-24T05:22:51.000Z"),
])  # fmt: skip
async def test_times_as_they_are_written_in_the_wild(api: Harness, sent: Any, kept: str) -> None:
    assert (await one(api, track(timestamp=sent)))["timestamp"] == kept


@pytest.mark.parametrize("sent", ["yesterday", "2026-02-30T00:00:00Z", "2026-13-01", {}, [], True])
async def test_a_time_that_is_none_costs_no_event(api: Harness, sent: Any) -> None:
    stored = await one(api, track(timestamp=sent, sentAt=sent))
    assert stored["timestamp"] == stored["receivedAt"]
    assert stored["originalTimestamp"] == sent


async def test_rudderstack_sends_its_own_original_timestamp(api: Harness) -> None:
    stored = await one(api, track(originalTimestamp="2020-01-01T00:00:00.001Z"))
    assert stored["timestamp"] == "2020-01-01T00:00:00.001Z"


# context.ip


@pytest.mark.parametrize(("context", "ip"), [
    ({"library": {"name": "analytics.js"}}, "127.0.0.1"),
    ({"library": {"name": "analytics-kotlin", "version": "1"}}, "127.0.0.1"),
    ({"library": {"name": "analytics-node"}}, None),
    ({"direct": True}, "127.0.0.1"),
    ({"direct": True, "ip": "9.9.9.9"}, "9.9.9.9"),
    ({"library": {"name": "analytics.js"}, "ip": "0.0.0.0"}, "0.0.0.0"),
    ({}, None),
])  # fmt: skip
async def test_who_gets_an_ip(api: Harness, context: dict[str, Any], ip: str | None) -> None:
    assert (await one(api, track(context=context)))["context"].get("ip") == ip


async def test_a_trusted_proxy_tells_the_address(api: Harness) -> None:
    event = track(context={"direct": True})
    for trusted, forwarded, ip in (
        ([], "8.8.8.8", "127.0.0.1"),
        (["127.0.0.0/8"], "6.6.6.6, 8.8.8.8", "8.8.8.8"),
        (["127.0.0.0/8", "10.0.0.0/8"], "8.8.8.8, 10.0.0.9", "8.8.8.8"),
        (["127.0.0.1"], '8.8.8.8", "x', "127.0.0.1"),
    ):
        api.configure(server=Server(trusted_proxies=trusted))
        assert await post(api, "/v1/track", event, X_Forwarded_For=forwarded) == OK
        assert api.stored()[-1]["context"]["ip"] == ip


# Duplicates


async def test_a_message_id_is_taken_once_a_source(api: Harness) -> None:
    before = api.count(ACCEPTED, "web"), api.count(DUPLICATES, "web")
    for key in ("wk", "wk", "wk-strict", "wk"):
        assert await post(api, "/v1/track", track(messageId="same", writeKey=key)) == OK
    assert [e["messageId"] for e in api.stored()] == ["same", "same"]
    assert api.count(ACCEPTED, "web") - before[0] == 1
    assert api.count(DUPLICATES, "web") - before[1] == 2


async def test_duplicates_within_a_batch(api: Harness) -> None:
    batch = [{"type": "track", **track(messageId=id_)} for id_ in ("a", "b", "a")]
    assert await post(api, "/v1/batch", {"batch": batch}) == OK
    assert [e["messageId"] for e in api.stored()] == ["a", "b"]


async def test_events_without_an_id_are_never_duplicates(api: Harness) -> None:
    for absent in ({}, {"messageId": ""}, {"messageId": None}, {"messageId": {}}):
        assert await post(api, "/v1/track", track(**absent)) == OK
    ids = [e["messageId"] for e in api.stored()]
    assert len(set(ids)) == 4
    assert all(UUID.fullmatch(id_) for id_ in ids)
