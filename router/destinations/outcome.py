"""What became of a row: a closed set of outcomes."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """What a vendor's answer means for one row."""

    delivered = "delivered"
    retry = "retry"
    """Failed for now: the row is tried again later."""
    throttled = "throttled"
    """Too fast: the whole destination pauses."""
    dropped = "dropped"
    """Refused for good: the row goes to the dead letters."""
    split = "split"  # type: ignore[assignment]
    """Refused as a batch: it is halved until the row at fault stands alone."""
    reauth = "reauth"
    pause = "pause"
    """The credentials were refused: nothing is sent until they may have changed."""


class Verdict(msgspec.Struct):
    """One row's outcome, with the reason where it is not delivered."""

    outcome: Outcome
    reason: str = ""


class Reply(msgspec.Struct):
    """One verdict a row, in order. `retry_after` is in seconds, where the vendor gave it."""

    verdicts: list[Verdict]
    retry_after: float | None = None
    status: int = 0
    """The answer's HTTP status, 0 where there was none."""
    answer: str = ""
    """The answer's body, cut and without secrets, where it was not a plain success."""
