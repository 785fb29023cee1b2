"""`overview`, `trace`, `replay` and `dead-letters` against a running router."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.e2e.harness import KEY, Router, Sink


class Site:
    """A router with a destination for each fate that an event can have."""

    def __init__(self, folder: Path) -> None:
        self.good, self.bad = Sink(), Sink()
        self.bad.answer = lambda _: (400, b'{"error":"no such token"}')
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            nobody = closed.getsockname()[1]
        self.router = router = Router(folder)
        router.webhook("good", self.good.url)
        router.webhook("bad", self.bad.url)
        router.webhook("down", f"http://127.0.0.1:{nobody}/")
        router.webhook("off", self.good.url, more="enabled = false")
        router.webhook("choosy", self.good.url, more="filter = \"event = 'None'\"")
        router.webhook("elsewhere", self.good.url, more='sources = ["app"]')
        router.write("sources/app.toml", 'name = "App"\nwrite_key = "wk-app"\n')
        router.start()

    def close(self) -> None:
        self.router.stop()
        self.good.close()
        self.bad.close()

    def send(self, *ids: str, **more: Any) -> int:
        batch = [{"type": "track", "event": "E", "userId": "u", "messageId": id_} | more
                 for id_ in ids]  # fmt: skip
        body = json.dumps({"batch": batch, "writeKey": KEY}).encode()
        try:
            with urlopen(Request(f"{self.router.edge}/v1/batch", body), timeout=10) as response:
                return int(response.status)
        except HTTPError as error:
            return error.code

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "router", *arguments, "--data", str(self.router.data)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def states(self, id_: str) -> dict[str, str]:
        [event] = self.json("trace", id_)["events"]
        return {each["destination"]: each["state"] for each in event["destinations"]}

    def got(self) -> list[str]:
        return [event["messageId"] for event in self.good.events()]


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    one = Site(tmp_path_factory.mktemp("site"))
    assert one.send(*(f"m{i}" for i in range(20)), properties={"n": 1}) == 200
    until(lambda: len(one.good.events()) == 20)
    until(lambda: "bad: 20" in one.run("dead-letters", "list").stdout)
    yield one
    one.close()


def test_a_trace_tells_each_destination(site: Site) -> None:
    until(lambda: site.states("m3")["down"] == "retrying")
    assert site.states("m3") == {
        "good": "delivered", "bad": "dead", "down": "retrying", "off": "waiting",
        "choosy": "filtered", "elsewhere": "filtered",
    }  # fmt: skip
    shown = site.run("trace", "m3").stdout
    assert "in the log at offset 3" in shown
    assert "delivered at 20" in shown
    assert "dead after 1 attempts" in shown
    assert "no such token" in shown
    assert "waits for another try at 20" in shown
    assert "waits behind 3 events for the destination to be enabled" in shown
    assert "its `filter` is not true" in shown
    assert "its `sources` leave out this one" in shown
    assert "sent again by source web it is dropped as a duplicate" in shown


def test_a_trace_of_a_refused_event(site: Site) -> None:
    site.send("refused-1", type="nonsense")
    done = site.run("trace", "refused-1")
    assert done.returncode == 0
    assert "refused by the edge" in done.stdout
    assert "unknown_type" in done.stdout
    assert "not in the log" in done.stdout


@pytest.mark.parametrize("id_", ["none", "a/b", "ü", "%", "..", 'a"b', "x" * 5000])
def test_a_trace_of_nothing(site: Site, id_: str) -> None:
    done = site.run("trace", id_)
    assert done.returncode == 1, done.stderr
    assert "not in the log" in done.stdout


def test_the_overview_counts_every_fate(site: Site) -> None:
    rows = {row["destination"]: row for row in site.json("overview")["summary"]}
    assert rows["good"]["deliveredAtOnce"] >= 20
    assert rows["good"]["shares"] == {"atOnce": 1, "afterRetry": 0, "dead": 0}
    assert rows["good"]["latency"]["p50"] < 10
    assert sum(rows["bad"]["dead"].values()) >= 20
    assert rows["choosy"]["filtered"] == {"filter": 20}
    assert rows["elsewhere"]["filtered"] == {"source": 20}
    assert sum(rows["down"]["retried"].values()) >= 1
    assert rows["down"]["lastError"]["text"]
    shown = site.run("overview").stdout
    line = next(line for line in shown.splitlines() if line.startswith("good"))
    assert "(100.0%)" in line
    one = site.run("overview", "bad", "--step", "1m", "--last", "2h").stdout
    assert "dead: 20 400" in one
    assert "last error" in one
    assert site.run("overview", "none").stdout == "nothing happened in the last 1h\n"
    assert "is not" in site.run("overview", "--last", "yesterday").stderr


def test_a_replay_is_for_one_destination(site: Site) -> None:
    before, dead = len(site.got()), len(letters(site))
    job = site.json("replay", "--destination", "good", "--from", "5", "--to", "10")
    assert (job["state"], job["matched"], job["read"], job["share"]) == ("done", 5, 5, 1.0)
    until(lambda: len(site.got()) == before + 5)
    assert sorted(site.got()[before:]) == sorted(f"m{i}" for i in range(5, 10))
    assert len(letters(site)) == dead
    done = site.run(
        "replay", "--destination", "good", "--from", "1h", "--filter", "properties.n = 2"
    )
    assert done.returncode == 0, done.stderr
    assert "done 100%  0 of" in done.stdout
    assert "not asked for" in done.stdout


def test_a_dry_run_sends_nothing(site: Site) -> None:
    before = len(site.got())
    done = site.run("replay", "--destination", "good", "--from", "0", "--to", "20", "--dry-run")
    assert "20 of 20 events would be sent" in done.stdout
    assert '"messageId":"m0"' in done.stdout
    assert done.stdout.count('"messageId"') == 5
    time.sleep(1)
    assert len(site.got()) == before


def test_replays_are_listed_and_ended(site: Site) -> None:
    id_ = site.json("replay", "--destination", "good", "--from", "0", "--to", "1")["id"]
    assert id_ in site.run("replay", "--list").stdout
    assert "ended" in site.run("replay", "--cancel", id_).stdout
    assert id_ not in site.run("replay", "--list").stdout
    done = site.run("replay", "--cancel", id_)
    assert (done.returncode, "there is no such job" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--from", "0"], 2, "--destination and --from are needed"),
        (["--destination", "none", "--from", "0"], 1, "no enabled destination 'none'"),
        (["--destination", "off", "--from", "0"], 1, "no enabled destination 'off'"),
        (["--destination", "good", "--from", "yesterday"], 1, "is not a time such as"),
        (["--destination", "good", "--from", "999999"], 1, "the log has the offsets from 0"),
        (["--destination", "good", "--from", "9" * 30], 1, "is no offset"),
        (["--destination", "good", "--from", "2099-01-01"], 1, "no events in that range"),
        (["--destination", "good", "--from", "0", "--filter", "event ="], 1, "column"),
    ],
)
def test_a_replay_that_cannot_be_done_is_said(
    site: Site, arguments: list[str], code: int, message: str
) -> None:
    done = site.run("replay", *arguments)
    assert done.returncode == code
    assert message in done.stderr


def letters(site: Site, *arguments: str) -> list[dict[str, Any]]:
    done = site.run("dead-letters", "list", *arguments, "--json", "--limit", "1000")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_dead_letters_are_chosen(site: Site) -> None:
    assert {letter["destination"] for letter in letters(site)} == {"bad"}
    assert len(letters(site, "bad")) == len(letters(site, "--destination", "bad")) >= 20
    assert len(letters(site, "--reason", "SUCH TOKEN", "--since", "1h")) >= 20
    assert letters(site, "--reason", "other") == []
    assert letters(site, "--since", "2099-01-01") == []
    assert len(site.run("dead-letters", "list", "--limit", "2").stdout.splitlines()) == 3
    assert site.run("dead-letters", "list", "bad", "--destination", "good").returncode == 2
    done = site.run("dead-letters", "list", "--since", "yesterday")
    assert (done.returncode, "is not a time such as" in done.stderr) == (2, True)


def test_a_dead_letter_is_shown_whole(site: Site) -> None:
    told = json.loads(site.run("dead-letters", "show", "bad", "4-0").stdout)
    assert told["event"]["messageId"] == told["messageId"] == "m4"
    assert "no such token" in told["reason"]
    assert told["status"] == 400
    assert "no such token" in told["answer"]
    assert told["time"].startswith("20")
    assert site.json("dead-letters", "show", "bad", "4-0")["id"] == "4-0"
    done = site.run("dead-letters", "show", "bad", "4-9")
    assert (done.returncode, "has no dead letter 4-9" in done.stderr) == (1, True)


def test_dead_letters_are_exported(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    done = site.run("dead-letters", "export", "bad", "--output", str(path))
    assert done.returncode == 0, done.stderr
    exported = [json.loads(line) for line in path.read_text().splitlines()]
    assert {letter["messageId"] for letter in exported} >= {f"m{i}" for i in range(20)}
    assert exported[0]["event"]["properties"] == {"n": 1}
    done = site.run("dead-letters", "export", "--limit", "3", "--reason", "token")
    assert (len(done.stdout.splitlines()), done.stderr) == (3, "3 written\n")


def test_chosen_dead_letters_are_sent_again(site: Site) -> None:
    before = len(letters(site))
    done = site.run("dead-letters", "retry", "bad", "--reason", "other")
    assert "0 handed back" in done.stdout
    site.bad.answer = lambda _: (200, b"{}")
    try:
        done = site.run("dead-letters", "retry", "bad", "--reason", "token", "--limit", "3")
        assert "3 handed back" in done.stdout, done.stderr
        until(lambda: len(site.bad.events()) == 3)
        assert len(letters(site)) == before - 3
        done = site.run("dead-letters", "retry", "bad", "19-0", "18-0")
        assert "2 handed back" in done.stdout, done.stderr
        until(lambda: len(site.bad.events()) == 5)
        row = site.json("overview", "bad")["summary"][0]
        assert row["deliveredAfterRetry"] == 5
        assert site.states("m19")["bad"] == "delivered"
    finally:
        site.bad.answer = lambda _: (400, b'{"error":"no such token"}')
