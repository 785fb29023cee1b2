"""What real SDKs sent, byte for byte, replayed: each gets the answer it needs, nothing is lost."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router.edge.routes import settings_key
from router.event import KINDS
from tests.edge.conftest import Harness, parse_answer

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "captures"
if not FOLDER.is_dir():
    pytest.skip("the captured requests are not here", allow_module_level=True)

CAPTURES: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}
POSTS = [name for name, capture in CAPTURES.items() if capture["method"] == "POST"]
STAMPED = {
    "messageId",
    "receivedAt",
    "type",
    "timestamp",
    "originalTimestamp",
    "sentAt",
    "writeKey",
}
CLIENT_SIDE = ("analytics.js", "RudderLabs JavaScript SDK")


def wire(capture: dict[str, Any]) -> bytes:
    """The request as it was sent."""
    encoded = capture.get("body_wire_base64")
    body = base64.b64decode(encoded) if encoded else capture["body_raw"].encode()
    assert len(body) == capture["wire_bytes"]
    lines = [f"{capture['method']} {capture['path']} {capture['http_version']}"]
    lines += [f"{name}: {value}" for name, value in capture["headers"]]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def header(capture: dict[str, Any], wanted: str) -> str:
    return next((v for k, v in capture["headers"] if k.lower() == wanted), "")


def events_of(capture: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """(type, event, sentAt) of everything in the body."""
    body = capture["body"]
    if "batch" not in body:
        last = capture["path"].rpartition("/")[2]
        kind = next(kind for kind in KINDS if last in (kind, kind[0]))
        yield kind, body, body.get("sentAt")
        return
    for event in body["batch"]:
        yield event["type"], event, event.get("sentAt", body.get("sentAt"))


@pytest.mark.parametrize("name", POSTS)
@pytest.mark.parametrize("pieces", [1, 2])
async def test_every_event_that_was_sent_is_stored_as_it_was_sent(
    edge: Harness, name: str, pieces: int
) -> None:
    capture = CAPTURES[name]
    data = wire(capture)
    cut = len(data) if pieces == 1 else len(data) - 20
    answer = await edge.raw(data[:cut], data[cut:], pause=0.01)
    status, headers, body = parse_answer(answer)
    assert (status, body) == (200, b'{"success":true}')
    assert headers["content-type"] == "application/json"
    if origin := header(capture, "origin"):
        assert headers["access-control-allow-origin"] == origin
    assert edge.refused() == []
    stored = edge.stored()
    sent = list(events_of(capture))
    assert len(stored) == len(sent) > 0
    for (kind, event, sent_at), kept in zip(sent, stored, strict=True):
        assert kept["type"] == kind
        assert kept["messageId"] == event["messageId"]
        assert kept.get("sentAt") == sent_at
        assert kept.get("originalTimestamp") == event.get(
            "originalTimestamp", event.get("timestamp")
        )
        assert len(kept["timestamp"]) == len(kept["receivedAt"]) == 24
        assert "writeKey" not in kept
        if "ip" not in event["context"]:
            client_side = event["context"]["library"]["name"] in CLIENT_SIDE
            assert kept["context"].pop("ip", None) == ("127.0.0.1" if client_side else None)
        for member in {*event, *kept} - STAMPED:
            assert kept[member] == event[member], member


class Spelt(msgspec.Struct):
    """Members as their bytes."""

    properties: msgspec.Raw = msgspec.Raw(b"")
    traits: msgspec.Raw = msgspec.Raw(b"")


class SpeltBatch(msgspec.Struct):
    batch: list[Spelt]


@pytest.mark.parametrize("name", POSTS)
async def test_properties_and_traits_keep_their_bytes(edge: Harness, name: str) -> None:
    """Not only equal once decoded: the spelling of numbers and strings, and the order, stay."""
    capture = CAPTURES[name]
    await edge.raw(wire(capture))
    if "batch" in capture["body"]:
        sent = msgspec.json.decode(capture["body_raw"], type=SpeltBatch).batch
    else:
        sent = [msgspec.json.decode(capture["body_raw"], type=Spelt)]
    kept = [msgspec.json.decode(raw, type=Spelt) for raw in edge.stored_raw()]
    assert [bytes(e.properties) for e in kept] == [bytes(e.properties) for e in sent]
    assert [bytes(e.traits) for e in kept] == [bytes(e.traits) for e in sent]


async def test_all_of_them_over_again_are_duplicates(edge: Harness) -> None:
    for _ in range(2):
        for name in POSTS:
            assert b'{"success":true}' in await edge.raw(wire(CAPTURES[name]))
    ids = [(e["messageId"]) for e in edge.stored()]
    sent = {e["messageId"] for name in POSTS for _, e, _ in events_of(CAPTURES[name])}
    assert sorted(ids) == sorted(sent)


@pytest.mark.parametrize("name", [n for n, c in CAPTURES.items() if c["method"] == "OPTIONS"])
async def test_preflights_allow_what_the_page_asks_for(edge: Harness, name: str) -> None:
    capture = CAPTURES[name]
    status, headers, body = parse_answer(await edge.raw(wire(capture)))
    assert status in (200, 204)
    assert body == b""
    assert headers["access-control-allow-origin"] == header(capture, "origin")
    allowed = {h.strip() for h in headers["access-control-allow-headers"].lower().split(",")}
    assert allowed >= set(header(capture, "access-control-request-headers").split(","))
    assert header(capture, "access-control-request-method") in headers[
        "access-control-allow-methods"
    ].split(", ")


@pytest.mark.parametrize("name", [n for n, c in CAPTURES.items() if c["method"] == "GET"])
async def test_what_sdks_read_before_they_send(edge: Harness, name: str) -> None:
    capture = CAPTURES[name]
    status, headers, body = parse_answer(await edge.raw(wire(capture)))
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert headers["access-control-allow-origin"] == header(capture, "origin")
    answer = json.loads(body)
    key = settings_key(capture["path"].encode())
    if key is None:
        assert answer["source"]["destinations"] == []
        assert answer["source"]["enabled"] is True
        assert isinstance(answer["source"]["id"], str)
    else:
        assert list(answer["integrations"]) == ["Segment.io"], "a second key loads another chunk"
        segment = answer["integrations"]["Segment.io"]
        assert segment["apiKey"] == key.decode()
        assert segment["apiHost"] == f"{header(capture, 'host')}/v1"
        assert None not in answer.values(), "analytics-kotlin takes no null"
