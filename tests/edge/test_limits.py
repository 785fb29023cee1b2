"""Senders that are slow, greedy or hostile: each meets a limit, and nobody else notices."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
from typing import Any

import pytest

import router.edge.protocol
from router.metrics import REQUESTS
from tests.edge.conftest import OK, Harness, parse_answer, post, track
from tests.edge.test_framing import event, request


@pytest.fixture(autouse=True)
def frequent_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time-outs are looked for every 20 ms, not every second."""
    monkeypatch.setattr(router.edge.protocol, "_SWEEP_SECONDS", 0.02)


# Slow senders


@pytest.mark.parametrize(
    ("start", "limit", "code"),
    [
        (b"POST /v1/track HTTP/1.1\r\nX: ", {"header_seconds": 0.2}, "header_seconds"),
        (b"POST /v1/tra", {"header_seconds": 0.2}, "header_seconds"),
        (b"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n",
         {"body_seconds": 0.2}, "body_seconds"),
        (b"POST /v1/track HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n",
         {"body_seconds": 0.2}, "body_seconds"),
    ],
)  # fmt: skip
async def test_a_byte_now_and_then_buys_no_time(
    edge: Harness, start: bytes, limit: dict[str, float], code: str
) -> None:
    edge.configure(**limit)
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.edge.port)
    begun = time.monotonic()
    writer.write(start)
    answer = asyncio.create_task(reader.read())
    while not answer.done() and time.monotonic() - begun < 5:
        writer.write(b"x")
        await asyncio.sleep(0.02)
    status, headers, body = parse_answer(await answer)
    assert (status, headers["connection"]) == (400, "close")
    assert code in json.loads(body)["message"]
    assert 0.15 < time.monotonic() - begun < 2
    writer.close()


async def test_a_slow_sender_delays_nobody(edge: Harness) -> None:
    slow = [await asyncio.open_connection("127.0.0.1", edge.edge.port) for _ in range(50)]
    for _, writer in slow:
        writer.write(request(event())[:-5])
    await asyncio.sleep(0.02)
    assert await post(edge, "/v1/track", track()) == OK
    for _, writer in slow:
        writer.close()


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not(edge: Harness) -> None:
    edge.configure(idle_seconds=0.3)
    idle, idle_writer = await asyncio.open_connection("127.0.0.1", edge.edge.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.edge.port)
    for i in range(10):
        writer.write(request(event(f"m{i}")))
        assert b'{"success":true}' in await reader.readuntil(b"}")
        await asyncio.sleep(0.08)
    assert await asyncio.wait_for(idle.read(), 1) == b""
    assert not reader.at_eof()
    assert len(edge.stored()) == 10
    for each in (writer, idle_writer):
        each.close()


async def test_a_closed_connection_leaves_room_for_another(edge: Harness) -> None:
    edge.configure(connections=1)
    for i in range(5):
        status, _, _ = await edge.send("POST", "/v1/track", event(f"m{i}"))
        assert status == 200
        await asyncio.sleep(0.02)
    assert len(edge.stored()) == 5


async def test_a_client_that_leaves_early_costs_nothing(edge: Harness) -> None:
    for data in (request(event("a")), request(event("b"))[:-4], b"POST", b""):
        _, writer = await asyncio.open_connection("127.0.0.1", edge.edge.port)
        writer.write(data)
        writer.transport.abort()
    await asyncio.sleep(0.05)
    assert await post(edge, "/v1/track", track(messageId="c")) == OK
    assert [e["messageId"] for e in edge.stored()][-1] == "c"


# Order of answers


def marked(number: int, how: str) -> bytes:
    """A request whose answer repeats its number in a CORS header."""
    origin = f"Origin: {number}"
    body = event(f"m{number}")
    if how == "gzip":
        return request(gzip.compress(body), origin, "Content-Encoding: gzip")
    if how == "chunked":
        head = (
            f"POST /v1/track HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{origin}\r\n\r\n"
        )
        return head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    if how == "bad":
        return request(b"{", origin)
    if how == "duplicate":
        return request(event("m0"), origin)
    if how == "options":
        return f"OPTIONS /v1/track HTTP/1.1\r\nHost: x\r\n{origin}\r\n\r\n".encode()
    return request(body, origin)


@pytest.mark.parametrize("together", [1, 2, 3, 7, 60])
async def test_answers_keep_the_order_of_requests_by_whichever_way(
    edge: Harness, together: int
) -> None:
    """Some wait for the disk, some are answered at once, some took the lane."""
    kinds = ("lane", "bad", "gzip", "lane", "options", "duplicate", "chunked", "lane", "lane")
    requests = [marked(i, kinds[i % len(kinds)]) for i in range(60)]
    parts = [b"".join(requests[i : i + together]) for i in range(0, 60, together)]
    answer = await edge.raw(*parts)
    order = [
        int(line.split(b": ")[1])
        for line in answer.split(b"\r\n")
        if line.startswith(b"Access-Control-Allow-Origin")
    ]
    assert order == list(range(60))
    assert answer.count(b"HTTP/1.1 400") == sum(kinds[i % len(kinds)] == "bad" for i in range(60))
    taken = [i for i in range(60) if kinds[i % len(kinds)] in ("lane", "gzip", "chunked")]
    assert [e["messageId"] for e in edge.stored()] == [f"m{i}" for i in taken]


async def test_a_client_that_reads_nothing_is_read_no_further(edge: Harness) -> None:
    """Its unread answers fill no memory, and none is lost once it reads."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", edge.edge.port))
    many = 20_000
    ask = b"GET /v1/projects/wk/settings HTTP/1.1\r\nHost: x\r\n\r\n"
    sending = asyncio.create_task(loop.sock_sendall(client, ask * many))
    before = edge.count(REQUESTS, "200")
    await asyncio.sleep(0.8)
    assert edge.count(REQUESTS, "200") - before < many, "the server took all of it"
    (line,) = edge.edge._connections.all
    assert line.transport.get_write_buffer_size() < 4_000_000
    answers, tail = 0, b""
    while answers < many:
        tail = tail[-8:] + await asyncio.wait_for(loop.sock_recv(client, 1 << 20), 5)
        answers += tail.count(b'"apiHost"')
    await sending
    client.close()


async def test_a_client_that_never_reads_is_cut_off(edge: Harness) -> None:
    edge.configure(idle_seconds=0.2, header_seconds=0.2)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, ("127.0.0.1", edge.edge.port))
    ask = b"GET /v1/projects/wk/settings HTTP/1.1\r\nHost: x\r\n\r\n"
    sending = asyncio.create_task(loop.sock_sendall(client, ask * 20_000))
    await asyncio.sleep(0.1)
    begun = time.monotonic()
    while edge.edge._connections.all and time.monotonic() - begun < 5:
        await asyncio.sleep(0.02)
    assert not edge.edge._connections.all
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    client.close()


async def test_connection_close_is_honoured(edge: Harness) -> None:
    answer = await edge.raw(
        request(event("a"), "Connection: close") + request(event("b")), eof=False
    )
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in answer
    assert [e["messageId"] for e in edge.stored()] == ["a"]


async def test_expect_is_no_invitation_to_send_too_much(edge: Harness) -> None:
    head = b"POST /v1/track HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 512001\r\n\r\n"
    answer = await edge.raw(head, eof=False)
    assert b"100 Continue" not in answer
    assert b"body_too_large" in answer


# Bodies that are meant to hurt


async def quickly(edge: Harness, body: bytes, path: str = "/v1/track", **headers: str) -> Any:
    """The answer's code, or None for success; it may take a second."""
    begun = time.monotonic()
    status, _, answer = await edge.send("POST", path, body, **headers)
    assert time.monotonic() - begun < 1
    assert status in (200, 400)
    return json.loads(answer).get("code")


async def test_a_bomb_is_not_inflated(edge: Harness) -> None:
    bomb = gzip.compress(b" " * 200_000_000, 9)
    assert len(bomb) < 512_000
    assert await quickly(edge, bomb, Content_Encoding="gzip") == "body_too_large"
    twice = gzip.compress(bomb)
    assert await quickly(edge, twice, Content_Encoding="gzip, gzip") == "body_too_large"


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
async def test_nesting_a_hundred_thousand_deep(api: Harness, opening: bytes) -> None:
    deep = opening * (100_000 // len(opening))
    for body in (deep, b'{"writeKey":"wk","x":' + deep, b'{"batch":' + deep,
                 b'{"batch":[' + deep, b'{"context":' + deep, b'{"batch":[{"context":' + deep):  # fmt: skip
        for path in ("/v1/track", "/v1/batch"):
            assert await quickly(api, body, path) in ("too_deep", "invalid_json", "invalid_batch")
    assert api.stored() == []


async def test_nesting_to_the_limit_and_one_more(api: Harness) -> None:
    for depth in (99, 100):
        nest = b"[" * depth + b"]" * depth
        one = b'{"userId":"u","event":"E","writeKey":"wk","properties":%b}' % nest
        assert await quickly(api, one) is None
        assert await quickly(api, b'{"batch":[{"type":"track",%b]}' % one[1:], "/v1/batch") is None
        assert len(api.stored()) == 2
        assert len(api.refused()) == (0 if depth == 99 else 2)
    assert {kept["reason"] for kept in api.refused()} == {"too_deep"}


async def test_a_string_of_ten_million_characters(api: Harness) -> None:
    api.configure(body_bytes=11_000_000)
    body = b'{"userId":"u","event":"E","writeKey":"wk","x":"%b"}' % (b"y" * 10_000_000)
    assert await quickly(api, body) == "event_too_large"
    batch = b'{"batch":[%b,{"type":"track",%b]}' % (body, event()[1:])
    assert await quickly(api, batch, "/v1/batch") is None
    assert len(api.stored()) == 1
    assert api.refused()[0]["event"] == {"unreadable": True, "bytes": len(body)}
    api.configure(body_bytes=11_000_000, event_bytes=11_000_000)
    assert await quickly(api, body) is None
    assert len(api.stored()[-1]["x"]) == 10_000_000


@pytest.mark.parametrize("number", [b"1e400", b"-1e999", b"1" * 310, b"1" + b"0" * 309 + b".5"])
async def test_numbers_that_are_no_double(api: Harness, number: bytes) -> None:
    for member in (b"properties", b"timestamp", b"userId", b"context", b"unheard-of"):
        body = b'{"userId":"u","event":"E","writeKey":"wk","%b":{"x":%b}}' % (member, number)
        assert await quickly(api, body) is None
    assert await quickly(api, b'{"batch":[{"type":"track","event":"E","userId":%b}],"writeKey":"wk"}'
                         % number, "/v1/batch") is None  # fmt: skip
    assert api.stored() == []
    assert {kept["reason"] for kept in api.refused()} == {"invalid_number"}
    assert len(api.refused()) == 6


@pytest.mark.parametrize("number", [b"1e308", b"1e-400", b"0.1e1", b"-0", b"12345678901234567890123",
                                    b"0." + b"1" * 5000])  # fmt: skip
async def test_numbers_that_are_one_keep_their_spelling(api: Harness, number: bytes) -> None:
    body = b'{"userId":"u","event":"E","writeKey":"wk","properties":{"x":%b}}' % number
    assert await quickly(api, body) is None
    assert b'"properties":{"x":%b}' % number in api.stored_raw()[0]


@pytest.mark.parametrize(("sent", "kept"), [
    (r"\ud800", "\ufffd"), (r"\udc00x", "\ufffdx"), (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
    (r"\ud83d\\ude00", "\ufffd\\ude00"), (r"\\ud800", "\\ud800"), (r"\uD83D\uDE00", "\U0001f600"),
    (r"\u0000", "\0"), (r"a\u002f\/", "a//"),
])  # fmt: skip
async def test_lone_surrogates_become_replacement_characters(
    api: Harness, sent: str, kept: str
) -> None:
    body = f'{{"userId":"u","event":"{sent}","writeKey":"wk","traits":{{"{sent}":"{sent}"}}}}'
    assert await quickly(api, body.encode()) is None
    (stored,) = api.stored()
    assert (stored["event"], stored["traits"]) == (kept, {kept: kept})


async def test_members_given_twice_mean_their_last(api: Harness) -> None:
    body = (
        b'{"userId":"a","event":"A","context":{"x":1},"writeKey":"no","userId":"b","event":"B",'
        b'"properties":{"a":1,"a":2},"context":{"y":2},"messageId":"m1","writeKey":"wk",'
        b'"messageId":"m2","timestamp":"2001-01-01","timestamp":"2002-02-02","anonymousId":"x",'
        b'"anonymousId":7,"\\u0075serId":"c"}'
    )
    assert await quickly(api, body) is None
    (stored,) = api.stored()
    assert (stored["userId"], stored["event"], stored["messageId"]) == ("c", "B", "m2")
    assert stored["context"] == {"y": 2}
    assert stored["properties"] == {"a": 2}
    assert stored["timestamp"].startswith("2002-02-02")
    assert stored["anonymousId"] == "7"


async def test_a_member_repeated_thousands_of_times(api: Harness) -> None:
    for member in (
        b'"context":{}',
        b'"integrations":{}',
        b'"messageId":"m"',
        b'"userId":1',
        b'"a":1',
    ):
        body = b'{"writeKey":"wk","event":"E","userId":"u",' + b",".join([member] * 1500) + b"}"
        assert await quickly(api, body) is None
        batch = b'{"batch":[' + event() + b"]," + b",".join([member] * 20_000) + b"}"
        assert await quickly(api, batch, "/v1/batch") in (None, "invalid_batch")
    for stored in api.stored():
        assert stored["event"] == "E"


async def test_proto_and_constructor_are_names_like_others(api: Harness) -> None:
    traits = {"__proto__": {"admin": True}, "constructor": {"prototype": 1}}
    body = {"userId": "u", "traits": traits, "writeKey": "wk", **traits}
    assert await post(api, "/v1/identify", body) == OK
    (stored,) = api.stored()
    assert stored["traits"] == traits
    assert stored["__proto__"] == traits["__proto__"]
