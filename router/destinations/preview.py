"""What an instance would send for an event, as plain data without secrets, and mappings from a file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import orjson

from router.destinations.compiled import Compiled, NotApplicable
from router.destinations.examples import exchange, show
from router.destinations.outcome import Outcome
from router.errors import ConfigError
from router.event import Event, restore_event
from router.workspace.models import Mapping

_HIDDEN = "[secret]"


class Line(msgspec.Struct):
    """One event's requests, or why there are none."""

    messageId: Any
    requests: list[dict[str, Any]]
    error: str | None = None


async def preview(
    compiled: Compiled, raw: bytes, now_ms: int, *, secrets: bool = False, number: int = 0
) -> Line:
    """The requests for one event's JSON. What cannot be sent is told in `error`."""
    try:
        event = _event(raw, number)
    except (ValueError, TypeError) as wrong:
        return Line(None, [], f"no event: {wrong}")
    id_ = event.data.get("messageId")
    try:
        requests, error = await _requests(compiled, event, now_ms)
    except NotApplicable as lacking:
        return Line(id_, [], str(lacking))
    if not secrets:
        requests = [redacted(each, compiled) for each in requests]
    return Line(id_, requests, error)


def _event(raw: bytes, number: int) -> Event:
    value = orjson.loads(raw)
    if not isinstance(value, dict):
        raise ValueError("it has to be a JSON object")
    return restore_event(orjson.dumps(value), number, "preview", 0)


async def _requests(
    compiled: Compiled, event: Event, now_ms: int
) -> tuple[list[dict[str, Any]], str | None]:
    passed = compiled.not_applicable.copy()
    reason = compiled.map(event)
    if isinstance(reason, str):
        return [], f"not sent: {reason}"
    sent = await exchange(compiled, [event], now_ms)
    failed = [
        verdict.reason
        for reply in sent.replies
        for verdict in reply.verdicts
        if verdict.outcome is not Outcome.delivered
    ]
    lacking = [f"{field} is required by {name}" for name, field in
               compiled.not_applicable - passed]  # fmt: skip
    error = "; ".join([*failed, *([] if sent.requests else lacking)]) or None
    if not reason and not error:
        error = "not sent: no action takes it"
    return [show(each) for each in sent.requests], error


def redacted(value: Any, compiled: Compiled) -> Any:
    """A shown request without secrets: credentials in headers go whole."""
    if isinstance(value, dict):
        return {
            key: _scheme(inner)
            if str(key).lower() == "authorization"
            else redacted(inner, compiled)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [redacted(inner, compiled) for inner in value]
    if not isinstance(value, str):
        return value
    for secret in compiled.secrets:
        value = value.replace(secret, _HIDDEN).replace(quote(secret, safe=""), _HIDDEN)
    return value


def _scheme(value: Any) -> str:
    word = str(value).split(" ", 1)[0]
    return f"{word} {_HIDDEN}" if word in ("Basic", "Bearer", "AWS4-HMAC-SHA256") else _HIDDEN


def read_table(path: Path) -> Any:
    """A JSON or TOML file. Raises `ConfigError`."""
    try:
        text = path.read_text()
        return tomllib.loads(text) if path.suffix == ".toml" else orjson.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, orjson.JSONDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(path)) from None


def mappings_of(value: Any) -> tuple[dict[str, Mapping], bool]:
    """An instance's `mappings`, and whether the presets run besides. `value` is such a table, or a
    list of subscriptions as Segment exports them, which then are all that runs. Raises
    `ConfigError`."""
    try:
        if not isinstance(value, list):
            table = value.get("mappings", value) if isinstance(value, dict) else value
            presets = value.get("presets", True) if isinstance(value, dict) else True
            if isinstance(table, dict):
                table = {key: each for key, each in table.items() if key != "presets"}
            return msgspec.convert(table, dict[str, Mapping]), presets is not False
        found: dict[str, Mapping] = {}
        for number, one in enumerate(value):
            action = one.get("partnerAction") or one.get("action") or ""
            found[f"{action} #{number + 1}"] = Mapping(
                action=action,
                enabled=one.get("enabled", True) is not False,
                subscribe=one.get("subscribe", ""),
                mapping=one.get("mapping") or {},
            )
        return found, False
    except (msgspec.ValidationError, AttributeError, TypeError) as error:
        raise ConfigError(f"these are no mappings: {error}") from None
