"""The delivery routes of the control port: what they refuse, and that a restart ends nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from router.cli._control import seconds_text
from tests.e2e.harness import KEY, Router, Sink


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    one = Router(tmp_path_factory.mktemp("api"))
    one.webhook("hook", "http://127.0.0.1:9/")
    one.start()
    yield one
    one.stop()


def ask(
    router: Router, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, Any]:
    connection = HTTPConnection(urlsplit(router.control).netloc, timeout=20)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, json.loads(text)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "destination and from are needed"),
        (b"{", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"\xff", "the body is not JSON"),
        (b"[]", "has to be an object"),
        (b'{"destination":"hook"}', "destination and from are needed"),
        (b'{"destination":"hook","from":null}', "destination and from are needed"),
        (b'{"destination":["hook"],"from":"1h"}', "destination has the wrong type"),
        (b'{"destination":"hook","from":1.5}', "from has the wrong type"),
        (b'{"destination":"hook","from":true}', "is no offset"),
        (b'{"destination":"hook","from":-5}', "the log has the offsets"),
        (b'{"destination":"hook","from":1e400}', "the body is not JSON"),
        (b'{"destination":"hook","from":99999999999999999999}', "from has the wrong type"),
        (b'{"destination":"hook","from":"soon"}', "is not a time such as"),
        (b'{"destination":"hook","from":"1h","form":"2h"}', "form is not known here"),
        (b'{"destination":"__proto__","from":"1h"}', "no enabled destination"),
        (b'{"destination":"hook","from":"1h"}', "no events in that range"),
        (b'{"destination":"hook","from":"1h","filter":"("}', "column"),
    ],
)
def test_a_replay_that_is_wrong_is_refused(router: Router, body: bytes, message: str) -> None:
    status, answer = ask(router, "POST", "/v1/replay", body)
    assert status in (400, 422), answer
    assert message in answer["error"]
    assert ask(router, "GET", "/v1/replay") == (200, [])


@pytest.mark.parametrize(
    "path",
    [
        "/v1/overview?from=soon",
        "/v1/overview?to=soon",
        "/v1/overview?step=soon",
        "/v1/trace/m?since=soon",
        "/v1/dead-letters/hook?limit=many",
        "/v1/dead-letters/hook?limit=99999999999999999999",
        "/v1/dead-letters/hook?since=soon",
        "/v1/rejected?limit=-1",
    ],
)
def test_a_parameter_that_is_wrong_is_refused(router: Router, path: str) -> None:
    status, answer = ask(router, "GET", path)
    assert status == 400
    assert "is not" in answer["error"]


@pytest.mark.parametrize("id_", ["%00", "%ED%A0%80", "%FF", "..%2F..", "x" * 4000, "%22%7D"])
def test_any_id_can_be_asked_for(router: Router, id_: str) -> None:
    status, answer = ask(router, "GET", f"/v1/trace/{id_}")
    assert status == 200
    assert answer["events"] == []


def test_an_overview_of_any_range_is_an_answer(router: Router) -> None:
    for query in ("from=1970-01-01&to=1970-01-02", "from=14d&step=1w", "from=0001-01-01",
                  "from=now&to=2h", "destination=none", "step=999999999", "step=0"):  # fmt: skip
        status, answer = ask(router, "GET", f"/v1/overview?{query}")
        assert status == 200, answer
        assert isinstance(answer["rows"], list)


def test_a_page_of_another_site_may_not_change_anything(router: Router) -> None:
    for method, path in (("POST", "/v1/replay"), ("DELETE", "/v1/replay/x")):
        status, _ = ask(router, method, path, b"{}", Origin="https://evil.example")
        assert status == 403
    assert ask(router, "DELETE", "/v1/replay/x")[0] == 404


def test_letters_are_retried_only_as_asked(router: Router) -> None:
    for body in (b'{"ids":"x"}', b'{"since":"soon"}', b'{"limit":"3"}', b"nonsense"):
        assert ask(router, "POST", "/v1/dead-letters/hook/retry", body)[0] == 400
    assert ask(router, "POST", "/v1/dead-letters/hook/retry", b"")[1] == {"retried": 0}


def test_a_replay_goes_on_after_a_kill(tmp_path: Path) -> None:
    """More than may wait at a time, to a vendor that is down until after the kill."""
    sink = Sink()
    router = Router(tmp_path)
    router.webhook("hook", sink.url, settings="batch = true")
    router.start()
    try:
        for start in range(0, 20_000, 1000):
            batch = [{"type": "track", "event": "E", "userId": "u", "messageId": f"m{start + i}"}
                     for i in range(1000)]  # fmt: skip
            body = json.dumps({"batch": batch, "writeKey": KEY}).encode()
            connection = HTTPConnection(urlsplit(router.edge).netloc, timeout=20)
            connection.request("POST", "/v1/batch", body)
            assert connection.getresponse().status == 200
        sink.wait_for(20_000)
        sink.answer = lambda _: (503, b"busy")
        sink.bodies.clear()
        status, job = ask(
            router, "POST", "/v1/replay", b'{"destination":"hook","from":0,"to":20000}'
        )
        assert status == 202
        deadline = time.monotonic() + 20
        while (found := router.get("/v1/replay")[0])["matched"] < 5000:
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        assert found["matched"] < 6000, "only so many wait at a time"
        router.kill()
        sink.answer = lambda _: (200, b"{}")
        router.start()
        until_done = time.monotonic() + 60
        while (found := router.get("/v1/replay")[0])["state"] == "running":
            assert time.monotonic() < until_done, found
            time.sleep(0.2)
        assert (found["id"], found["state"], found["matched"]) == (job["id"], "done", 20_000)
        deadline = time.monotonic() + 60
        while len({event["messageId"] for event in sink.events()}) < 20_000:
            assert time.monotonic() < deadline, "not every event came again"
            time.sleep(0.2)
    finally:
        router.stop()
        sink.close()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.0001, "0.1ms"), (0.0123, "12ms"), (0.5, "500ms"), (1.5, "1.5s"), (60, "60s"),
     (180, "3.0m"), (3600, "60m"), (90_000, "25h"), (864_000, "10d")],
)  # fmt: skip
def test_spans_for_people(seconds: float | None, text: str) -> None:
    assert seconds_text(seconds) == text


def post(router: Router, body: bytes) -> None:
    connection = HTTPConnection(urlsplit(router.edge).netloc, timeout=20)
    connection.request("POST", "/v1/batch", body)
    assert connection.getresponse().status == 200
    connection.close()


def test_strange_events_are_traced_and_replayed(router: Router) -> None:
    deep = b'{"a":' * 95 + b"1" + b"}" * 95
    events = [
        b'{"type":"track","event":"\\ud800","userId":"u","messageId":"strange-1"}',
        b'{"type":"track","event":"E","userId":"u","messageId":"strange-2","properties":%b}' % deep,
        b'{"type":"track","event":"E","userId":123456789012345678901234567890,"messageId":"strange-3"}',
        b'{"type":"track","event":"E","event":"F","userId":"u","messageId":"strange-4"}',
    ]
    first = router.get("/v1/destinations")[0]["cursor"]
    post(router, b'{"batch":[%b],"writeKey":"%b"}' % (b",".join(events), KEY.encode()))
    for number in (1, 2, 3, 4):
        status, found = ask(router, "GET", f"/v1/trace/strange-{number}")
        assert status == 200
        assert found["events"][0]["event"]["messageId"] == f"strange-{number}"
    body = b'{"destination":"hook","from":%d,"dryRun":true}' % first
    status, job = ask(router, "POST", "/v1/replay", body)
    assert status == 202
    deadline = time.monotonic() + 10
    while (found := router.get("/v1/replay")[0])["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (found["state"], found["matched"]) == ("done", 4)
    assert ask(router, "DELETE", f"/v1/replay/{job['id']}")[0] == 200


def test_a_replay_reaches_into_the_archive(tmp_path: Path) -> None:
    sink = Sink()
    router = Router(tmp_path, "[log]\nsegment_bytes = 1048576\nhours = 0.0001\n")
    router.write("destinations/all.toml", 'destination = "file-archive"\n')
    router.webhook("hook", sink.url, settings="batch = true")
    router.start()
    try:
        for start in range(0, 4000, 200):
            batch = [{"type": "track", "event": "E", "userId": "u", "messageId": f"m{start + i}",
                      "properties": {"a": "x" * 1000}} for i in range(200)]  # fmt: skip
            post(router, json.dumps({"batch": batch, "writeKey": KEY}).encode())
        sink.wait_for(4000)
        sink.bodies.clear()
        deadline = time.monotonic() + 30
        gone = b'{"destination":"hook","from":0,"dryRun":true}'
        while ask(router, "POST", "/v1/replay", gone)[0] != 422:
            assert time.monotonic() < deadline, "the log lets nothing go"
            time.sleep(1)
        assert ask(router, "POST", "/v1/replay", b'{"destination":"hook","from":"1h"}')[0] == 202
        deadline = time.monotonic() + 30
        while len({event["messageId"] for event in sink.events()}) < 4000:
            assert time.monotonic() < deadline, "not every event came again"
            time.sleep(0.2)
        found = router.get("/v1/replay")[0]
        assert found["fromArchive"]
        assert found["matched"] >= 4000
    finally:
        router.stop()
        sink.close()
