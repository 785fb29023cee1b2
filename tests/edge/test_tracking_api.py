"""The tracking API as Segment documents it and as its SDKs use it, by both ways into the router."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import Any

import pytest

from router.event import KINDS
from router.workspace.models import Server
from tests.edge.conftest import OK, UUID, Harness, basic, one, parse_answer, post, track

OWN: dict[str, dict[str, Any]] = {
    "track": {"event": "E"},
    "identify": {"traits": {"a": 1}},
    "page": {"name": "P"},
    "screen": {"name": "S"},
    "group": {"groupId": "g"},
    "alias": {"previousId": "p"},
}


# Paths


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("prefix", ["/v1/", "/"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_by_its_long_and_its_short_path(
    api: Harness, kind: str, prefix: str, slash: str
) -> None:
    for form in (kind, kind[0]):
        # What the body calls itself means nothing: the path decides.
        body = {"type": "nonsense", "anonymousId": "a", "writeKey": "wk", **OWN[kind]}
        assert await post(api, f"{prefix}{form}{slash}", body) == OK
    assert [e["type"] for e in api.stored()] == [kind, kind]


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/b", "/v1/import", "/v1/import/",
                                  "/beacon/v1/batch", "/v1/batch/"])  # fmt: skip
async def test_a_batch_by_every_path(api: Harness, path: str) -> None:
    batch = [{"type": kind, "userId": "u", **OWN[kind]} for kind in KINDS]
    assert await post(api, path, {"batch": batch, "writeKey": "wk"}) == OK
    assert [e["type"] for e in api.stored()] == list(KINDS)
    assert [e["traits"] for e in api.stored() if "traits" in e] == [{"a": 1}]


async def test_an_empty_batch_is_fine(api: Harness) -> None:
    assert await post(api, "/v1/batch", {"batch": [], "writeKey": "wk"}) == OK
    assert api.stored() == []


async def test_telemetry_is_swallowed(api: Harness) -> None:
    series = {"series": [{"type": "Counter", "metric": "m", "value": 1, "tags": {}}]}
    for path in ("/v1/m", "/m"):
        assert await post(api, path, series, Content_Type="text/plain") == OK
    assert api.stored() == api.refused() == []


@pytest.mark.parametrize("path", ["/v1/nothing", "/", "/v2/track", "/v1/projects/wk/settings"])
async def test_a_post_to_no_such_path_is_400(api: Harness, path: str) -> None:
    status, body = await post(api, path, track())
    assert status == 400
    assert json.loads(body)["code"] in ("unknown_path", "wrong_method")


async def test_a_get_of_no_such_path_is_404(edge: Harness) -> None:
    assert (await edge.send("GET", "/v1/nothing"))[0] == 404
    assert (await edge.send("GET", "/v1/track"))[0] == 400


async def test_about_pages(edge: Harness) -> None:
    for path in ("/", "/health", "/version"):
        status, _, body = await edge.send("GET", path)
        assert (status, json.loads(body)["status"]) == (200, "ok")
    assert b"Disallow" in (await edge.send("GET", "/robots.txt"))[2]


# Pixels


@pytest.mark.parametrize("prefix", ["/v1/pixel/", "/pixel/v1/"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_pixel(api: Harness, kind: str, prefix: str) -> None:
    event = {"userId": "ü?>", "writeKey": "wk", "properties": {"subject": "Hi"}, **OWN[kind]}
    plain = base64.b64encode(json.dumps(event).encode()).decode()
    unpadded = plain.rstrip("=").replace("+", "-").replace("/", "_")
    for data in (plain.replace("+", "%2B"), unpadded):
        status, headers, body = await api.send("GET", f"{prefix}{kind}?data={data}")
        assert (status, headers["content-type"]) == (200, "image/gif")
        assert body[:6] == b"GIF89a"
    assert [(e["type"], e["userId"]) for e in api.stored()] == [(kind, "ü?>")] * 2
    assert api.stored()[0]["properties"] == {"subject": "Hi"}


async def test_a_pixel_of_dotted_members(edge: Harness) -> None:
    query = "writeKey=wk&userId=u&event=Email+Opened&properties.subject=A%26B&properties.a.b=1"
    assert (await edge.send("GET", f"/v1/pixel/track?{query}"))[0] == 200
    (event,) = edge.stored()
    assert event["event"] == "Email Opened"
    assert event["properties"] == {"subject": "A&B", "a": {"b": "1"}}
    assert "writeKey" not in event


@pytest.mark.parametrize("query", ["", "data=%%%", "data=bm90IGpzb24", "writeKey=no&userId=u&event=E",
                                   "a=1&a.b=2", ".".join("a" * 40) + "=1"])  # fmt: skip
async def test_a_pixel_always_gets_its_image(edge: Harness, query: str) -> None:
    status, headers, _ = await edge.send("GET", f"/v1/pixel/track?{query}")
    assert (status, headers["content-type"]) == (200, "image/gif")
    assert edge.stored() == []
    assert len(edge.refused()) == 1


async def test_head_of_a_pixel_is_no_event(edge: Harness) -> None:
    status, _, body = await edge.send("HEAD", "/v1/pixel/track?writeKey=wk&userId=u&event=E")
    assert (status, body) == (200, b"")
    assert edge.stored() == []


# Write keys


@pytest.mark.parametrize("authorization", [
    basic("wk:"), basic("wk"), basic("wk:secret"), basic("wk:").rstrip("="), "Bearer wk",
    basic("wk:").replace("Basic", "basic"), "BEARER wk",
])  # fmt: skip
async def test_a_write_key_in_the_header(api: Harness, authorization: str) -> None:
    body = {"userId": "u", "event": "E"}
    await one(api, body, Authorization=authorization)


async def test_a_write_key_in_the_query(api: Harness) -> None:
    for path in ("/v1/track?writeKey=wk", "/v1/track/?x=1&writekey=w%6B"):
        assert await post(api, path, {"userId": "u", "event": "E"}) == OK
    assert len(api.stored()) == 2


async def test_a_write_key_in_the_items_alone(api: Harness) -> None:
    item = {"type": "track", "userId": "u", "event": "E", "writeKey": "wk"}
    await one(api, {"batch": [item]}, "/v1/batch")


async def test_the_body_wins_over_the_header_over_the_query(api: Harness) -> None:
    body = {"userId": "u", "event": "E"}
    for path, member, header in (
        ("/v1/track?writeKey=no", {"writeKey": "wk"}, basic("no:")),
        ("/v1/track?writeKey=no", {}, basic("wk:")),
        ("/v1/track?writeKey=wk", {"writeKey": None}, "Digest x"),
        ("/v1/track?writeKey=wk", {"writeKey": ""}, "Basic !!!"),
    ):
        assert await post(api, path, {**body, **member}, Authorization=header) == OK
    assert len(api.stored()) == 4
    assert api.refused() == []


async def test_a_bearer_token_that_is_none_of_ours_leaves_the_key_to_the_body(api: Harness) -> None:
    """OAuth sources of Segment: the token is of its own kind, the write key stands in the body."""
    await one(api, track(), Authorization="Bearer eyJhbGciOi")


async def test_a_write_key_written_with_escapes(api: Harness) -> None:
    await one(api, b'{"userId":"u","event":"E","writeKey":"\\u0077k"}')


# Bodies


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "",
                                          "application/json; charset=utf-8", "multipart/x", None])  # fmt: skip
async def test_content_type_means_nothing(api: Harness, content_type: str | None) -> None:
    await one(api, track(), **({} if content_type is None else {"Content_Type": content_type}))


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(("encoding", "encode"), [
    ("gzip", gzip.compress), ("x-gzip", gzip.compress), ("GZIP", gzip.compress),
    ("deflate", zlib.compress), ("deflate", raw_deflate), ("identity", bytes),
    ("gzip, deflate", lambda data: zlib.compress(gzip.compress(data))),
    ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])),
])  # fmt: skip
async def test_compressed_bodies(api: Harness, encoding: str, encode: Any) -> None:
    body = encode(json.dumps({"batch": [{"type": "track", **track()}]}).encode())
    await one(api, body, "/v1/batch", Content_Encoding=encoding)


async def test_a_gzip_body_in_chunks_as_analytics_kotlin_sends_it(edge: Harness) -> None:
    body = gzip.compress(json.dumps({"batch": [{"type": "track", **track()}]}).encode())
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(body[i : i + 50]), body[i : i + 50])
                      for i in range(0, len(body), 50))  # fmt: skip
    head = b"POST /v1/b HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked"
    answer = parse_answer(await edge.raw(head + b"\r\n\r\n" + chunks + b"0\r\n\r\n"))
    assert (answer[0], answer[2]) == OK
    assert len(edge.stored()) == 1


async def test_what_a_batch_says_is_merged_into_each_event(api: Harness) -> None:
    batch = {
        "writeKey": "wk",
        "sentAt": "2026-01-02T03:04:05.678Z",
        "context": {"locale": "de", "app": {"name": "outer"}},
        "integrations": {"All": False, "Mixpanel": True},
        "batch": [
            {"type": "track", "event": "A", "userId": "u"},
            {"type": "track", "event": "B", "userId": "u", "context": {"app": {"v": 1}},
             "integrations": {"All": True}, "sentAt": "2026-01-01T00:00:00.000Z"},
            {"type": "track", "event": "C", "userId": "u", "context": None, "integrations": None},
        ],
    }  # fmt: skip
    assert await post(api, "/v1/batch", batch) == OK
    a, b, c = api.stored()
    assert a["context"] == c["context"] == {"locale": "de", "app": {"name": "outer"}}
    assert a["integrations"] == c["integrations"] == {"All": False, "Mixpanel": True}
    assert b["context"] == {"locale": "de", "app": {"v": 1}}
    assert b["integrations"] == {"All": True, "Mixpanel": True}
    assert (a["sentAt"], b["sentAt"]) == (batch["sentAt"], "2026-01-01T00:00:00.000Z")


async def test_explicit_nulls_and_unknown_members(api: Harness) -> None:
    event = track(anonymousId=None, timestamp=None, messageId=None, context=None, integrations=None,
                  properties=None, _metadata={"x": []}, __proto__={"y": 1}, channel="server")  # fmt: skip
    stored = await one(api, event)
    assert UUID.fullmatch(stored["messageId"])
    assert stored["timestamp"] == stored["receivedAt"]
    assert "originalTimestamp" not in stored
    for member in ("anonymousId", "properties", "_metadata", "__proto__", "channel"):
        assert stored[member] == event[member]


async def test_ids_that_are_numbers_become_strings(api: Harness) -> None:
    for path, own in (("group", {"groupId": 12}), ("alias", {"previousId": -1})):
        body = {"userId": 97980, "anonymousId": 1.25, "messageId": path, "writeKey": "wk", **own}
        assert await post(api, f"/v1/{path}", body) == OK
    group, alias = api.stored()
    assert (group["userId"], group["anonymousId"], group["groupId"]) == ("97980", "1.25", "12")
    assert (alias["userId"], alias["previousId"]) == ("97980", "-1")


async def test_a_message_id_that_is_a_number_is_the_same_as_its_text(api: Harness) -> None:
    for message_id in (7, "7"):
        assert await post(api, "/v1/track", track(messageId=message_id)) == OK
    assert [e["messageId"] for e in api.stored()] == ["7"]


async def test_alias_to_oneself_is_tolerated(api: Harness) -> None:
    """analytics.js sends `userId` twice where an identified user is given an alias."""
    stored = await one(api, {"userId": "u", "previousId": "u", "writeKey": "wk"}, "/v1/alias")
    assert (stored["userId"], stored["previousId"]) == ("u", "u")


async def test_what_only_the_server_may_say_is_not_taken_from_the_event(api: Harness) -> None:
    stored = await one(api, track(receivedAt="2001-01-01T00:00:00Z", projectId="p"))
    assert not stored["receivedAt"].startswith("2001")
    assert "projectId" not in stored


# Browsers


async def test_a_preflight_reflects_what_is_asked(edge: Harness) -> None:
    for path in ("/v1/track", "/v1/b", "/v1/projects/wk/settings", "/sourceConfig/?x=1", "/v1/new"):
        status, headers, body = await edge.send(
            "OPTIONS", path, Origin="https://shop.example",
            Access_Control_Request_Method="POST",
            Access_Control_Request_Headers="authorization,x-retry-count",
        )  # fmt: skip
        assert (status, body) == (204, b"")
        assert headers["access-control-allow-origin"] == "https://shop.example"
        assert headers["access-control-allow-credentials"] == "true"
        assert headers["access-control-allow-headers"] == "authorization,x-retry-count"
        assert headers["access-control-allow-methods"] == "GET, POST, OPTIONS"
        assert int(headers["access-control-max-age"]) > 0
        assert headers["vary"] == "Origin"


async def test_options_without_an_origin_names_the_headers(edge: Harness) -> None:
    _, headers, _ = await edge.send("OPTIONS", "/v1/track")
    named = headers["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "content-type", "x-retry-count", "anonymousid", "sentat"} <= {*named}


@pytest.mark.parametrize("body", [track(), b"{", track(writeKey="wk-strict", event=None)])
async def test_every_answer_to_a_page_can_be_read_by_it(api: Harness, body: Any) -> None:
    status, headers, _ = await api.send("POST", "/v1/track", body, Origin="null")
    assert status in (200, 400)
    assert headers["access-control-allow-origin"] == "null"
    assert headers["access-control-expose-headers"] == "Retry-After"


async def test_no_origin_no_cors(api: Harness) -> None:
    _, headers, _ = await api.send("POST", "/v1/track", track())
    assert not [name for name in headers if name.startswith("access-control")]


# What SDKs read first


async def test_segments_settings(edge: Harness) -> None:
    for path in ("/v1/projects/wk/settings", "/projects/wk/settings", "/v1/projects/wk/settings/"):
        status, _, body = await edge.send("GET", path, X_Forwarded_Proto="https")
        assert status == 200
        segment = json.loads(body)["integrations"]["Segment.io"]
        assert segment == {"apiKey": "wk", "apiHost": "127.0.0.1/v1", "protocol": "https"}
    edge.configure(server=Server(public_url="https://events.example.com/"))
    _, _, body = await edge.send("GET", "/v1/projects/wk/settings")
    segment = json.loads(body)["integrations"]["Segment.io"]
    assert (segment["apiHost"], segment["protocol"]) == ("events.example.com/v1", "https")


async def test_rudderstacks_source_config(edge: Harness) -> None:
    for path, headers in (
        ("/sourceConfig/?p=npm&writeKey=wk", {}),
        ("/sourceConfig", {"Authorization": basic("wk:")}),
    ):
        status, _, body = await edge.send("GET", path, **headers)
        assert status == 200
        assert json.loads(body)["source"]["writeKey"] == "wk"


@pytest.mark.parametrize("path", ["/v1/projects/no/settings", "/v1/projects/wk-off/settings",
                                  "/sourceConfig?writeKey=no", "/sourceConfig"])  # fmt: skip
async def test_settings_of_no_source(edge: Harness, path: str) -> None:
    status, _, body = await edge.send("GET", path)
    assert (status, json.loads(body)["code"]) == (400, "unknown_write_key")


async def test_nothing_is_ever_redirected(edge: Harness) -> None:
    for method in ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"):
        for path in (
            "/v1/batch/",
            "/v1",
            "/v1/",
            "//",
            "/v1/projects/wk/settings/",
            "/sourceConfig/",
        ):
            assert not 300 <= (await edge.send(method, path, track()))[0] < 400
