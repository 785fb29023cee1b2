"""What a connection has to get right between two requests, and around odd ones."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from router.workspace.models import Server
from tests.edge.conftest import OK, Harness, basic, one, parse_answer, post, track
from tests.edge.test_framing import event, request


def chunked(body: bytes, *headers: str, trailers: bytes = b"", path: str = "/v1/track") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", *headers]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers)


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


# One parser's leftovers are no other's beginning


@pytest.mark.parametrize("left", [b"P", b"POS", b"POST ", b"GET /", b"X"])
async def test_a_piece_of_a_request_is_never_forgotten(edge: Harness, left: bytes) -> None:
    """Else a proxy in between, which reads on from the piece, sees other requests than we do."""
    first, second = request(event("a"), "Expect: x"), request(event("b"))
    answer = await edge.raw(first + left, second, pause=0.05)
    assert statuses(answer)[0] == 200
    assert [e["messageId"] for e in edge.stored()] == ["a"]


async def test_a_request_cut_in_its_method_is_one(edge: Harness) -> None:
    first, second = request(event("a"), "Expect: x"), request(event("b"))
    for cut in range(1, 8):
        answer = await edge.raw(first + second[:cut], second[cut:], pause=0.01)
        assert statuses(answer) == [200, 200]
    assert [e["messageId"] for e in edge.stored()] == ["a", "b"]


async def test_empty_lines_before_a_request_are_skipped(edge: Harness) -> None:
    answer = await edge.raw(b"\r\n\r\n" + request(event("a")) + b"\r\n", request(event("b")))
    assert statuses(answer) == [200, 200]


# Trailers and chunk extensions


async def test_a_trailer_is_no_header(edge: Harness) -> None:
    edge.configure(server=Server(trusted_proxies=["127.0.0.1"]))
    body = orjson.dumps({"userId": "u", "event": "E", "context": {"direct": True}})
    trailers = f"Authorization: {basic('wk:')}\r\n".encode()
    assert statuses(await edge.raw(chunked(body, trailers=trailers))) == [200]
    assert edge.stored() == []
    trailers = b"X-Forwarded-For: 6.6.6.6\r\nOrigin: https://no.example\r\n"
    key = f"Authorization: {basic('wk:')}"
    answer = await edge.raw(chunked(body, key, trailers=trailers) + request(event("next")))
    assert statuses(answer) == [200, 200]
    assert b"no.example" not in answer
    assert edge.stored()[0]["context"]["ip"] == "127.0.0.1"


@pytest.mark.parametrize("flood", [b"0\r\nX: ", b"0\r\n" + b"X: y\r\n" * 10, b"5;"])
async def test_what_is_around_a_body_is_bounded_as_well(edge: Harness, flood: bytes) -> None:
    """llhttp gathers a header's value until it ends: this one never does."""
    edge.configure(header_bytes=2000)
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.edge.port)
    writer.write(chunked(event("a"))[:-5] + flood)
    for _ in range(10):
        writer.write(b"y" * 500)
        await asyncio.sleep(0.01)
    assert b"headers_too_large" in await asyncio.wait_for(reader.read(), 5)
    writer.close()


async def test_many_small_chunks_are_fine(edge: Harness) -> None:
    body = event("a") + b" " * 5000
    head, _, _ = chunked(b"").partition(b"0\r\n")
    pieces = b"".join(b"1;x=y\r\n%c\r\n" % byte for byte in body)
    edge.configure(header_bytes=500)
    assert statuses(await edge.raw(head + pieces + b"0\r\n\r\n")) == [200]


# Upgrades, proxies, HEAD

UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")


@pytest.mark.parametrize("pieces", [1, 2, 50])
async def test_an_offer_to_upgrade_is_ignored(edge: Harness, pieces: int) -> None:
    """Java's HttpClient makes it with every request that is not TLS."""
    whole = (
        request(event("a"), *UPGRADE) + chunked(event("b"), *UPGRADE) + request(event("c"))
        + request(event("d"), "Connection: close, Upgrade", "Upgrade: h2c")
    )  # fmt: skip
    size = -(-len(whole) // pieces)
    parts = [whole[i : i + size] for i in range(0, len(whole), size)]
    answer = await edge.raw(*parts, pause=0.002, eof=False)
    assert statuses(answer) == [200] * 4
    assert answer.count(b"Connection: close") == 1
    assert [e["messageId"] for e in edge.stored()] == ["a", "b", "c", "d"]


async def test_an_offered_body_over_the_limit_is_refused(edge: Harness) -> None:
    head = request(b"", *UPGRADE).replace(b"Content-Length: 0", b"Content-Length: 512001")
    answer = await edge.raw(head, eof=False)
    assert statuses(answer) == [400]
    assert b"body_too_large" in answer


async def test_websockets_and_tunnels_are_not_spoken(edge: Harness) -> None:
    ask = b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert statuses(await edge.raw(ask)) == [404]
    tunnel = b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n"
    status, headers, _ = parse_answer(await edge.raw(tunnel + tunnel, eof=False))
    assert (status, headers["connection"]) == (400, "close")


async def test_a_target_with_scheme_and_host(edge: Harness) -> None:
    """A server has to accept what a client writes to a proxy (RFC 9112, 3.2.2)."""
    body = track()
    assert await post(edge, "http://events.example/v1/track?x=1", body) == OK
    assert await post(edge, "http://events.example", body) != OK
    assert len(edge.stored()) == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [("/health", 200), ("/v1/projects/wk/settings", 200), ("/v1/pixel/track", 200), ("/x", 404),
     ("/v1/track", 400), ("/v1/projects/no/settings", 400)],
)  # fmt: skip
async def test_the_answer_to_head_ends_with_its_headers(
    edge: Harness, path: str, status: int
) -> None:
    head = f"HEAD {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    answer = await edge.raw(head + request(event("a")))
    first, _, rest = answer.partition(b"\r\n\r\n")
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    got, headers, _ = parse_answer(first)
    assert got == status
    if path != "/v1/pixel/track":
        _, as_get, body = await edge.send("GET", path)
        assert int(headers["content-length"]) == int(as_get["content-length"]) == len(body)
    assert [e["messageId"] for e in edge.stored()] == ["a"]


# Answers that a page has to be able to read, and headers that are none of ours


async def test_a_page_can_read_that_its_request_was_cut_off(edge: Harness) -> None:
    origin = b"Origin: https://shop.example\r\n"
    for rest in (b"Content-Length: 512001\r\n\r\n", b"X: " + b"y" * 20_000 + b"\r\n\r\n"):
        data = b"POST /v1/t HTTP/1.1\r\n" + origin + rest
        _, headers, body = parse_answer(await edge.raw(data, eof=False))
        assert orjson.loads(body)["code"] in ("body_too_large", "headers_too_large")
        assert headers["access-control-allow-origin"] == "https://shop.example"


@pytest.mark.parametrize("break_", [b"\r\n ", b"\n", b"\r", b"\x00", b"\r\n\t"])
async def test_nothing_gets_into_the_answers_headers(edge: Harness, break_: bytes) -> None:
    for name in (b"Origin", b"Access-Control-Request-Headers"):
        data = b"OPTIONS /v1/t HTTP/1.1\r\nHost: x\r\n%b: a%bSet-Cookie: x=1\r\n\r\n" % (
            name,
            break_,
        )
        answer = await edge.raw(data)
        head, _, _ = answer.partition(b"\r\n\r\n")
        assert not any(line.lower().startswith(b"set-cookie") for line in head.splitlines())


# Who sent it


@pytest.mark.parametrize(
    ("forwarded", "ip"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9", "10.1.2.3"], "203.0.113.9"),
        (["203.0.113.9, 10.1.2.3", "127.0.0.1"], "203.0.113.9"),
        (["2001:db8::1"], "2001:db8::1"),
        (["203.0.113.9, nonsense"], "127.0.0.1"),
        (['fe80::1%","x":"' + "y" * 5000], "127.0.0.1"),
        ([""], "127.0.0.1"),
    ],
)
async def test_the_address_behind_trusted_proxies(
    edge: Harness, forwarded: list[str], ip: str
) -> None:
    edge.configure(server=Server(trusted_proxies=["127.0.0.1", "10.0.0.0/8"]))
    body = orjson.dumps(track(context={"direct": True}))
    lines = [f"X-Forwarded-For: {each}" for each in forwarded]
    assert statuses(await edge.raw(request(body, *lines))) == [200]
    assert [e["context"] for e in edge.stored()] == [{"direct": True, "ip": ip}]


async def test_a_client_cannot_forward_itself(edge: Harness) -> None:
    stored = await one(edge, track(context={"direct": True}), X_Forwarded_For="203.0.113.9")
    assert stored["context"]["ip"] == "127.0.0.1"


# What cannot be shown is still an answer


@pytest.mark.parametrize("depth", [250, 300, 1000])
async def test_a_refused_event_too_deep_to_show(api: Harness, depth: int) -> None:
    nest = b"[" * depth + b"]" * depth
    body = b'{"userId":"u","event":"E","writeKey":"wk","x":%b}' % nest
    assert await post(api, "/v1/track", body) == OK
    (kept,) = api.refused()
    assert kept["reason"] == "too_deep"
    assert kept["event"]


@pytest.mark.parametrize("sent_at", [b"1e400", b"[" * 200 + b"]" * 200, b'{"a":1e999}', b"true"])
async def test_what_a_batch_says_cannot_spoil_its_events(api: Harness, sent_at: bytes) -> None:
    """It is written into each event, past the judge of events."""
    for name in (b"sentAt", b"context", b"integrations"):
        value = sent_at if name == b"sentAt" else b'{"x":%b}' % sent_at
        body = b'{"writeKey":"wk","%b":%b,"batch":[{"type":"page","userId":"u"}]}' % (name, value)
        assert await post(api, "/v1/batch", body) == OK
    for stored in api.stored():
        assert isinstance(stored.get("sentAt", ""), str)
    assert len(api.stored()) == (3 if sent_at == b"true" else 1)
