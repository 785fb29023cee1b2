"""The lane against the way through `router.edge`: whichever a request takes, nothing differs.

The same request goes whole to one edge, where it may take the lane, and in two packets to another,
where it cannot. Answers, stored bytes (up to what the clock says), refusals and counts are compared.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.metrics import (
    ACCEPTED,
    DUPLICATES,
    RECEIVED_BYTES,
    REJECTED,
    REQUESTS,
    RETRIED_REQUESTS,
)
from router.workspace.models import Server
from tests.edge.conftest import Harness

COUNTERS = (ACCEPTED, DUPLICATES, REJECTED, REQUESTS, RECEIVED_BYTES, RETRIED_REQUESTS)
UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
HEAD = re.compile(
    rb'\{"messageId":"(.*?)","receivedAt":"(.{24})","type":"(\w+)","timestamp":"(.{24})"'
)


class Pair:
    """Two edges on a loop: one is sent to in one packet, the other in two."""

    def __init__(self, folder: Path) -> None:
        self.loop = uvloop.new_event_loop()
        self.edges = [Harness(folder / "whole"), Harness(folder / "split")]
        self.read = [0, 0]
        self.laned = [0, 0]
        for edge in self.edges:
            self.loop.run_until_complete(edge.__aenter__())

    def close(self) -> None:
        for edge in self.edges:
            self.loop.run_until_complete(edge.__aexit__())
        self.loop.close()

    def send(self, which: int, data: bytes, cut: int) -> tuple[bytes, list[bytes], list[Any], Any]:
        """(answer, events newly stored, events newly refused, counts)"""
        edge = self.edges[which]
        edge.edge.measure()
        before = counts()
        parts = (data[:cut], data[cut:]) if which else (data,)
        answer = self.loop.run_until_complete(edge.raw(*parts, pause=0.002 if which else 0.0))
        self.laned[which] += edge.edge._intake.lane.received
        edge.edge.measure()
        counted = {key: value - before.get(key, 0) for key, value in counts().items()}
        stored = edge.stored_raw()[self.read[which] :]
        self.read[which] += len(stored)
        refused = edge.refused()
        for path in (edge.folder / "rejected").glob("*.jsonl"):
            path.unlink()
        for item in refused:
            del item["time"]
        return answer, stored, refused, {key: value for key, value in counted.items() if value}


def counts() -> dict[Any, float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for counter in COUNTERS
        for family in counter.collect()
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    both = Pair(tmp_path_factory.mktemp("lane"))
    yield both
    both.close()


def ms(stamp: bytes) -> float:
    return datetime.fromisoformat(stamp.decode()).timestamp() * 1000


def check_same_event(a: bytes, b: bytes) -> None:
    """Equal bytes, but for the time of receipt, what is reckoned from it, and ids made up."""
    first, second = HEAD.match(a), HEAD.match(b)
    assert first is not None
    assert second is not None
    assert a[first.end() :] == b[second.end() :]
    if first[1] != second[1]:
        assert UUID.fullmatch(first[1])
        assert UUID.fullmatch(second[1])
    assert first[3] == second[3]
    if first[4] != second[4]:
        ages = [ms(match[2]) - ms(match[4]) for match in (first, second)]
        assert round(ages[0]) == round(ages[1])


def check(pair: Pair, data: bytes, cut: int) -> None:
    cut = 1 + cut % max(1, len(data) - 1)
    (answer, stored, refused, counted), (answer2, stored2, refused2, counted2) = (
        pair.send(which, data, cut) for which in (0, 1)
    )
    date = re.compile(rb"Date: [^\r]*")
    assert date.sub(b"", answer) == date.sub(b"", answer2)
    assert len(stored) == len(stored2)
    for a, b in zip(stored, stored2, strict=True):
        check_same_event(a, b)
    assert refused == refused2
    assert counted == counted2


scalars = st.sampled_from([
    "u", "", "ü", "\\", '"', "\ud800", "\ud83d\ude00", None, 1, -1.5, 10**30, True, "x" * 101,
])  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)  # fmt: skip
ids = st.sampled_from(["u", "u2", "", None, 7, 1.5, {}, []])
times = st.sampled_from([
    "2026-01-02T03:04:05.678Z", "2015-2-02T00:30:08.276Z", "2026-01-02T03:04:05+02:00", "never",
    1767323045678, None,
])  # fmt: skip
contexts = st.sampled_from([
    {}, None, [], {"direct": True}, {"library": {"name": "analytics.js"}}, {"ip": "1.2.3.4"},
    {"a": 1, "library": {"name": "analytics-node"}},
])  # fmt: skip
events = st.fixed_dictionaries({}, optional={
    "userId": ids, "anonymousId": ids, "groupId": ids, "previousId": ids,
    "event": st.sampled_from(["E", "", None, 1]),
    "type": st.sampled_from(["track", "identify", "page", "screen", "group", "alias", "x", None]),
    "messageId": st.sampled_from(["m1", "m2", "m3", "é" * 60, "m" * 101, "", None, 5]),
    "timestamp": times, "sentAt": times, "originalTimestamp": times, "context": contexts,
    "integrations": st.sampled_from([{}, {"All": False}, None, 1]), "properties": values,
    "writeKey": st.sampled_from(["wk", "wk-off", "no", "", None]), "receivedAt": times,
})  # fmt: skip
fresh = st.integers(0, 10**12).map(
    lambda number: {"messageId": f"fresh-{number}", "writeKey": "wk"}
)
likely = st.builds(
    lambda event, more: {"userId": "u", "event": "E", "groupId": "g", "type": "track", **event, **more},
    events, fresh | fresh | st.just({}),
)  # fmt: skip
batches = st.fixed_dictionaries({"batch": st.lists(likely | events | values, max_size=5)}, optional={
    "context": contexts, "integrations": st.sampled_from([{}, {"All": True}, 0]), "sentAt": times,
    "writeKey": st.sampled_from(["wk", "wk-strict", "no", None]), "sequence": values,
})  # fmt: skip


def encoded(value: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda value, escaped, spaced: json.dumps(
            value, ensure_ascii=escaped, separators=(", ", ": ") if spaced else (",", ":")
        ).encode("utf-8", "surrogatepass"),
        value, st.booleans(), st.booleans(),
    )  # fmt: skip


valid = encoded(likely | events | batches)
bodies = st.one_of(
    valid, valid, valid,
    st.builds(lambda body, at, junk: body[: at % (len(body) + 1)] + junk + body[at % (len(body) + 1):],
              valid, st.integers(0, 500), st.binary(max_size=3)),
    st.builds(lambda body, at: body[: at % (len(body) + 1)], valid, st.integers(0, 500)),
)  # fmt: skip
single_paths = st.sampled_from(["/v1/track", "/v1/t", "/v1/page", "/v1/identify", "/v1/group"])
batch_paths = st.sampled_from(["/v1/batch", "/v1/b", "/v1/import"])
odd_paths = st.sampled_from([
    "/v1/batch/", "/v1/track?writeKey=wk", "/beacon/v1/batch?writeKey=wk", "/v1/m", "/v1/nothing",
    "/v1/merge", "/", "/v1/pixel/track", "/sourceConfig", "*",
])  # fmt: skip
odd_headers = st.lists(st.sampled_from([
    "Authorization: Basic d2s6", "authorization:Basic d2s6", "Authorization: Basic d2stc3RyaWN0Og==",
    "Authorization: Bearer wk", "Authorization:", "AUTHORIZATION: \t Basic d2s=  ",
    "Authorization: Basic bm86", "Origin: https://a.example", "Origin: null", "Origin:",
    "X-Retry-Count: 0", "X-Retry-Count: 3", "X-Retry-Count: 00", "X-Retry-Count:",
    "Content-Encoding: gzip", "Content-Encoding: identity", "Content-Encoding:", "Connection: close",
    "Connection: Keep-Alive", "Connection: x", "Expect: x", "TE: trailers", "Trailer: x",
    "X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: 9.9.9.9, 127.0.0.1", "X-Forwarded-Proto: https",
    "Content-Type: text/plain", "Host: y", "X-Long: " + "y" * 5000, "!#$%: \xff\xe9", "Upgrade: x",
    "Keep-Alive: 1", "Proxy-Connection: close", "Bad Name: x", "X: \x01", ": x",
]), max_size=5)  # fmt: skip


usual_headers = st.lists(
    st.sampled_from(["Authorization: Basic d2s6", "Origin: https://a.example", "X-Retry-Count: 2",
                     "Content-Type: text/plain", "Connection: keep-alive", "Accept: */*"]),
    max_size=3, unique=True,
)  # fmt: skip


any_headers = usual_headers | odd_headers
requests = st.one_of(
    st.tuples(single_paths, usual_headers, encoded(likely)),
    st.tuples(batch_paths, usual_headers, encoded(batches)),
    st.tuples(single_paths, any_headers, encoded(likely | events)),
    st.tuples(single_paths | batch_paths | odd_paths, any_headers, bodies),
)
numbers = itertools.count()


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(requests, st.integers(0, 2000), st.booleans())
def test_either_way_is_the_same(
    pair: Pair, request: tuple[str, list[str], bytes], cut: int, proxied: bool
) -> None:
    server = Server(trusted_proxies=["127.0.0.0/8"] if proxied else [])
    for edge in pair.edges:
        edge.configure(server=server)
    target, names, body = request
    # Else an example's ids are what an earlier one sent: duplicates alone do not take the lane.
    body = body.replace(b"fresh", b"%05d" % next(numbers))
    lines = [f"POST {target} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *names]
    check(pair, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body, cut)


def test_limits_are_the_same_either_way(pair: Pair) -> None:
    for edge in pair.edges:
        edge.configure(body_bytes=3000, header_bytes=300, event_bytes=900, batch_events=3, depth=8,
                       message_id_chars=10)  # fmt: skip
    event = {"type": "track", "userId": "u", "event": "E", "writeKey": "wk"}
    deep = json.loads("[" * 7 + "]" * 7)
    for body in (
        {**event, "x": "y" * 850}, {**event, "x": "y" * 1000}, {**event, "x": "y" * 4000},
        {**event, "x": deep}, {**event, "x": [deep]}, {**event, "messageId": "m" * 11},
        {**event, "messageId": "ä" * 10}, {**event, "messageId": 12345678901},
        {"batch": [event] * 3}, {"batch": [event] * 4}, {"batch": [event], "context": {"x": deep}},
        {"batch": [event, {**event, "x": "y" * 1000}]},
    ):  # fmt: skip
        data = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        target = b"/v1/batch" if "batch" in body else b"/v1/track"
        for pad in (1, 150, 300):
            head = b"POST %b HTTP/1.1\r\nHost: x\r\nX: %b\r\nContent-Length: %d\r\n\r\n"
            check(pair, head % (target, b"p" * pad, len(data)) + data, 40)


def test_the_lane_is_taken_by_what_is_usual_and_only_when_whole(pair: Pair) -> None:
    """Or all of the above would compare one way with itself."""
    for edge in pair.edges:
        edge.configure()
    body = b'{"userId":"u","event":"E","writeKey":"wk"}'
    head = b"POST /v1/track HTTP/1.1\r\nHost: x\r\nOrigin: y\r\nContent-Length: %d\r\n\r\n"
    before = list(pair.laned)
    check(pair, head % len(body) + body, 30)
    assert pair.laned[0] == before[0] + len(body)
    assert pair.laned[1] == before[1] == 0


def test_a_longer_batch_than_the_default_is_judged_whole(pair: Pair) -> None:
    for edge in pair.edges:
        edge.configure(batch_events=3000)
    body = b'{"writeKey":"wk","batch":[{"type":"page","userId":"u"}%b]}' % (b",{}" * 2600)
    data = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    for which in (0, 1):
        taken = pair.laned[0]
        answer, stored, _, counted = pair.send(which, data, 1000)
        assert answer.endswith(b'{"success":true}')
        assert len(stored) == 1
        assert counted["router_events_rejected_total", "web", "unknown_type"] == 2600
        assert pair.laned[0] - taken == (0 if which else len(body))
