"""What a vendor's answer means: a file's own rules, then the usual table."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import orjson

from router._fast.expr import Expr
from router._fast.expr import compile as compile_expression
from router._fast.functions import text_of
from router.destinations.outcome import Outcome, Reply, Verdict
from router.destinations.spec import Rule

_REASON_CHARS = 300
_RETRY = frozenset({408, 409, 423, 425})
_MAX_WAIT = 3600.0


class Judge:
    """Judges answers by compiled rules."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = [_Compiled(rule) for rule in rules]

    def judge(self, rows: int, status: int, headers: Mapping[str, str], body: bytes) -> Reply:
        """A verdict for each of `rows` rows."""
        answer = _decode(body)
        wait = retry_after(headers)
        for rule in self._rules:
            if rule.fits(status, answer):
                return Reply(rule.verdicts(rows, status, answer), wait)
        outcome = usual(status)
        reason = "" if outcome is Outcome.delivered else _reason(status, body)
        return Reply([Verdict(outcome, reason)] * rows, wait)


class _Compiled:
    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.has = _expression(rule.has)
        self.because = _expression(rule.because)
        self.each = _expression(rule.each)
        self.at = _expression(rule.at)

    def fits(self, status: int, answer: dict[str, Any]) -> bool:
        wanted = self.rule.status
        if wanted and status not in wanted and f"{status // 100}xx" not in wanted:
            return False
        return self.has is None or self.has.eval(answer) not in (None, False)

    def verdicts(self, rows: int, status: int, answer: dict[str, Any]) -> list[Verdict]:
        rule = self.rule
        if self.each is None:
            reason = "" if rule.then is Outcome.delivered else self._because(answer, status)
            return [Verdict(rule.then, reason)] * rows
        found = [Verdict(rule.then, "" if rule.then is Outcome.delivered else str(status))] * rows
        items = self.each.eval(answer)
        for item in items if isinstance(items, list) else []:
            place = item
            if self.at is not None:
                place = self.at.eval(item) if isinstance(item, dict) else None
            if isinstance(place, int) and 0 <= place < rows:
                reason = self._because(item if isinstance(item, dict) else answer, status)
                found[place] = Verdict(rule.verdict, reason)
        return found

    def _because(self, value: dict[str, Any], status: int) -> str:
        reason = text_of(self.because.eval(value)) if self.because is not None else None
        return f"{status}: {reason}"[:_REASON_CHARS] if reason else str(status)


def _expression(text: str) -> Expr | None:
    return compile_expression(text) if text else None


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
