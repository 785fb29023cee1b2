"""The load: keep-alive connections that send one prepared request after another, in a process of
their own. `python -m bench.load` reads a `Plan` from standard input and prints a `Result`.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time

import msgspec

MARK = b"@@@@@@@@@@"
"""In a request's bytes: replaced by the request's number, so that each messageId is new."""


class Plan(msgspec.Struct):
    """`count` requests over `connections`; `request` is sent as it is but for `MARK`."""

    port: int
    request: bytes
    count: int
    connections: int = 32
    first: int = 0
    """Number of the first request."""
    core: int = -1
    """The core to run on, -1 for any."""


class Result(msgspec.Struct):
    """Rates in requests a second, times in seconds."""

    rate: float
    p50: float
    p99: float
    failed: int


def post(path: str, body: bytes, *headers: str) -> bytes:
    """A request's bytes, with the headers that Segment's Node SDK sends."""
    lines = [
        f"POST {path} HTTP/1.1", "host: 127.0.0.1:8080", "connection: keep-alive",
        "Content-Type: application/json", "User-Agent: analytics-node-next/latest",
        "Authorization: Basic YmVuY2g6", "accept: */*", "accept-language: *",
        "sec-fetch-mode: cors", "accept-encoding: gzip, deflate",
        f"content-length: {len(body)}", *headers,
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def drive(plan: Plan) -> Result:
    """Closed loop: each connection sends its next request when it has its answer."""
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    begun: dict[int, float] = {}
    times: list[float] = []
    number, failed = plan.first, 0
    end = plan.first + plan.count
    marked, clock = MARK in plan.request, time.perf_counter
    for _ in range(plan.connections):
        connection = socket.create_connection(("127.0.0.1", plan.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(connection, select.EPOLLIN)
        sockets[connection.fileno()] = connection
    started = clock()
    ready = list(sockets)
    waiting = 0
    while ready or waiting:
        for fd in ready:
            if number == end:
                break
            data = plan.request
            if marked:
                data = data.replace(MARK, b"%010d" % number)
            number += 1
            waiting += 1
            begun[fd] = clock()
            sockets[fd].sendall(data)
        ready = []
        if not waiting:
            break
        for fd, _ in poll.poll():
            answer = sockets[fd].recv(65536)
            if not answer:
                raise ConnectionError("the server closed a connection")
            if answer.endswith(b"}"):
                times.append(clock() - begun[fd])
                failed += not answer.startswith(b"HTTP/1.1 200")
                waiting -= 1
                ready.append(fd)
    seconds = clock() - started
    for connection in sockets.values():
        connection.close()
    times.sort()
    return Result(
        plan.count / seconds, times[len(times) // 2], times[len(times) * 99 // 100], failed
    )


if __name__ == "__main__":
    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    if wanted.core >= 0:
        os.sched_setaffinity(0, {wanted.core})
    sys.stdout.buffer.write(msgspec.json.encode(drive(wanted)))
