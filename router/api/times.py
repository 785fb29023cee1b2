"""Points in time and spans as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_SPAN = re.compile(r"(\d{1,9})(s|m|h|d|w)\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_FORMS = "a time such as 2026-01-31T12:00:00Z, or how long ago: 90s, 30m, 2h, 7d"


def parse_span(text: str) -> int:
    """Seconds of `90s`, `30m`, `2h`, `7d` or `1w`; of a bare number, as it is. Raises
    `ValueError`."""
    if match := _SPAN.match(text.strip()):
        return int(match[1]) * _SECONDS[match[2]]
    if text.strip().isdecimal() and len(text) < 10:
        return int(text)
    raise ValueError(f"{text!r} is not a span of time such as 90s, 30m, 2h or 7d")


def parse_time(text: str, now_ms: int) -> int:
    """Milliseconds since 1970 of `now`, a span ago (`2h`, `2h ago`), or ISO 8601; without a zone
    that means UTC. Raises `ValueError`."""
    plain = text.strip().removesuffix(" ago").strip()
    if plain == "now":
        return now_ms
    if match := _SPAN.match(plain):
        return now_ms - int(match[1]) * _SECONDS[match[2]] * 1000
    try:
        found = datetime.fromisoformat(plain)
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not {_FORMS}") from None
