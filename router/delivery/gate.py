"""When a destination may be sent to: its rate limit, its throttling and its breaker."""

from __future__ import annotations

import random

_FAILURES_TO_OPEN = 5
_FIRST_SECONDS, _MAX_SECONDS = 1.0, 60.0
_REFUSED_SECONDS = 60.0


class Gate:
    """Says how many requests may be in flight now. Times are seconds of one monotonic clock.

    After five failed requests in a row the breaker opens: one probe at a time, at growing
    intervals, until one succeeds. Throttling (429) and refused credentials close the gate as a
    whole until their time has passed; each throttling also halves how many requests may be in
    flight, and successes bring that back one by one (AIMD, as TCP does; RFC 5681, section 3.1).
    """

    def __init__(self, concurrency: int, rate: float | None) -> None:
        self.concurrency = concurrency
        self.rate = rate
        self.reason = ""
        """Why the destination is held back; empty while it is not."""
        self.closed_until = 0.0
        """Before this nothing is sent at all."""
        self._tokens = rate or 0.0
        self._refilled = 0.0
        self._failures = 0
        self._allowed = float(concurrency)

    @property
    def open(self) -> bool:
        """True while nothing holds the destination back."""
        return not self.reason

    @property
    def allowed(self) -> int:
        """How many requests may be in flight now."""
        return 1 if self.reason else int(self._allowed)

    def wait(self, now: float, in_flight: int) -> float:
        """0 if one more request may start now, else after how many seconds to ask again.

        `inf` means: when a request in flight ends.
        """
        if now < self.closed_until:
            return self.closed_until - now
        if in_flight >= self.allowed:
            return float("inf")
        return self._wait_for_token(now)

    def _wait_for_token(self, now: float) -> float:
        if self.rate is None:
            return 0.0
        burst = max(self.rate, 1.0)
        self._tokens = min(burst, self._tokens + (now - self._refilled) * self.rate)
        self._refilled = now
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self.rate

    def start(self) -> None:
        """A request starts."""
        if self.rate is not None:
            self._tokens -= 1.0

    def succeed(self, now: float) -> None:
        """A request was answered. While the gate is closed that tells nothing: it had begun before."""
        if now < self.closed_until:
            return
        self._failures, self.reason = 0, ""
        if self._allowed < self.concurrency:
            self._allowed = min(self._allowed + 1.0 / self._allowed, float(self.concurrency))

    def fail(self, now: float, reason: str) -> None:
        """A request failed as a whole in a way that may pass."""
        self._failures += 1
        if self._failures >= _FAILURES_TO_OPEN:
            exponent = min(self._failures - _FAILURES_TO_OPEN, 10)
            pause = min(_MAX_SECONDS, _FIRST_SECONDS * 2**exponent)
            self._close(now + pause * random.uniform(0.5, 1.0), reason)

    def throttle(self, now: float, seconds: float | None, reason: str) -> None:
        """The vendor asked for a pause; without a time of its own the pause grows."""
        self._failures += 1
        self._allowed = max(1.0, self._allowed / 2)
        if seconds is None:
            seconds = min(_MAX_SECONDS, _FIRST_SECONDS * 2 ** min(self._failures - 1, 10))
        self._close(now + seconds, reason)

    def refuse(self, now: float, reason: str) -> None:
        """The credentials were refused: asked again once a minute, or after a reload."""
        self._failures += 1
        self._close(now + _REFUSED_SECONDS, reason)

    def _close(self, until: float, reason: str) -> None:
        self.reason = reason or "held back"
        self.closed_until = max(self.closed_until, until)


def retry_delay(attempts: int, first: float, most: float) -> float:
    """Seconds to the next attempt: exponential with full jitter.

    After "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return random.uniform(0.0, min(most, first * 2.0 ** min(attempts, 30))) + first / 4
