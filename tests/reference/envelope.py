"""The tracking API's rules for a body, in plain Python over decoded JSON: what
`router._fast.envelope` must behave like, but for its limits on sizes and its stamps' randomness."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

KINDS = ("track", "identify", "page", "screen", "group", "alias")
CLIENTS = ("analytics.js", "analytics-ios", "analytics-android", "analytics-kotlin",
           "analytics-swift", "analytics-react-native", "@segment/analytics-react-native",
           "analytics_flutter", "analytics-flutter", "RudderLabs JavaScript SDK", "rudder-ios",
           "rudder-android", "com.rudderstack.android", "RudderStack")  # fmt: skip
STAMPED = ("messageId", "type", "timestamp", "sentAt", "originalTimestamp", "receivedAt",
           "projectId", "writeKey")  # fmt: skip
FRESH = "made up by the router"
_TIME = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})"
    r"(?:[Tt ](\d{1,2}):(\d{1,2})(?::(\d{1,2}))?(?:[.,](\d+))? ?"
    r"(?:[Zz]|([+-])(\d{1,2}):?(\d{1,2})?)?)?",
    re.ASCII,
)


class Number(NamedTuple):
    """A JSON number by its spelling."""

    text: str


class Outcome(NamedTuple):
    """`key` is the write key in the body; `rejections` are (index, code)."""

    key: str | None
    events: list[dict[str, Any]]
    duplicates: int
    rejections: list[tuple[int, str]]


def decode(text: str | bytes) -> Any:
    """JSON with numbers as `Number` and lone surrogates replaced. Raises `ValueError`."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    return _mend(json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_refuse))


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _mend(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    if isinstance(value, list):
        return [_mend(each) for each in value]
    if isinstance(value, dict):
        return {_mend(key): _mend(each) for key, each in value.items()}
    return value


def parse_time(text: str) -> int | None:
    """Milliseconds since 1970 of an ISO time or an epoch number, or None."""
    if re.fullmatch(r"-?\d{1,15}(\.\d*)?", text, re.ASCII) is not None:
        negative, text = text.startswith("-"), text.lstrip("-")
        whole, _, fraction = text.partition(".")
        ms = int(whole)
        if ms < 100_000_000_000:
            ms = ms * 1000 + int((fraction + "000")[:3])
        return -ms if negative else ms
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[i] or 0) for i in range(1, 7))
    milli = int(((found[7] or "") + "000")[:3])
    east = timedelta(hours=int(found[9] or 0), minutes=int(found[10] or 0))
    if int(found[9] or 0) > 23 or int(found[10] or 0) > 59 or second > 60:
        return None
    if hour > 24 or (hour == 24 and (minute or second)):
        return None
    try:
        # Year 0, midnight's 24 and leap seconds are no datetimes: reckoned from one that is.
        moment = datetime(year or 400, month, day, hour % 24, minute, tzinfo=UTC)
    except ValueError:
        return None
    ms = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    ms += (hour // 24) * 86_400_000 + second * 1000 + milli
    if year == 0:
        ms -= 146_097 * 86_400_000
    return ms - (-1 if found[8] == "-" else 1) * (east // timedelta(milliseconds=1))


def format_time(ms: int) -> str:
    """The years 0000 to 9999; what lies outside is brought inside."""
    ms = min(max(ms, -62_167_219_200_000), 253_402_300_799_999)
    # datetime begins with the year 1; the year 400 has the same days as the year 0.
    shift = 146_097 * 86_400_000 if ms < -62_135_596_800_000 else 0
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms + shift)
    year = 0 if shift else moment.year
    return f"{year:04}-{moment:%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def accept(
    body: bytes, batch: bool, received_ms: int, seen: set[str], kind: int = -1, ip: str = "",
    client: int = -1, depth: int = 100, message_id_chars: int = 100,
) -> Outcome:  # fmt: skip
    """What becomes of `body`. Raises `ValueError` where it is no request as a whole."""
    request = decode(body)
    if not isinstance(request, dict):
        raise ValueError("no object")
    items, shared = ([request], {}) if not batch else (request.get("batch"), request)
    if not isinstance(items, list):
        raise ValueError("no list")
    first = items[0].get("writeKey") if items and isinstance(items[0], dict) else None
    key = next((k for k in (shared.get("writeKey"), first) if isinstance(k, str) and k), None)
    events: list[dict[str, Any]] = []
    rejections: list[tuple[int, str]] = []
    duplicates = 0
    for index, item in enumerate(items):
        actual = kind
        if kind < 0 and isinstance(item, dict) and item.get("type") in KINDS:
            actual = KINDS.index(item["type"])
        code = _judge(item, actual, shared, depth, message_id_chars)
        if code:
            rejections.append((index, code))
            continue
        message_id = _id(item.get("messageId")) or FRESH
        if message_id in seen:
            duplicates += 1
            continue
        if message_id != FRESH:
            seen.add(message_id)
        events.append(_stored(item, KINDS[actual], message_id, shared, received_ms, ip, client))
    return Outcome(key, events, duplicates, rejections)


def _id(value: Any) -> str | None:
    """An id as text; None where the value is none."""
    if isinstance(value, Number):
        return value.text
    return value if isinstance(value, str) and value else None


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if type(value) is list else 0


def _infinite(value: Any) -> bool:
    if isinstance(value, Number):
        return float(value.text) in (float("inf"), float("-inf"))
    if isinstance(value, dict):
        return any(map(_infinite, value.values()))
    return isinstance(value, list) and any(map(_infinite, value))


def _parts(shared: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a batch merges into each of its events."""
    named = {name: shared.get(name) for name in ("context", "integrations")}
    return {name: value for name, value in named.items() if isinstance(value, dict)}


def _judge(item: Any, kind: int, shared: dict[str, Any], depth: int, chars: int) -> str:
    if not isinstance(item, dict):
        return "invalid_event"
    if _depth(item) > depth or _depth(_parts(shared)) > depth:
        return "too_deep"
    if _infinite(item) or _infinite(_parts(shared)):
        return "invalid_number"
    if kind < 0:
        return "unknown_type"
    ids = [item.get("userId"), item.get("anonymousId")]
    if not any(map(_id, ids)):
        return "no_user_anon_id" if all(i in (None, "") for i in ids) else "invalid_id"
    event = item.get("event")
    if KINDS[kind] == "track" and not (isinstance(event, str) and event):
        return "no_event"
    if KINDS[kind] == "group" and not _id(item.get("groupId")):
        return "no_group_id"
    if KINDS[kind] == "alias" and not _id(item.get("previousId")):
        return "no_previous_id"
    return "message_id_too_long" if len(_id(item.get("messageId")) or "") > chars else ""


def _stored(
    item: dict[str, Any], kind: str, message_id: str, shared: dict[str, Any], now: int, ip: str,
    client: int,
) -> dict[str, Any]:  # fmt: skip
    kept = {name: value for name, value in item.items() if name not in STAMPED}
    for name in ("userId", "anonymousId", "groupId", "previousId"):
        if isinstance(kept.get(name), Number):
            kept[name] = kept[name].text
    parts = _parts(shared)
    for name in ("context", "integrations"):
        extra = dict(parts.get(name, {}))
        if name == "context" and ip and _is_client(item.get(name), extra, client):
            extra = {"ip": ip, **extra}
        own = item.get(name)
        if (own is None and extra) or isinstance(own, dict):
            kept[name] = {**extra, **(own or {})}
    return {**kept, **_times(item, shared, now), "messageId": message_id, "type": kind,
            "receivedAt": format_time(now)}  # fmt: skip


def _is_client(own: Any, shared: dict[str, Any], client: int) -> bool:
    merged = {**shared, **(own if isinstance(own, dict) else {})}
    if merged.get("direct") is True:
        return True
    if client >= 0:
        return client == 1
    library = merged.get("library")
    name = library.get("name") if isinstance(library, dict) else None
    return isinstance(name, str) and name.startswith(CLIENTS)


def _times(item: dict[str, Any], shared: dict[str, Any], now: int) -> dict[str, Any]:
    original = item.get("originalTimestamp")
    if original is None:
        original = item.get("timestamp")
    sent_at = item.get("sentAt")
    outer = shared.get("sentAt")
    if sent_at is None and _id(outer) and not _infinite(outer):
        sent_at = outer
    happened, sent = (parse_time(_id(value) or "") for value in (original, sent_at))
    stamp = now if happened is None else happened if sent is None else now - (sent - happened)
    times: dict[str, Any] = {"timestamp": format_time(stamp)}
    if original is not None:
        times["originalTimestamp"] = original
    if sent_at is not None:
        times["sentAt"] = sent_at
    return times
