"""HTTP itself: pipelining, chunks, time-outs, and everything that is not quite a request."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.edge.conftest import Harness, parse_answer

OK = b'{"success":true}'


def event(id_: str = "m1") -> bytes:
    return f'{{"event":"E","userId":"u","messageId":"{id_}","writeKey":"wk"}}'.encode()


def request(body: bytes, *headers: str, path: str = "/v1/track", version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def test_keep_alive_and_pipelining_answer_in_order(edge: Harness) -> None:
    bad = request(b"{")
    answer = await edge.raw(request(event("a")) + bad + request(event("b")) + request(event("c")))
    assert [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200, 400, 200, 200]
    assert [e["messageId"] for e in edge.stored()] == ["a", "b", "c"]


async def test_many_pipelined_requests(edge: Harness) -> None:
    answer = await edge.raw(b"".join(request(event(f"m{i}")) for i in range(500)))
    assert answer.count(OK) == 500
    assert len(edge.stored()) == 500


async def test_a_body_in_chunks_cut_anywhere(edge: Harness) -> None:
    body = event("chunked")
    head = (
        b"POST /v1/t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(body[i : i + 7]), body[i : i + 7])
                      for i in range(0, len(body), 7)) + b"0\r\n\r\n"  # fmt: skip
    whole = head + chunks
    for cut in range(1, len(whole), 5):
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.edge.port)
        writer.write(whole[:cut])
        await asyncio.sleep(0)
        writer.write(whole[cut:])
        assert OK in await reader.read()
        writer.close()
    assert len(edge.stored()) == 1, "every repetition is a duplicate"


async def test_http_1_0_closes_unless_asked(edge: Harness) -> None:
    answer = await edge.raw(request(event(), version="1.0"), eof=False)
    assert answer.endswith(OK)
    assert b"Connection: close" in answer
    answer = await edge.raw(request(event(), "Connection: keep-alive", version="1.0") * 2)
    assert answer.count(OK) == 2
    assert b"Connection: keep-alive" in answer


async def test_expect_100_continue(edge: Harness) -> None:
    body = event()
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.edge.port)
    writer.write(request(body, "Expect: 100-continue", "Connection: close")[: -len(body)])
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert OK in await reader.read()
    writer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nhello",
        b"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
        b"POST /v1/track HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/track HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)  # fmt: skip
async def test_ambiguous_framing_is_refused_and_the_connection_closed(
    edge: Harness, head: bytes
) -> None:
    status, headers, body = parse_answer(await edge.raw(head + b"POST /v1/track HTTP/1.1\r\n"))
    assert status == 400
    assert headers["connection"] == "close"
    assert b"bad_request" in body
    assert edge.stored() == []


async def test_headers_that_never_end_are_cut_off(edge: Harness) -> None:
    edge.configure(header_bytes=2000)
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.edge.port)
    writer.write(b"POST /v1/track HTTP/1.1\r\nX: ")
    for _ in range(10):
        writer.write(b"y" * 500)
        await asyncio.sleep(0.01)
    assert b"headers_too_large" in await reader.read()
    writer.close()
    answer = await edge.raw(request(event(), "X: " + "y" * 3000))
    assert b"headers_too_large" in answer


async def test_a_body_too_large_is_refused_before_it_is_sent(edge: Harness) -> None:
    edge.configure(body_bytes=100_000)
    head = b"POST /v1/track HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n"
    assert b"body_too_large" in await edge.raw(head, eof=False)
    chunked = b"POST /v1/track HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    flood = b"".join(b"1000\r\n" + b"x" * 4096 + b"\r\n" for _ in range(30))
    assert b"body_too_large" in await edge.raw(chunked, flood, eof=False)


@pytest.mark.parametrize(
    ("sent", "limit", "code"),
    [
        (b"POST /v1/track HT", {"header_seconds": 0.1}, b"header_seconds"),
        (request(event())[:-5], {"body_seconds": 0.1}, b"body_seconds"),
        (b"", {"idle_seconds": 0.1}, b""),
    ],
)
async def test_slow_senders_are_cut_off(
    edge: Harness, sent: bytes, limit: dict[str, float], code: bytes
) -> None:
    edge.configure(**limit)
    started = time.monotonic()
    answer = await edge.raw(sent, eof=False)
    assert code in answer
    assert time.monotonic() - started < 5


async def test_the_connection_cap(edge: Harness) -> None:
    edge.configure(connections=2)
    held = [await asyncio.open_connection("127.0.0.1", edge.edge.port) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError, ValueError, IndexError)):
        parse_answer(await edge.raw(request(event()), eof=False))
    for _, writer in held:
        writer.close()
    await asyncio.sleep(0.05)
    assert (await edge.send("POST", "/v1/track", event()))[0] == 200


async def test_stopping_answers_what_is_under_way(edge: Harness) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.edge.port)
    idle = await asyncio.open_connection("127.0.0.1", edge.edge.port)
    body = event()
    writer.write(request(body)[:-10])
    await asyncio.sleep(0.05)
    stopping = asyncio.create_task(edge.edge.stop(5))
    await asyncio.sleep(0.05)
    writer.write(body[-10:])
    answer = await reader.read()
    assert OK in answer
    assert b"Connection: close" in answer
    assert await idle[0].read() == b""
    await stopping
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", edge.edge.port)
    for each in (writer, idle[1]):
        each.close()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=200).map(lambda body: request(body)),
    st.binary(max_size=50).map(lambda junk: request(event())[:60] + junk),
    st.lists(st.sampled_from([b"\r\n", b"POST ", b"/v1/track", b" HTTP/1.1", b"Content-Length: ",
                              b"3", b"Transfer-Encoding: chunked", b"0", b"{}", b"\x00", b": "]),
             max_size=14).map(b"".join),
))  # fmt: skip
def test_any_bytes_leave_the_server_serving(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    async def go() -> None:
        async with Harness(tmp_path_factory.mktemp("edge")) as edge:
            await edge.raw(data)
            assert (await edge.send("POST", "/v1/track", event()))[0] == 200

    asyncio.run(go())
