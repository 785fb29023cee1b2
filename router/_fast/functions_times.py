"""Functions of times. A time is an ISO 8601 text or a number since 1970; all are in UTC, but where a
zone of the IANA's database is named.

A number counts seconds where it is below 10^11 (the year 5138), else milliseconds. Times are of the
years 1 to 9999; what is out of them gives null.
"""

from __future__ import annotations

import math
import re
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache, partial
from typing import Any
from zoneinfo import ZoneInfo

from router._fast.envelope import format_time, parse_time
from router._fast.function_table import function, is_finite, is_number

time_function = partial(function, group="Times")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999
_MILLISECONDS = {"millisecond": 1, "second": 1000, "minute": 60_000, "hour": 3_600_000,
                 "day": 86_400_000, "week": 604_800_000}  # fmt: skip
_SHORT = {"ms": "millisecond", "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}


def milliseconds(value: Any) -> int | None:
    """Since 1970."""
    found = None
    if is_number(value):
        if is_finite(value):
            found = math.floor(value * 1000 if abs(value) < 1e11 else value)
    elif isinstance(value, str):
        found = parse_time(value.encode("utf-8", "replace"))
    return found if found is not None and _FIRST <= found <= _LAST else None


def _datetime(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


@lru_cache(1000)
def _zone(name: str) -> tzinfo | None:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not in the database; no name, but a path
        return None


def _zone_of(name: Any) -> tzinfo | None:
    """Of one that is no text, or no zone's name, None."""
    return _zone(name) if isinstance(name, str) and len(name) < 100 else None


def _literal_zone(place: int, call: Callable[..., Any]) -> Callable[[list[Any]], Any]:
    """Prepares calls whose zone, the argument at `place`, is a literal: it is looked up then."""

    def prepare(literals: list[Any]) -> Callable[..., Any] | None:
        name = literals[place] if len(literals) > place else "UTC"
        if name is None:
            return None
        zone = _zone_of(name)
        if zone is None:
            raise ValueError("there is no time zone of this name")
        return lambda *arguments: call(*arguments[:place], zone)

    return prepare


def _local(ms: int, zone: tzinfo) -> datetime | None:
    try:
        moment = _datetime(ms)
        return moment if zone is UTC else moment.astimezone(zone)
    except OverflowError:  # before the year 1 or after 9999, there
        return None


def _unit(name: Any) -> str:
    if not isinstance(name, str):
        return ""
    return _SHORT.get(name, name.removesuffix("s"))


@time_function(
    "epoch_ms(time)",
    "Milliseconds since 1970.",
    'epoch_ms("2026-01-02T03:04:05.678Z")',
    1767323045678,
)
def epoch_ms(value: Any) -> Any:
    return milliseconds(value)


@time_function(
    "epoch_s(time)", "Whole seconds since 1970.", 'epoch_s("2026-01-02T03:04:05.678Z")', 1767323045
)
def epoch_s(value: Any) -> Any:
    found = milliseconds(value)
    return None if found is None else found // 1000


@time_function(
    "iso(time)",
    "In UTC with milliseconds.",
    'iso("2026-01-02T05:04:05+02:00")',
    "2026-01-02T03:04:05.000Z",
)
def iso(value: Any) -> Any:
    found = milliseconds(value)
    return None if found is None else format_time(found)


_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
           "October", "November", "December")  # fmt: skip
_DIRECTIVES: dict[str, Callable[[datetime], str]] = {
    "Y": lambda t: f"{t.year:04}",
    "y": lambda t: f"{t.year % 100:02}",
    "m": lambda t: f"{t.month:02}",
    "d": lambda t: f"{t.day:02}",
    "H": lambda t: f"{t.hour:02}",
    "I": lambda t: f"{(t.hour + 11) % 12 + 1:02}",
    "M": lambda t: f"{t.minute:02}",
    "S": lambda t: f"{t.second:02}",
    "f": lambda t: f"{t.microsecond:06}",
    "L": lambda t: f"{t.microsecond // 1000:03}",
    "p": lambda t: "AM" if t.hour < 12 else "PM",
    "j": lambda t: f"{t.timetuple().tm_yday:03}",
    "u": lambda t: str(t.isoweekday()),
    "V": lambda t: f"{t.isocalendar().week:02}",
    "G": lambda t: f"{t.isocalendar().year:04}",
    "A": lambda t: _DAYS[t.weekday()],
    "a": lambda t: _DAYS[t.weekday()][:3],
    "B": lambda t: _MONTHS[t.month - 1],
    "b": lambda t: _MONTHS[t.month - 1][:3],
    "F": lambda t: f"{t.year:04}-{t.month:02}-{t.day:02}",
    "T": lambda t: f"{t.hour:02}:{t.minute:02}:{t.second:02}",
    "z": lambda t: t.strftime("%z"),
    "Z": lambda t: t.tzname() or "",
    "%": lambda t: "%",
}


def _format_parts(format_: str) -> list[str | Callable[[datetime], str]]:
    """Text as it is, and what directives stand for."""
    return [_DIRECTIVES.get(part[1:], part) if part[0] == "%" else part
            for part in re.findall("%.|[^%]+|%", format_, flags=re.DOTALL)]  # fmt: skip


_kept_parts = lru_cache(1000)(_format_parts)


def _formatted(value: Any, format_: Any, zone: tzinfo) -> Any:
    found = milliseconds(value)
    moment = None if found is None else _local(found, zone)
    if moment is None or not isinstance(format_, str):
        return None
    # What an event makes long is not kept.
    parts = _kept_parts(format_) if len(format_) < 100 else _format_parts(format_)
    return "".join([part if isinstance(part, str) else part(moment) for part in parts])


@time_function(
    "date_format(time, format, zone)",
    "By strftime's directives " + ", ".join(f"`%{key}`" for key in _DIRECTIVES if key != "%")
    + " and `%%`; names are English, `%L` is milliseconds. In UTC, or a zone such as "
    "`Europe/Berlin`; null where there is none of that name.",
    'date_format("2026-01-02T03:04:05Z", "%d %b %Y, %H:%M %z", "Asia/Tokyo")',
    "02 Jan 2026, 12:04 +0900",
    names=("format_date",),
    least=2,
    prepare=_literal_zone(2, _formatted),
)  # fmt: skip
def date_format(value: Any, format_: Any, zone: Any = "UTC") -> Any:
    found = _zone_of(zone)
    return None if found is None else _formatted(value, format_, found)


def _parsed(text: Any, format_: Any, zone: tzinfo) -> Any:
    if not isinstance(text, str) or not isinstance(format_, str) or len(text) + len(format_) > 200:
        return None
    try:
        found = datetime.strptime(text, format_)
    except (ValueError, OverflowError, re.error):
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=zone)
    ms = (found - _EPOCH) // timedelta(milliseconds=1)
    return format_time(ms) if _FIRST <= ms <= _LAST else None


@time_function(
    "date_parse(text, format, zone)",
    "The ISO time that a text tells by Python's strptime directives. Where it names no offset it is "
    "of the zone, or UTC; null where it does not fit.",
    'date_parse("02/01/2026 03:04", "%d/%m/%Y %H:%M", "America/New_York")',
    "2026-01-02T08:04:00.000Z",
    names=("parse_date",),
    least=2,
    prepare=_literal_zone(2, _parsed),
)
def date_parse(text: Any, format_: Any, zone: Any = "UTC") -> Any:
    found = _zone_of(zone)
    return None if found is None else _parsed(text, format_, found)


@time_function(
    "date_add(time, amount, unit)",
    "An ISO time so many units later: `milliseconds` (`ms`), `seconds` (`s`), `minutes` (`m`), "
    "`hours` (`h`), `days` (`d`), `weeks` (`w`), `months` or `years`. A day that a month lacks "
    "becomes its last.",
    'date_add("2026-01-31T00:00:00Z", 1, "month")',
    "2026-02-28T00:00:00.000Z",
)
def date_add(value: Any, amount: Any, unit: Any) -> Any:
    found, name = milliseconds(value), _unit(unit)
    if found is None or not is_number(amount) or not abs(amount) < 1e15:
        return None
    if name in ("month", "year"):
        return _months_later(_datetime(found), int(amount) * (12 if name == "year" else 1))
    if name not in _MILLISECONDS:
        return None
    ms = found + int(amount * _MILLISECONDS[name])
    return format_time(ms) if _FIRST <= ms <= _LAST else None


def _months_later(moment: datetime, months: int) -> str | None:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        return None
    day = min(moment.day, monthrange(year, month + 1)[1])
    moved = moment.replace(year=year, month=month + 1, day=day)
    return format_time((moved - _EPOCH) // timedelta(milliseconds=1))


@time_function(
    "date_diff(from, to, unit)",
    "How many units `to` is after `from`, with a fraction: of `milliseconds` to `weeks`.",
    'date_diff("2026-01-01T00:00:00Z", "2026-01-02T12:00:00Z", "days")',
    1.5,
)
def date_diff(start: Any, end: Any, unit: Any) -> Any:
    first, last, size = milliseconds(start), milliseconds(end), _MILLISECONDS.get(_unit(unit))
    if first is None or last is None or size is None:
        return None
    whole, rest = divmod(last - first, size)
    return (last - first) / size if rest else whole


_HOUR = {"minute": 0, "second": 0, "microsecond": 0}
_DAY = {**_HOUR, "hour": 0, "fold": 0}
_STARTS: dict[str, dict[str, Any]] = {
    "second": {"microsecond": 0},
    "minute": {"second": 0, "microsecond": 0},
    "hour": _HOUR,
    "day": _DAY,
    "week": _DAY,
    "month": {**_DAY, "day": 1},
    "year": {**_DAY, "day": 1, "month": 1},
}
"""What of a local time is set back at the start of a unit."""


def _started(value: Any, unit: Any, zone: tzinfo) -> Any:
    found, name = milliseconds(value), _unit(unit)
    if found is None or (name not in _STARTS and name != "millisecond"):
        return None
    if name == "millisecond":
        return format_time(found)
    moment = _local(found, zone)
    if moment is None:
        return None
    first = moment.replace(**_STARTS[name])
    try:
        if name == "week":
            first -= timedelta(days=first.weekday())
        ms = (first - _EPOCH) // timedelta(milliseconds=1)
    except OverflowError:
        return None
    return format_time(ms) if ms >= _FIRST else None


@time_function(
    "start_of(time, unit, zone)",
    "The ISO time at which its `second`, `minute`, `hour`, `day`, `week` (from Monday), `month` or "
    "`year` began, in UTC or in a zone.",
    'start_of("2026-01-02T03:04:05.678Z", "day", "America/New_York")',
    "2026-01-01T05:00:00.000Z",
    least=2,
    prepare=_literal_zone(2, _started),
)
def start_of(value: Any, unit: Any, zone: Any = "UTC") -> Any:
    found = _zone_of(zone)
    return None if found is None else _started(value, unit, found)


@time_function(
    "timezone_offset(zone, time)",
    "How many seconds a zone of the IANA's database is ahead of UTC, at a time; null where there is no "
    "such zone.",
    'timezone_offset("Asia/Kolkata", "2026-01-02T00:00:00Z")',
    19800,
)
def timezone_offset(name: Any, at: Any) -> Any:
    zone, ms = _zone_of(name), milliseconds(at)
    if zone is None or ms is None:
        return None
    offset = _datetime(ms).astimezone(zone).utcoffset()
    return None if offset is None else int(offset.total_seconds())
