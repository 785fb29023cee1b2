"""The HTTP client against servers that misbehave, on real sockets."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import socket
import ssl
import subprocess
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.delivery import addresses
from router.delivery.addresses import Resolver, is_public, literal
from router.delivery.transport import Answer, Transport, Unreachable, inflate
from router.destinations.request import Request

MIB = 1 << 20


Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers each request as `handlers` say, by path; keeps the requests' heads and bodies."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.requests: list[tuple[str, bytes]] = []
        self.connections = 0
        self.port = 0
        self.scheme = "http"

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                fields = dict(
                    line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
                )
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                self.requests.append((head, body))
                await self.handlers[head.split(" ")[1]](writer)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def serving(context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    one = Server()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=context)
    one.port = server.sockets[0].getsockname()[1]
    one.scheme = "https" if context else "http"
    try:
        yield one
    finally:
        server.close()


@asynccontextmanager
async def client(**options: float) -> AsyncIterator[Transport]:
    transport = Transport(**options)  # type: ignore[arg-type]
    try:
        yield transport
    finally:
        await transport.close()


def request(url: str, method: str = "POST", body: bytes = b"{}") -> Request:
    return Request(method, url, {"Authorization": "Bearer t0ken"}, body)


def answers(
    body: bytes = b"ok", status: str = "200 OK", headers: str = "", length: int | None = None
) -> Handler:
    async def handler(writer: asyncio.StreamWriter) -> None:
        size = len(body) if length is None else length
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{headers}\r\n".encode())
        writer.write(body)

    return handler


async def test_an_answer_is_read_and_its_connection_used_again() -> None:
    async with serving() as server, client() as transport:
        server.handlers["/a"] = answers(b"hello", "202 Accepted", "X-One: 1\r\n")
        for _ in range(3):
            answer = await transport.send(request(server.url("/a")), 5)
            assert (answer.status, answer.headers["x-one"], answer.body) == (202, "1", b"hello")
        assert server.connections == 1
        head, body = server.requests[0]
        assert "accept-encoding: identity" in head.lower()
        assert body == b"{}"


async def test_cookies_are_not_kept() -> None:
    async with serving() as server, client() as transport:
        server.handlers["/a"] = answers(headers="Set-Cookie: a=b\r\n")
        await transport.send(request(server.url("/a", "localhost")), 5)
        await transport.send(request(server.url("/a", "localhost")), 5)
        assert "cookie" not in server.requests[1][0].lower()


async def test_an_answer_that_does_not_begin_is_given_up() -> None:
    async def silent(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async with serving() as server, client() as transport:
        server.handlers["/a"] = silent
        begun = asyncio.get_running_loop().time()
        with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
            await transport.send(request(server.url("/a")), 0.2)
        assert asyncio.get_running_loop().time() - begun < 2


async def test_an_answer_that_drips_is_given_up() -> None:
    async def dripping(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving() as server, client() as transport:
        server.handlers["/a"] = dripping
        begun = asyncio.get_running_loop().time()
        with pytest.raises(Unreachable, match=r"the answer took more than 0\.6 s"):
            await transport.send(request(server.url("/a")), 0.3)
        assert 0.5 < asyncio.get_running_loop().time() - begun < 3


async def test_a_head_that_drips_is_given_up() -> None:
    async def dripping(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 200 OK\r\n"[:1])
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving() as server, client() as transport:
        server.handlers["/a"] = dripping
        with pytest.raises(Unreachable):
            await transport.send(request(server.url("/a")), 0.3)


async def test_a_connection_reset_in_the_body_is_no_answer() -> None:
    async def reset(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.05)
        connection = writer.get_extra_info("socket")
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with serving() as server, client() as transport:
        server.handlers["/a"] = reset
        with pytest.raises(Unreachable, match="connection failed"):
            await transport.send(request(server.url("/a")), 5)


async def test_what_is_not_http_is_no_answer() -> None:
    async def garbage(writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff not http at all\r\n\r\n")

    async with serving() as server, client() as transport:
        server.handlers["/a"] = garbage
        with pytest.raises(Unreachable, match="connection failed"):
            await transport.send(request(server.url("/a")), 5)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "identity"])
async def test_an_answer_is_cut_at_a_mebibyte(coding: str) -> None:
    plain = bytes(200 * MIB) if coding != "identity" else bytes(3 * MIB)
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}.get(coding, bytes)(plain)
    async with serving() as server, client() as transport:
        server.handlers["/bomb"] = answers(packed, headers=f"Content-Encoding: {coding}\r\n")
        server.handlers["/a"] = answers()
        answer = await transport.send(request(server.url("/bomb")), 10)
        assert answer.body == bytes(MIB)
        assert (await transport.send(request(server.url("/a")), 5)).body == b"ok"


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "raw deflate"])
def test_a_compressed_answer_is_inflated(coding: str) -> None:
    if coding == "raw deflate":
        stream = zlib.compressobj(wbits=-15)
        packed = stream.compress(b'{"a":1}') + stream.flush()
    else:
        packed = (zlib.compress if coding == "deflate" else gzip.compress)(b'{"a":1}')
    assert inflate(packed, coding.split(" ")[-1].title()) == b'{"a":1}'


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "br", "gzip, gzip"]))
def test_a_wrong_coding_is_no_crash(body: bytes, coding: str) -> None:
    assert len(inflate(body, coding, 64)) <= 64


async def test_a_redirect_to_the_same_origin_is_followed_with_its_body() -> None:
    async with serving() as server, client() as transport:
        server.handlers["/a"] = answers(b"", "307 Temporary Redirect", "Location: /b\r\n")
        server.handlers["/b"] = answers(
            b"", "308 Permanent Redirect", f"Location: {server.url('/c')}\r\n"
        )
        server.handlers["/c"] = answers(b"there")
        answer = await transport.send(request(server.url("/a"), body=b"[1]"), 5)
        assert (answer.status, answer.body) == (200, b"there")
        assert [(head.split(" ")[:2], body) for head, body in server.requests] == [
            (["POST", "/a"], b"[1]"), (["POST", "/b"], b"[1]"), (["POST", "/c"], b"[1]"),
        ]  # fmt: skip


async def test_three_redirects_are_enough() -> None:
    async with serving() as server, client() as transport:
        server.handlers["/a"] = answers(b"", "307 Temporary Redirect", "Location: /a\r\n")
        answer = await transport.send(request(server.url("/a")), 5)
        assert answer.status == 307
        assert len(server.requests) == 4


@pytest.mark.parametrize("target", ["http://localhost:{port}/b", "https://127.0.0.1:{port}/b",
                                    "http://127.0.0.1:{other}/b", "//evil.example/b", "http://[",
                                    "http://127.0.0.1:99999/"])  # fmt: skip
async def test_a_redirect_elsewhere_is_an_answer(target: str) -> None:
    async with serving() as server, serving() as other, client() as transport:
        location = target.format(port=server.port, other=other.port)
        server.handlers["/a"] = answers(b"", "307 Temporary Redirect", f"Location: {location}\r\n")
        answer = await transport.send(request(server.url("/a")), 5)
        assert answer.status == 307
        assert len(server.requests) == 1
        assert not other.requests


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_post_does_not_become_a_get(status: int) -> None:
    async with serving() as server, client() as transport:
        server.handlers["/a"] = answers(b"", f"{status} Moved", "Location: /b\r\n")
        server.handlers["/b"] = answers(b"there")
        assert (await transport.send(request(server.url("/a")), 5)).status == status
        assert (await transport.send(request(server.url("/a"), "GET", b""), 5)).body == b"there"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A certificate that nobody has signed."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key),
         "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


async def test_a_certificate_nobody_signed_is_refused(certificate: ssl.SSLContext) -> None:
    async with serving(certificate) as server, client() as transport:
        server.handlers["/a"] = answers()
        with pytest.raises(Unreachable, match="the TLS certificate is refused: self-signed"):
            await transport.send(request(server.url("/a", "localhost")), 5)
        assert not server.requests


async def test_a_server_without_tls_is_refused() -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, client() as transport:
        with pytest.raises(Unreachable, match="cannot connect"):
            await transport.send(request(f"https://127.0.0.1:{port}/a"), 5)


async def test_errors_do_not_name_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "s3cret-path"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    urls = [f"http://127.0.0.1:{port}/{secret}", f"http://{secret}.invalid/{secret}",
            f"ftp://127.0.0.1/{secret}", f"http://[{secret}", f"{secret}", "",
            f"http://127.0.0.1:99999999/{secret}"]  # fmt: skip
    async with client() as transport:
        for url in urls:
            with pytest.raises(Unreachable) as caught:
                await transport.send(request(url), 5)
            text = str(caught.value)
            assert text
            assert secret not in text
            assert str(port) not in text


async def test_a_host_that_swallows_packets_is_given_up() -> None:
    """A listener whose queue is full takes no more connections and refuses none."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        async with client(connect_seconds=0.2) as transport:
            with pytest.raises(Unreachable, match=r"no connection within 0\.2 s"):
                await transport.send(request(f"http://127.0.0.1:{port}/"), 5)


async def test_the_connections_to_one_host_are_limited() -> None:
    busy = most = 0

    async def slow(writer: asyncio.StreamWriter) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.05)
        busy -= 1
        await answers()(writer)

    async with serving() as server, client(connections_per_host=3) as transport:
        server.handlers["/a"] = slow
        sent = [transport.send(request(server.url("/a")), 5) for _ in range(12)]
        assert [answer.status for answer in await asyncio.gather(*sent)] == [200] * 12
        assert most == server.connections == 3


async def test_a_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving() as server, serving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url())
        monkeypatch.setenv("no_proxy", f"127.0.0.1:{server.port}")
        async with client() as transport:
            server.handlers["/a"] = answers(b"direct")
            proxy.handlers["http://vendor.example/a"] = answers(b"by proxy")
            assert (await transport.send(request(server.url("/a")), 5)).body == b"direct"
            answer = await transport.send(request("http://vendor.example/a"), 5)
            assert answer.body == b"by proxy"


PRIVATE = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001",
    "0.0.0.0", "0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
    "[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[fd12::1]", "[ff02::1]", "[::ffff:127.0.0.1]",
    "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    "[2001:0:7f00:1::]", "[2001:db8::1]", "[::127.0.0.1]", "[fec0::1]", "[100::1]",
    "localhost", "LOCALHOST.", "127.0.0.1.",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
async def test_what_is_not_public_is_not_connected_to(host: str) -> None:
    async with serving() as server, client() as transport:
        server.handlers["/a"] = answers()
        with pytest.raises(Unreachable):
            url = f"http://{host}:{server.port}/a"
            await transport.send(request(url), 2, public_only=True)
        assert server.connections == 0


async def test_a_name_is_judged_by_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where some are public, and where the second answer is another than the first."""
    found = iter([["8.8.8.8", "127.0.0.1"], ["127.0.0.1"], ["::ffff:127.0.0.1"]])

    def look_up(host: str, port: int, family: int) -> list[tuple[int, int, str]]:
        return [(socket.AF_INET, 6, address) for address in next(found)]

    monkeypatch.setattr(addresses, "_look_up", look_up)
    async with serving() as server, client() as transport:
        for _ in range(3):
            url = server.url("/a", "rebinding.example")
            with pytest.raises(Unreachable, match="not public"):
                await transport.send(request(url), 2, public_only=True)
        assert server.connections == 0


async def test_what_is_not_restricted_may_be_local() -> None:
    async with serving() as server, client() as transport:
        server.handlers["/a"] = answers()
        answer = await transport.send(request(server.url("/a", "localhost")), 5)
        assert answer == Answer(200, answer.headers, b"ok")


async def test_public_addresses_pass_the_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    public = ["8.8.8.8", "2606:4700::1111"]
    monkeypatch.setattr(
        addresses, "_look_up", lambda *_: [(socket.AF_INET, 6, address) for address in public]
    )
    resolver = Resolver(public_only=True)
    assert [found["host"] for found in await resolver.resolve("dns.example")] == public
    await resolver.close()


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1",
                                  "64:ff9b::808:808", "::ffff:8.8.8.8"])  # fmt: skip
def test_public_addresses(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@given(st.ip_addresses())
def test_nothing_is_public_that_the_library_calls_private(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_public(address):
        assert address.is_global or getattr(address, "ipv4_mapped", None) is not None
        assert not address.is_multicast


@pytest.mark.parametrize("name", ["example.com", "a", "1.2.3.4.5", "0x", "", "ä", "256.1.1.1"])
def test_a_name_is_no_address(name: str) -> None:
    assert literal(name) is None


def test_the_client_is_closed_with_nothing_left(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving() as server, client() as transport:
            server.handlers["/a"] = answers()
            await transport.send(request(server.url("/a")), 5)

    asyncio.run(run(), debug=True)


async def test_an_answer_before_the_body_is_read_counts() -> None:
    """A vendor that refuses by the head alone does not take the rest."""

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nhuge")
        await asyncio.sleep(5)
        writer.close()

    server = await asyncio.start_server(hasty, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, client() as transport:
        async with asyncio.timeout(2):
            answer = await transport.send(request(url, body=bytes(20 * MIB)), 4)
        assert (answer.status, answer.body) == (413, b"huge")


async def test_a_body_that_nobody_reads_is_given_up() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, client() as transport:
        async with asyncio.timeout(2):
            with pytest.raises(Unreachable, match="no answer within"):
                await transport.send(request(url, body=bytes(20 * MIB)), 0.3)
