"""What an operator does and meets: reloads, restarts, dead vendors, a full disk."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from tests.e2e.harness import KEY, Router, Sink

MIB = 1 << 20


def send(
    router: Router, *ids: str, key: str = KEY, event: str = "E", **more: Any
) -> tuple[int, Any]:
    """One batch; status and answer."""
    batch = [
        {"type": "track", "event": event, "userId": "u", "messageId": id_, **more} for id_ in ids
    ]
    body = json.dumps({"batch": batch, "writeKey": key}).encode()
    try:
        with urlopen(Request(f"{router.edge}/v1/batch", body), timeout=10) as response:
            return response.status, json.loads(response.read())
    except HTTPError as error:
        return error.code, json.loads(error.read())


def until(condition: Callable[[], Any], seconds: float = 15) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)
    return found


def command(router: Router, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "router", *arguments, "--data", str(router.data)],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip


def test_an_empty_folder_becomes_a_running_router(tmp_path: Path) -> None:
    """No configuration at all: the first event is in the archive a moment later."""
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "router", "serve", "--port", "0", "--control-port", "0"],
            stdout=out, stderr=out, cwd=tmp_path,
        )  # fmt: skip
    try:
        until((tmp_path / "data/running.json").exists)
        greeting = until(lambda: "curl" in (text := (tmp_path / "out").read_text()) and text)
        line = next(line for line in greeting.splitlines() if line.strip().startswith("curl"))
        answer = subprocess.check_output(line, shell=True, stderr=subprocess.DEVNULL, text=True)
        assert answer == '{"success":true}'
        [archive] = until(lambda: list((tmp_path / "data/archive").glob("*/*.jsonl.gz")))
        assert b'"event":"Hello"' in until(lambda: subprocess.check_output(["zcat", str(archive)]))
        assert psutil.Process(process.pid).memory_info().rss < 120 * MIB
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_change_of_a_file_is_taken_up_and_a_bad_one_refused(router: Router, sink: Sink) -> None:
    router.write("sources/app.toml", 'name = "App"\nwrite_key = "second"\n')
    until(lambda: send(router, f"m{time.time_ns()}", key="second") and sink.events())
    router.write("sources/app.toml", 'name = "App"\nwrite_key = "second"\nstirct = true\n')
    until(lambda: "did you mean `strict`?" in router.log())
    assert send(router, "still", key="second")[0] == 200
    until(lambda: any(e["messageId"] == "still" for e in sink.events()))
    router.write("sources/app.toml", 'name = "App"\nwrite_key = "second"\nstrict = true\n')
    os.kill(router.pid, signal.SIGHUP)
    until(lambda: send(router, "x", key="second", event="")[0] == 400)


def test_a_destination_can_be_changed_while_events_flow(router: Router, sink: Sink) -> None:
    other = Sink()
    try:
        send(router, *(f"a{i}" for i in range(50)))
        sink.wait_for(50)
        router.webhook("sink", other.url)
        until(lambda: "workspace reloaded" in router.log())
        send(router, *(f"b{i}" for i in range(50)))
        assert {e["messageId"] for e in other.wait_for(50)} == {f"b{i}" for i in range(50)}
        assert len(sink.events()) == 50
    finally:
        other.close()


def test_a_filter_and_integrations_decide_what_is_sent(tmp_path: Path, sink: Sink) -> None:
    router = Router(tmp_path)
    router.webhook("sink", sink.url, more="filter = 'properties.total > 10'\nname = \"My Sink\"")
    router.start()
    try:
        send(router, "small", properties={"total": 5})
        send(router, "none")
        send(router, "off", properties={"total": 50}, integrations={"All": False})
        send(router, "big", properties={"total": 50})
        send(
            router, "named", properties={"total": 50}, integrations={"All": False, "My Sink": True}
        )
        assert [e["messageId"] for e in sink.wait_for(2)] == ["big", "named"]
        assert (
            router.metrics()[
                'router_destination_filtered_total{destination="sink",reason="filter"}'
            ]
            == 2
        )
    finally:
        router.stop()


def test_stopping_delivers_what_was_accepted_and_ids_are_remembered(
    tmp_path: Path, sink: Sink
) -> None:
    router = Router(tmp_path)
    router.webhook("sink", sink.url, settings="batch = true")
    router.start()
    for i in range(20):
        assert send(router, *(f"m{i}-{j}" for j in range(100)))[0] == 200
    assert router.stop() == 0
    before = {e["messageId"] for e in sink.events()}
    router.start()
    try:
        assert send(router, "m0-0", "fresh")[0] == 200
        until(lambda: "fresh" in {e["messageId"] for e in sink.events()})
        ids = [e["messageId"] for e in sink.events()]
        assert set(ids) >= before | {"fresh"}
        assert len(set(ids)) == 2001
        assert ids.count("m0-0") == 1
        until(lambda: router.metrics().get('router_events_duplicate_total{source="web"}') == 1)
    finally:
        assert router.stop() == 0


def test_a_dead_letter_is_listed_and_sent_again(router: Router, sink: Sink) -> None:
    sink.answer = lambda _: (422, b'{"error":"unknown list"}')
    send(router, "refused")
    listed = until(
        lambda: "refused" in (out := command(router, "dead-letters", "list").stdout) and out
    )
    assert "422" in listed
    assert "unknown list" in listed
    sink.answer = lambda _: (200, b"{}")
    done = command(router, "dead-letters", "retry", "sink")
    assert done.stdout == "1 handed back to delivery\n", done.stderr
    assert sink.wait_for(1)[0]["messageId"] == "refused"
    assert "refused" not in command(router, "dead-letters", "list").stdout


def test_one_dead_vendor_holds_up_nobody(tmp_path: Path, sink: Sink) -> None:
    dead = Sink()
    router = Router(tmp_path)
    router.webhook("sink", sink.url, settings="batch = true")
    router.webhook("dead", dead.url, settings="batch = true")
    dead.close()
    router.start()
    try:
        for i in range(30):
            send(router, *(f"m{i}-{j}" for j in range(100)))
        sink.wait_for(3000)
        states = {s["id"]: s for s in router.get("/v1/destinations")}
        assert states["sink"]["lagEvents"] == 0
        assert "cannot connect" in states["dead"]["lastError"]
        until(lambda: router.get("/v1/destinations")[0]["heldBack"], 30)
        alive = Sink(dead.port)
        try:
            found = {e["messageId"] for e in alive.wait_for(3000, 90)}
            assert len(found) == 3000
        finally:
            alive.close()
    finally:
        router.stop()


def test_an_idle_router_is_small(router: Router) -> None:
    assert send(router, "m1")[0] == 200
    assert psutil.Process(router.pid).memory_info().rss < 120 * MIB


def test_memory_is_bounded_while_a_million_events_wait(tmp_path: Path) -> None:
    router = Router(tmp_path)
    router.webhook("dead", "http://127.0.0.1:9/", settings="batch = true")
    router.start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", router.port)
        for i in range(500):
            batch = ",".join(
                f'{{"type":"track","event":"E","userId":"u","messageId":"m{i}-{j}"}}'
                for j in range(2000)
            )
            connection.request("POST", "/v1/batch", f'{{"writeKey":"{KEY}","batch":[{batch}]}}')
            assert connection.getresponse().read() == b'{"success":true}'
        [state] = router.get("/v1/destinations")
        assert state["lagEvents"] + state["retrying"] >= 1_000_000, "every one of them waits"
        assert psutil.Process(router.pid).memory_info().rss < 400 * MIB
    finally:
        router.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_503_and_passes_by_itself(tmp_path: Path, sink: Sink) -> None:
    data = tmp_path / "data"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(data)], check=True)
    router = Router(tmp_path)
    router.webhook("sink", sink.url, settings="batch = true")
    router.start()
    accepted: list[str] = []
    try:

        def fill(i: int) -> int:
            status, _ = send(router, f"m{i}", properties={"text": "x" * 30_000})
            if status == 200:
                accepted.append(f"m{i}")
            return status

        assert 503 in [fill(i) for i in range(500)]
        with pytest.raises(HTTPError, match="503"):
            urlopen(router.control + "/ready", timeout=5)
        (data / "filler").unlink(missing_ok=True)
        subprocess.run(["mount", "-o", "remount,size=64m", str(data)], check=True)
        until(lambda: fill(1000 + int(time.time())) == 200)
        with urlopen(router.control + "/ready", timeout=5) as response:
            assert response.status == 200
        sink.wait_for(len(accepted))
        assert {e["messageId"] for e in sink.events()} == set(accepted)
    finally:
        router.stop()
        subprocess.run(["umount", "-l", str(data)], check=False)


def test_the_control_port_keeps_strangers_out(router: Router) -> None:
    for headers, path in (
        ({"Host": "evil.example"}, "/v1/destinations"),
        ({"Origin": "http://evil.example"}, "/v1/reload"),
    ):
        request = Request(router.control + path, headers=headers,
                          method="POST" if "reload" in path else "GET")  # fmt: skip
        with pytest.raises(HTTPError, match="403"):
            urlopen(request, timeout=5)


def test_a_token_guards_the_api(tmp_path: Path) -> None:
    router = Router(tmp_path, '[control]\ntoken = "t0ken-of-the-api"\n').start()
    try:
        with pytest.raises(HTTPError, match="401"):
            router.get("/v1/destinations")
        with urlopen(router.control + "/health", timeout=5) as response:
            assert response.status == 200
        done = command(router, "dead-letters", "retry", "none", "--token", "t0ken-of-the-api")
        assert "0 handed back" in done.stdout, done.stderr
        assert "t0ken" not in router.log()
    finally:
        router.stop()


def test_secrets_stay_out_of_log_metrics_and_dead_letters(tmp_path: Path, sink: Sink) -> None:
    secret = "very-secret-value-123"
    router = Router(tmp_path)
    router.webhook("sink", sink.url, settings=f'sharedSecret = "{secret}"')
    sink.answer = lambda _: (400, f"bad signature for {secret}".encode())
    router.start()
    try:
        send(router, "m1")
        until(lambda: "m1" in command(router, "dead-letters", "list").stdout)
        shown = command(router, "dead-letters", "list", "--json").stdout
        assert "[secret]" in shown
        with urlopen(router.control + "/metrics", timeout=5) as response:
            metrics = response.read().decode()
        state = json.dumps(router.get("/v1/destinations"))
        for text in (shown, metrics, state, router.log()):
            assert secret not in text
            assert KEY not in text.replace(f"write key  {KEY}", "").replace(f"-u {KEY}:", "")
    finally:
        router.stop()


def test_commands_say_what_is_wrong(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "router", *arguments], capture_output=True,
                              text=True, cwd=tmp_path, timeout=30)  # fmt: skip

    assert run("version").stdout.startswith("event-router ")
    assert run("check", "none").returncode == 78
    assert run("nonsense").returncode == 2
    done = run("tap")
    assert done.returncode == 2
    assert "router serve" in done.stderr
    (tmp_path / "workspace/destinations").mkdir(parents=True)
    (tmp_path / "workspace/destinations/x.toml").write_text('destination = "webhok"\n')
    done = run("check")
    assert done.returncode == 78
    assert "destinations/x.toml" in done.stderr
    assert "did you mean `webhook`?" in done.stderr
    (tmp_path / "workspace/destinations/x.toml").write_text(
        'destination = "mixpanel"\nfilter = "lowercas(event) = 1"\n[settings]\nprojectTokn = "x"\n'
    )
    done = run("check")
    assert "did you mean `projectToken`?" in done.stderr
    assert "`settings.projectToken` is required (Mixpanel: Project settings" in done.stderr
