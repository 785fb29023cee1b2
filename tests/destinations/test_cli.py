"""`router destinations`: what can be connected, and what it would be sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from router.cli import cli

TRACK = {
    "type": "track", "event": "Played", "messageId": "m1", "userId": "u1",
    "timestamp": "2026-01-02T03:04:05Z", "properties": {"n": 1},
}  # fmt: skip


def run(*arguments: str, given: str = "", code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["destinations", *arguments], input=given)
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def transform(
    tmp_path: Path, slug: str, settings: Any, *events: Any, more: list[str] | None = None
) -> Any:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(settings))
    given = "".join(
        f"{json.dumps(event) if isinstance(event, dict) else event}\n" for event in events
    )
    return lines(run("transform", slug, "--settings", str(file), *(more or []), given=given))


def test_a_line_an_event(tmp_path: Path) -> None:
    first, second, third = transform(
        tmp_path, "moengage", {"api_id": "app", "api_key": "key-1"}, TRACK,
        {**TRACK, "event": None, "messageId": "m2"}, {**TRACK, "type": "page", "messageId": "m3"},
    )  # fmt: skip
    assert first["messageId"] == "m1"
    assert first["error"] is None
    [request] = first["requests"]
    assert set(request) == {"method", "url", "headers", "body"}
    assert request["body"]["event"] == "Played"
    assert request["headers"]["Authorization"] == "Basic [secret]"
    assert (second["requests"], second["error"]) == (
        [], "event is required by moengage's action trackEvent"
    )  # fmt: skip
    assert (third["requests"], third["error"]) == ([], "not sent: no action takes it")


@pytest.mark.parametrize(
    "line", ["nope", "[]", '"x"', "1e400", '{"a": ' * 2000, '{"type": 5}', "{}"]
)
def test_what_is_no_event_is_told(tmp_path: Path, line: str) -> None:
    [found] = transform(tmp_path, "webhook", {"url": "https://a.b/"}, line)
    assert found["error"] or found["requests"]


def test_secrets_are_hidden_unless_asked_for(tmp_path: Path) -> None:
    settings = {"projectToken": "token/1"}
    identify = {**TRACK, "type": "identify", "traits": {"said": "my token/1"}}
    hidden = json.dumps(transform(tmp_path, "mixpanel", settings, identify))
    assert "token/1" not in hidden
    assert "[secret]" in hidden
    [shown] = transform(tmp_path, "mixpanel", settings, identify, more=["--show-secrets"])
    assert shown["requests"][0]["body"][0]["$token"] == "token/1"


def test_mappings_of_segment_are_all_that_runs(tmp_path: Path) -> None:
    mappings = tmp_path / "mappings.json"
    mappings.write_text(json.dumps([{
        "name": "Plays", "partnerAction": "trackEvent", "subscribe": 'event = "Played"',
        "mapping": {"event": {"@template": "My {{event}}"}, "distinct_id": "fixed", "batch_size": 5},
    }]))  # fmt: skip
    played, other = transform(
        tmp_path, "mixpanel", {"projectToken": "tk"}, TRACK, {**TRACK, "event": "Paused"},
        more=["--mappings", str(mappings)],
    )  # fmt: skip
    [event] = played["requests"][0]["body"]
    assert (event["event"], event["properties"]["distinct_id"]) == ("My Played", "fixed")
    assert other["requests"] == []


def test_now_and_a_whole_destinations_file(tmp_path: Path) -> None:
    file = tmp_path / "sink.toml"
    file.write_text("""
destination = "mixpanel"

[settings]
projectToken = "tk"

[mappings.trackEvent]
fields = { time = "null" }
""")
    text = run(
        "transform", "mixpanel", "--settings", str(file), "--now", "2026-01-02T03:04:05Z",
        given=json.dumps(TRACK),
    )  # fmt: skip
    assert lines(text)[0]["requests"][0]["body"][0]["properties"]["time"] == 1767323045000
    run("transform", "mixpanel", "--settings", str(file), "--now", "noon", code=2)


def test_look_ups_are_answered_with_nothing(tmp_path: Path) -> None:
    identify = {**TRACK, "type": "identify", "traits": {}}
    [found] = transform(tmp_path, "intercom", {"accessToken": "token"}, identify)
    assert [request["url"] for request in found["requests"]] == [
        "https://api.intercom.io/contacts/search", "https://api.intercom.io/contacts",
    ]  # fmt: skip


def test_wrong_settings_are_told_with_their_help(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text("{}")
    result = CliRunner().invoke(
        cli, ["destinations", "transform", "mixpanel", "--settings", str(file)]
    )
    assert "`settings.projectToken` is required (Mixpanel: Project settings" in str(
        result.exception
    )


def test_list_show_and_test(tmp_path: Path) -> None:
    text = run("list")
    assert "mixpanel" in text
    assert "destinations, " in text.splitlines()[-1]
    assert [entry["slug"] for entry in lines(run("list", "clevertap", "--json"))] == ["clevertap"]
    assert "settings.projectToken" in run("show", "mixpanel")
    assert json.loads(run("show", "webhook", "--json"))["name"] == "Webhook"
    assert run("test", "webhook").strip().endswith("examples, 0 failed")


def test_a_workspaces_own_destination_is_tested(tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    folder.mkdir()
    (folder / "acme.toml").write_text("""
name = "Acme"
url = "'https://acme.example'"

[actions.track]
when = 'type = "track"'
row = { e = "event" }

[[tests]]
does = "a track"
events = '[{"type": "track", "event": "E", "messageId": "m"}]'
sends = '[{"url": "https://acme.example", "body": {"e": "F"}}]'
""")
    text = run("test", "acme", "--workspace", str(tmp_path), code=1)
    assert "1 examples, 1 failed" in text
    assert "acme" in run("list", "--workspace", str(tmp_path))
