"""What is refused, how the sender is told, and where the refused event can be seen."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from router.edge.message import SUCCESS
from router.metrics import REJECTED, REJECTED_UNRECORDED
from tests.edge.conftest import OK, Harness, basic, post, track

FAULTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("track", {"event": "E"}, "no_user_anon_id", "userId"),
    ("track", {"event": "E", "userId": "", "anonymousId": None}, "no_user_anon_id", "userId"),
    ("track", {"event": "E", "userId": {}}, "invalid_id", "userId"),
    ("identify", {"anonymousId": [1]}, "invalid_id", "userId"),
    ("track", {"userId": "u"}, "no_event", "event"),
    ("track", {"userId": "u", "event": ""}, "no_event", "event"),
    ("track", {"userId": "u", "event": 1}, "no_event", "event"),
    ("group", {"userId": "u"}, "no_group_id", "groupId"),
    ("alias", {"userId": "u"}, "no_previous_id", "previousId"),
    ("track", {"userId": "u", "event": "E", "messageId": "ä" * 101}, "message_id_too_long",
     "messageId"),
]  # fmt: skip


async def refused_with(
    edge: Harness, path: str, body: Any, code: str, field: str = "", **headers: str
) -> dict[str, Any]:
    """The answer, which has to be a refusal of exactly the documented shape."""
    status, answer_headers, answer = await edge.send("POST", path, body, **headers)
    assert status == 400
    assert answer_headers["content-type"] == "application/json"
    decoded: dict[str, Any] = json.loads(answer)
    assert list(decoded) == ["success", "code", "message", "field"]
    assert decoded["success"] is False
    assert (decoded["code"], decoded["field"]) == (code, field)
    assert decoded["message"]
    return decoded


# One event that lacks something


@pytest.mark.parametrize(("kind", "event", "code", "field"), FAULTS)
async def test_by_default_it_is_200_counted_and_kept(
    api: Harness, kind: str, event: dict[str, Any], code: str, field: str
) -> None:
    before = api.count(REJECTED, "web", code)
    assert await post(api, f"/v1/{kind}", {**event, "writeKey": "wk"}) == OK
    assert api.stored() == []
    assert api.count(REJECTED, "web", code) == before + 1
    (kept,) = api.refused()
    assert (kept["source"], kept["reason"], kept["field"]) == ("web", code, field)
    assert kept["message"]
    assert kept["event"] == event, "without its write key"
    assert kept["ip"] == "127.0.0.1"
    assert len(kept["time"]) == 24


@pytest.mark.parametrize(("kind", "event", "code", "field"), FAULTS)
async def test_a_strict_source_says_so(
    api: Harness, kind: str, event: dict[str, Any], code: str, field: str
) -> None:
    headers = {"Authorization": basic("wk-strict:")}
    await refused_with(api, f"/v1/{kind}", event, code, field, **headers)
    batch = {"batch": [{"type": kind, **event}], "writeKey": "wk-strict"}
    await refused_with(api, "/v1/batch", batch, code, field)
    assert [kept["reason"] for kept in api.refused()] == [code, code]
    assert api.stored() == []


@pytest.mark.parametrize("type_", [None, "", "Track", "merge", 1, {}])
async def test_an_unknown_type_in_a_batch(api: Harness, type_: Any) -> None:
    batch = {"batch": [{**track(), "type": type_}, {"type": "track", **track()}]}
    assert await post(api, "/v1/batch", batch) == OK
    assert len(api.stored()) == 1
    assert [kept["reason"] for kept in api.refused()] == ["unknown_type"]


async def test_rudderstacks_further_types_are_refused_by_name(api: Harness) -> None:
    for path in ("/v1/merge", "/v1/audiencelist", "/v1/extract"):
        assert await post(api, path, {**track(), "type": path[4:]}) == OK
    assert [kept["reason"] for kept in api.refused()] == ["unknown_type"] * 3


@pytest.mark.parametrize("bad", [1, None, "text", [], {}, {"type": "track", "userId": "u"}])
@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("key", ["wk", "wk-strict"])
async def test_one_bad_event_costs_the_others_nothing(
    api: Harness, bad: Any, at: int, key: str
) -> None:
    batch: list[Any] = [{"type": "track", "userId": "u", "event": name} for name in "ab"]
    batch.insert(at, bad)
    status, _ = await post(api, "/v1/batch", {"batch": batch, "writeKey": key})
    assert status == (400 if key == "wk-strict" else 200)
    assert [e["event"] for e in api.stored()] == ["a", "b"]
    assert [kept["event"] for kept in api.refused()] == [bad]


async def test_a_repeated_strict_batch_stores_its_good_events_once(api: Harness) -> None:
    good = {"type": "track", "userId": "u", "event": "E", "messageId": "m"}
    for _ in range(2):
        await refused_with(api, "/v1/batch", {"batch": [good, {}], "writeKey": "wk-strict"},
                           "unknown_type", "type")  # fmt: skip
    assert len(api.stored()) == 1


# Write keys


@pytest.mark.parametrize(("key", "code", "source"), [
    ("nobody", "unknown_write_key", "-"), ("", "unknown_write_key", "-"),
    ("wk-off", "source_disabled", "off"),
])  # fmt: skip
async def test_a_write_key_of_no_source_is_200_and_kept(
    api: Harness, key: str, code: str, source: str
) -> None:
    before = api.count(REJECTED, source, code)
    batch = [{"type": "track", **track(writeKey=key)} for _ in range(3)]
    assert await post(api, "/v1/batch", {"batch": batch, "writeKey": key}) == OK
    assert api.stored() == []
    assert api.count(REJECTED, source, code) == before + 3
    kept = api.refused()
    assert [(k["reason"], k["source"]) for k in kept] == [(code, source)] * 3
    assert "nobody" not in json.dumps(kept)


# Bodies that are no request


@pytest.mark.parametrize("body", [
    b"", b" ", b"{", b"[]", b"null", b'"x"', b"1", b'{"batch":[]}x', b"{'a':1}", b'{"a":1,}', b'{"a" 1}',
    b'{"a":01}', b'{"a":+1}', b'{"a":.5}', b'{"a":NaN}', b'{"a":tru}', b'{"a":"\x01"}', b'{"a":"\\x"}',
    b'{"a":"\\u12"}', b'{"a":"\xff"}', b'{"a":"\xc0\xaf"}', b'{"a":"\xed\xa0\x80"}', b"\xef\xbb\xbf{}",
    b'{"batch":[]}\x00', b'{"a":"x', b"{\x00}",
])  # fmt: skip
async def test_invalid_json_is_400(api: Harness, body: bytes) -> None:
    before = api.count(REJECTED, "web", "invalid_json")
    headers = {"Authorization": basic("wk:")}
    for path in ("/v1/track", "/v1/batch"):
        await refused_with(api, path, body, "invalid_json", **headers)
    assert api.count(REJECTED, "web", "invalid_json") == before + 2
    assert [kept["reason"] for kept in api.refused()] == ["invalid_json"] * 2
    assert api.stored() == []


@pytest.mark.parametrize("body", [b"{}", b'{"batch":{}}', b'{"batch":null}', b'{"Batch":[]}',
                                  b'{"batch":[],"batch":1}'])  # fmt: skip
async def test_a_batch_without_a_list_is_400(api: Harness, body: bytes) -> None:
    await refused_with(api, "/v1/batch", body, "invalid_batch", "batch")


@pytest.mark.parametrize(("encoding", "body", "code"), [
    ("gzip", b"not gzip", "invalid_encoding"),
    ("gzip", gzip.compress(b'{"batch":[]}')[:-4], "invalid_encoding"),
    ("gzip", b"", "invalid_encoding"),
    ("deflate", b"\xff\xff\xff", "invalid_encoding"),
    ("br", b"x", "unsupported_encoding"),
    ("gzip,gzip,gzip,gzip,gzip", b"x", "unsupported_encoding"),
    ("gzip", gzip.compress(b"") * 2000, "invalid_encoding"),
])  # fmt: skip
async def test_a_body_that_does_not_inflate_is_400(
    api: Harness, encoding: str, body: bytes, code: str
) -> None:
    await refused_with(api, "/v1/batch", body, code, Content_Encoding=encoding)


async def test_no_post_is_answered_with_what_sdks_repeat_or_misread(edge: Harness) -> None:
    """401, 403 and 404 make the Swift SDK send for ever; 410 is tried again by new SDKs."""
    paths = ["/v1/track", "/v1/batch", "/v1/x", "/v1/m", "/", "/sourceConfig", "/v1/pixel/track",
             "/v1/projects/wk/settings", "/analytics.js/v1/wk/analytics.min.js"]  # fmt: skip
    bodies = [b"", b"{}", b"[", json.dumps(track(writeKey="no")).encode(), b"\xff"]
    for path in paths:
        for body in bodies:
            for header in ("", "Basic Og==", "Bearer x", "Basic \xff"):
                status, answer = await post(edge, path, body, Authorization=header)
                assert status in (200, 400)
                assert isinstance(json.loads(answer), dict)


# Sizes


def of_size(size: int, **members: Any) -> dict[str, Any]:
    """An event of so many bytes."""
    event = {"userId": "u", "event": "E", **members, "pad": ""}
    pad = size - len(json.dumps(event, separators=(",", ":")))
    return {**event, "pad": "x" * pad}


async def test_a_single_event_over_32_kib_is_400(api: Harness) -> None:
    limit = 32 * 1024
    assert await post(api, "/v1/track", of_size(limit, writeKey="wk")) == OK
    await refused_with(api, "/v1/track", of_size(limit + 1, writeKey="wk"), "event_too_large")
    assert len(api.stored()) == len(api.refused()) == 1


async def test_in_a_batch_it_is_refused_alone(api: Harness) -> None:
    limit = 32 * 1024
    batch = [of_size(size, type="track") for size in (limit, limit + 1, 200)]
    assert await post(api, "/v1/batch", {"batch": batch, "writeKey": "wk"}) == OK
    assert [len(e["pad"]) for e in api.stored()] == [len(batch[0]["pad"]), len(batch[2]["pad"])]
    assert [kept["reason"] for kept in api.refused()] == ["event_too_large"]


async def test_a_body_of_512_000_bytes_and_one_more(api: Harness) -> None:
    event = {"type": "track", "userId": "u", "event": "E"}
    body = json.dumps({"writeKey": "wk", "batch": [event]}).encode()
    whole = body + b" " * (512_000 - len(body))
    assert await post(api, "/v1/batch", whole) == OK
    assert len(api.stored()) == 1
    await refused_with(api, "/v1/batch", whole + b" ", "body_too_large")
    packed = gzip.compress(whole + b" ")
    await refused_with(api, "/v1/batch", packed, "body_too_large", Content_Encoding="gzip")
    assert await post(api, "/v1/batch", gzip.compress(whole), Content_Encoding="gzip") == OK


@pytest.mark.parametrize("key", ["wk", "wk-strict"])
async def test_a_batch_of_2500_events_and_one_more(api: Harness, key: str) -> None:
    source = "web" if key == "wk" else "strict"
    before = api.count(REJECTED, source, "batch_too_long"), api.count(REJECTED_UNRECORDED)
    batch = [{"type": "track", "userId": "u", "event": "E"}] * 2500
    assert await post(api, "/v1/batch", {"batch": batch, "writeKey": key}) == OK
    assert len(api.stored()) == 2500
    too_long = {"batch": [*batch, batch[0]], "writeKey": key}
    if key == "wk":
        assert await post(api, "/v1/batch", too_long) == OK
    else:
        await refused_with(api, "/v1/batch", too_long, "batch_too_long", "batch")
    assert len(api.stored()) == 2500
    assert api.count(REJECTED, source, "batch_too_long") == before[0] + 2501
    unrecorded = api.count(REJECTED_UNRECORDED) - before[1]
    assert [kept["reason"] for kept in api.refused()] == ["batch_too_long"] * 1000
    assert unrecorded == 1, "only the first 2500 are kept to be seen"


async def test_what_a_batch_shares_is_limited_as_well(api: Harness) -> None:
    """Merged into each of 2500 events, a context could make a gigabyte of half a megabyte."""
    event = {"type": "track", "userId": "u", "event": "E"}
    for shared, count, reason in (
        ({"x": "y" * 33_000}, 3, "event_too_large"),
        (nested(120), 1, "too_deep"),
    ):
        body = {"writeKey": "wk", "context": shared, "batch": [event] * count}
        assert await post(api, "/v1/batch", body) == OK
        assert {kept["reason"] for kept in api.refused()} >= {reason}
    assert api.stored() == []
    for shared in ({"x": "y" * 30_000}, {f"k{i}": i for i in range(65)}):
        body = {"writeKey": "wk", "integrations": shared, "batch": [event] * 1000}
        await refused_with(api, "/v1/batch", body, "invalid_batch", "context")


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


# A log that cannot take more


@pytest.mark.parametrize("split", [False, True])
async def test_a_full_log_is_503_with_the_seconds_to_wait(tmp_path: Path, split: bool) -> None:
    async with Harness(tmp_path, log_bytes=1 << 20) as edge:
        edge.split = split
        taken = 0
        while True:
            event = of_size(30_000, messageId=f"m{taken}", writeKey="wk")
            status, headers, answer = await edge.send(
                "POST", "/v1/track", event, Origin="https://x"
            )
            if status != 200:
                break
            taken += 1
        assert status == 503
        assert int(headers["retry-after"]) > 0
        assert headers["access-control-expose-headers"] == "Retry-After"
        decoded = json.loads(answer)
        assert (decoded["success"], decoded["code"]) == (False, "unavailable")
        assert [e["messageId"] for e in edge.stored()] == [f"m{i}" for i in range(taken)]
        assert 10 < taken < 40
        pixel = "/v1/pixel/track?writeKey=wk&userId=u&event=" + "E" * 8000
        assert (await edge.send("GET", pixel))[0] in (200, 503)
        # A refusal needs no room, and a duplicate is durable already.
        assert (await post(edge, "/v1/track", b"{"))[0] == 400
        assert await post(edge, "/v1/track", track(messageId="m0")) == OK


async def test_a_503_leaves_no_trace_of_the_id(tmp_path: Path) -> None:
    for split in (False, True):
        async with Harness(tmp_path / str(split), inflight_bytes=2000) as edge:
            edge.split = split
            big = of_size(5000, messageId="m", writeKey="wk", type="track")
            for body, path in ((big, "/v1/track"), ({"batch": [big]}, "/v1/batch")):
                status, headers, _ = await edge.send("POST", path, body)
                assert (status, headers["retry-after"]) == (503, "1")
            assert await post(edge, "/v1/track", track(messageId="m")) == OK
            assert [e["messageId"] for e in edge.stored()] == ["m"]


def test_success_is_exactly_this() -> None:
    """Ruby parses every body and Java wants this member: nothing else is safe."""
    assert SUCCESS.body == b'{"success":true}'
