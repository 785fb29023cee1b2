"""`kill -9` at random moments under load: what was answered 200 reaches the sink."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.faults import FaultSink
from tests.e2e.harness import KEY, Router, Sink

KILLS = 20
SENDERS = 4


class Sender(threading.Thread):
    """Sends events one by one or in batches and notes which were acknowledged."""

    def __init__(self, router: Router, name: str) -> None:
        super().__init__(daemon=True)
        self.router, self.prefix = router, name
        self.acknowledged: list[str] = []
        self.stopping = False

    def run(self) -> None:
        number = 0
        while not self.stopping:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.router.port, timeout=5)
                while not self.stopping:
                    ids = [f"{self.prefix}-{number + i}" for i in range(random.choice((1, 1, 20)))]
                    number += len(ids)
                    batch = [
                        {"type": "track", "event": "E", "userId": "u", "messageId": id_}
                        for id_ in ids
                    ]
                    connection.request(
                        "POST", "/v1/batch", json.dumps({"batch": batch, "writeKey": KEY})
                    )
                    if connection.getresponse().read() == b'{"success":true}':
                        self.acknowledged += ids
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)


@pytest.mark.crash
@pytest.mark.timeout(240)
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path, sink: Sink) -> None:
    random.seed(7)
    router = Router(tmp_path, "[delivery]\nretry_first_seconds = 0.05\nretry_max_seconds = 0.5\n")
    router.webhook("sink", sink.url, settings="batch = true")
    flaky = random.Random(11)
    sink.answer = lambda _: (500, b"") if flaky.random() < 0.1 else (200, b"{}")
    router.start()
    senders = [Sender(router, f"s{number}") for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    for _ in range(KILLS):
        time.sleep(random.uniform(0.05, 0.6))
        router.kill()
        router.start()
    time.sleep(0.5)
    for sender in senders:
        sender.stopping = True
        sender.join(10)
    sink.answer = lambda _: (200, b"{}")
    acknowledged = {id_ for sender in senders for id_ in sender.acknowledged}
    assert len(acknowledged) > 1000, "the load was too light to prove anything"
    deadline = time.monotonic() + 60
    while missing := acknowledged - {event["messageId"] for event in sink.events()}:
        assert time.monotonic() < deadline, (len(missing), len(acknowledged), router.log()[-2000:])
        time.sleep(0.2)
    assert router.stop() == 0


DELIVERY_KILLS = 50
COMMIT_SECONDS = 1.0
"""Cursors are committed every 50 ms; a loaded machine may need longer for one."""


@pytest.mark.crash
@pytest.mark.timeout(300)
def test_kill_9_in_delivery_sends_again_only_what_was_on_its_way(tmp_path: Path) -> None:
    """50 kills while a backlog is delivered: nothing lost, and what arrives twice had arrived just
    before a kill."""
    random.seed(5)
    sink = FaultSink()
    flaky = random.Random(13)
    sink.fate = lambda _: flaky.choice(("ok",) * 60 + ("503", "reset"))
    sink.delay = 0.01
    router = Router(tmp_path, "[delivery]\nretry_first_seconds = 0.05\nretry_max_seconds = 0.5\n")
    router.webhook("sink", sink.url, "concurrency = 4\n[batch]\nevents = 25", "batch = true")
    router.start()
    sender = Sender(router, "d")
    sender.start()
    kills: list[float] = []
    for _ in range(DELIVERY_KILLS):
        time.sleep(random.uniform(0.1, 0.5))
        kills.append(time.time())
        router.kill()
        router.start()
    sender.stopping = True
    sender.join(10)
    sink.fate = lambda _: "ok"
    acknowledged = set(sender.acknowledged)
    assert len(acknowledged) > 1000, "the load was too light to prove anything"
    deadline = time.monotonic() + 60
    while missing := acknowledged - set(sink.accepted):
        assert time.monotonic() < deadline, (len(missing), len(acknowledged), router.log()[-2000:])
        time.sleep(0.2)
    twice = [id_ for id_, count in sink.accepted.items() if count > 1]
    for id_ in twice:
        assert any(-0.1 < kill - sink.first[id_] < COMMIT_SECONDS for kill in kills), id_
    print(f"{len(twice)} of {len(acknowledged)} events arrived twice over {len(kills)} kills")
    assert twice, "no kill met a request on its way: the test proves nothing"
    assert "sent again" in router.log(), "what is sent again is told"
    assert router.stop() == 0
    sink.close()
