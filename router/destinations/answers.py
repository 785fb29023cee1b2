"""What a vendor's answer means: a file's own rules, then the usual table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import orjson

from router._fast.expr import compile_tree
from router._fast.functions import text_of
from router.destinations.outcome import Outcome, Reply, Verdict
from router.destinations.request import Row
from router.destinations.spec import Rule
from router.destinations.trees import parse_at

_REASON_CHARS = 300
_RETRY = frozenset({408, 409, 423, 425})
_MAX_WAIT = 3600.0
_EPOCH = 1e9


class Judge:
    """Judges answers by compiled rules. `reset_header` tells when to go on, where Retry-After does
    not."""

    def __init__(self, rules: list[Rule], reset_header: str = "") -> None:
        self._rules = [_Compiled(rule, f"responses[{i}]") for i, rule in enumerate(rules)]
        self._reset_header = reset_header

    def judge(self, rows: list[Row], status: int, headers: Mapping[str, str], body: bytes) -> Reply:
        """A verdict for each of the rows."""
        answer = _decode(body)
        wait = retry_after(headers)
        if wait is None and self._reset_header:
            wait = until_reset(headers.get(self._reset_header, ""))
        for rule in self._rules:
            if rule.fits(status, answer):
                return Reply(rule.verdicts(rows, status, answer), wait)
        outcome = usual(status)
        reason = "" if outcome is Outcome.delivered else _reason(status, body)
        return Reply([Verdict(outcome, reason)] * len(rows), wait)


class _Compiled:
    def __init__(self, rule: Rule, where: str) -> None:
        self.rule = rule
        texts = {name: getattr(rule, name) for name in
                 ("has", "because", "each", "at", "match", "failed", "retry")}  # fmt: skip
        self._compiled = {
            name: compile_tree(parse_at(text, f"{where}.{name}"))
            for name, text in texts.items()
            if text
        }

    def fits(self, status: int, answer: dict[str, Any]) -> bool:
        wanted = self.rule.status
        if wanted and status not in wanted and f"{status // 100}xx" not in wanted:
            return False
        has = self._compiled.get("has")
        return has is None or has.eval(answer) not in (None, False)

    def verdicts(self, rows: list[Row], status: int, answer: dict[str, Any]) -> list[Verdict]:
        rule, then = self.rule, self.rule.then
        if not rule.each:
            reason = "" if then is Outcome.delivered else self._because(answer, status)
            return [Verdict(then, reason)] * len(rows)
        found = [Verdict(then, "" if then is Outcome.delivered else str(status))] * len(rows)
        items = self._compiled["each"].eval(answer)
        places = self._places(rows)
        for number, item in enumerate(items if isinstance(items, list) else []):
            seen = item if isinstance(item, dict) else {"item": item}
            if "failed" in self._compiled and not self._compiled["failed"].test(seen):
                continue
            retry = "retry" in self._compiled and self._compiled["retry"].test(seen)
            reason = self._because(item if isinstance(item, dict) else answer, status)
            verdict = Verdict(Outcome.retry if retry else rule.verdict, reason)
            for place in self._at(item, number, places, len(rows)):
                found[place] = verdict
        return found

    def _places(self, rows: list[Row]) -> dict[str, list[int]]:
        """The rows by their keys, where the rule matches by key."""
        places: dict[str, list[int]] = {}
        for number, row in enumerate(rows if self.rule.match else []):
            value = _decode(row.body)
            key = text_of(self._compiled["match"].eval(value)) or ""
            places.setdefault(key, []).append(number)
        return places

    def _at(self, item: Any, number: int, places: dict[str, list[int]], rows: int) -> list[int]:
        """The rows that an item is about."""
        at: Any = item if isinstance(item, str | int) else number
        if self.rule.at:
            at = self._compiled["at"].eval(item) if isinstance(item, dict) else None
        found: list[int] = []
        for each in at if isinstance(at, list) else [at]:
            if self.rule.match:
                found += places.get(text_of(each) or "", [])
            elif isinstance(each, int) and 0 <= each < rows:
                found.append(each)
        return found

    def _because(self, value: dict[str, Any], status: int) -> str:
        because = self._compiled.get("because")
        reason = text_of(because.eval(value)) if because is not None else None
        return f"{status}: {reason}"[:_REASON_CHARS] if reason else str(status)


def _decode(body: bytes) -> dict[str, Any]:
    """The answer as an object; what is none stands under `body`."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = body[:2000].decode(errors="replace")
    return value if isinstance(value, dict) else {"body": value}


def usual(status: int) -> Outcome:
    """The table for answers that no rule of the file speaks of."""
    if 200 <= status < 300:
        return Outcome.delivered
    if status in (401, 403):
        return Outcome.pause
    if status == 429:
        return Outcome.throttled
    if status == 413:
        return Outcome.split
    if status in _RETRY or (status >= 500 and status != 501):
        return Outcome.retry
    return Outcome.dropped


def _reason(status: int, body: bytes) -> str:
    text = " ".join(body[: 2 * _REASON_CHARS].decode(errors="replace").split())
    return f"{status}: {text}"[:_REASON_CHARS] if text else str(status)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header in either form (RFC 9110, section 10.2.3), an hour at most."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdecimal():
        return min(float(text), _MAX_WAIT)
    try:
        return min(max(parsedate_to_datetime(text).timestamp() - time(), 0.0), _MAX_WAIT)
    except (ValueError, TypeError):
        return None


def until_reset(text: str) -> float | None:
    """Seconds of a header that tells a number of seconds, or a time in seconds since 1970."""
    try:
        value = float(text)
    except ValueError:
        return None
    seconds = value - time() if value > _EPOCH else value
    return min(max(seconds, 0.0), _MAX_WAIT) if math.isfinite(seconds) else None
