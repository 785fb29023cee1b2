"""Counts by minute: what goes in comes out, through minutes, restarts and 14 days."""

from __future__ import annotations

import asyncio
import threading
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.delivery.overview import KEPT_MINUTES, Overview, bucket_of, percentiles

NOON = 1_800_000_000 - 1_800_000_000 % 3600


class Clock:
    def __init__(self) -> None:
        self.now = float(NOON)

    def __call__(self) -> float:
        return self.now


def everything(overview: Overview, destination: str | None = None, step: int = 60) -> Any:
    return overview.query(destination, 0, (NOON + 10 * KEPT_MINUTES * 60) * 1000, step)


async def test_what_is_counted_is_told(tmp_path: Path) -> None:
    clock = Clock()
    overview = Overview(tmp_path, clock)
    record = overview.of("mixpanel")
    record.delivered(90, 0)
    record.delivered(3, 2)
    record.dead("400", 5)
    record.retried("503", 2)
    record.filtered("source", 7)
    record.latency(0.1, 95)
    record.error("400: no such token")
    record.waiting(12, 2, 3.5)
    [row] = everything(overview)
    assert row.pop("latency") == pytest.approx({"p50": 0.1, "p95": 0.1, "p99": 0.1}, rel=0.1)
    assert row == {
        "time": "2027-01-15T08:00:00.000Z",
        "destination": "mixpanel",
        "deliveredAtOnce": 93,
        "deliveredAfterRetry": 2,
        "dead": {"400": 5},
        "retried": {"503": 2},
        "filtered": {"source": 7},
        "shares": {"atOnce": 0.93, "afterRetry": 0.02, "dead": 0.05},
        "lagEvents": 12,
        "retrying": 2,
        "oldestSeconds": 3.5,
        "lastError": {"time": "2027-01-15T08:00:00.000Z", "text": "400: no such token"},
    }
    await overview.close()


async def test_it_is_there_after_a_restart_and_the_minute_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    overview = Overview(tmp_path, clock)
    overview.of("a").delivered(1, 0)
    overview.of("a").error("first")
    await overview.close()
    overview = Overview(tmp_path, clock)
    overview.of("a").delivered(2, 0)
    overview.of("a").dead("400", 1)
    [row] = everything(overview)
    assert (row["deliveredAtOnce"], row["dead"], row["lastError"]["text"]) == (
        3,
        {"400": 1},
        "first",
    )
    await overview.save()
    assert everything(overview) == [row]
    clock.now += 60
    overview.of("a").delivered(5, 0)
    assert [each["deliveredAtOnce"] for each in everything(overview)] == [3, 5]
    await overview.close()


async def test_steps_gather_minutes(tmp_path: Path) -> None:
    clock = Clock()
    overview = Overview(tmp_path, clock)
    for minute in range(10):
        overview.of("a").delivered(1, 0)
        overview.of("b").latency(minute + 1, 1)
        overview.of("b").delivered(0, 1)
        await overview.save()
        clock.now += 60
    rows = everything(overview, "a", 300)
    assert [(row["time"][11:16], row["deliveredAtOnce"]) for row in rows] == [
        ("08:00", 5), ("08:05", 5),
    ]  # fmt: skip
    assert [row["destination"] for row in everything(overview, None, 300)] == ["a", "b"] * 2
    since = overview.query("a", (NOON + 120) * 1000, (NOON + 240) * 1000, 60)
    assert [row["time"][11:16] for row in since] == ["08:02", "08:03"]
    whole = overview.summary("b", 60)
    assert whole["deliveredAfterRetry"] == 10
    assert whole["latency"]["p95"] == pytest.approx(10, rel=0.1)
    assert whole["shares"] == {"atOnce": 0, "afterRetry": 1, "dead": 0}
    assert overview.summary("none", 60)["shares"] is None
    assert overview.destinations() == ["a", "b"]
    await overview.close()


async def test_two_weeks_are_kept(tmp_path: Path) -> None:
    clock = Clock()
    overview = Overview(tmp_path, clock)
    for _ in range(3):
        overview.of("a").delivered(1, 0)
        overview.of("ab").delivered(1, 0)
        await overview.save()
        clock.now += 60
    clock.now = NOON + KEPT_MINUTES * 60 + 60
    await overview.save()
    assert [row["time"][11:16] for row in everything(overview, "a")] == ["08:01", "08:02"]
    clock.now += 7200
    await overview.save()
    assert everything(overview) == []
    await overview.close()


async def test_what_waits_is_told_every_minute(tmp_path: Path) -> None:
    clock = Clock()
    overview = Overview(tmp_path, clock)
    overview.of("a").waiting(5, 0, 60.0)
    for _ in range(3):
        await overview.save()
        clock.now += 60
    assert [row["lagEvents"] for row in everything(overview)] == [5, 5, 5, 5]
    overview.of("a").waiting(0, 0, 0.0)
    await overview.save()
    clock.now += 60
    assert [row["lagEvents"] for row in everything(overview)] == [5, 5, 5]
    await overview.close()


async def test_the_minute_rolls_by_itself(tmp_path: Path) -> None:
    clock = Clock()
    clock.now = NOON + 59.9
    overview = Overview(tmp_path, clock)
    overview.start()
    overview.of("a").delivered(1, 0)
    await asyncio.sleep(0)
    clock.now = NOON + 60.1
    await asyncio.sleep(0.3)
    overview.of("a").delivered(1, 0)
    assert [row["time"][14:16] for row in everything(overview)] == ["00", "01"]
    await overview.close()


async def test_reasons_are_bounded(tmp_path: Path) -> None:
    overview = Overview(tmp_path, Clock())
    for number in range(1000):
        overview.of("a").dead(f"reason {number}", 1)
    [row] = everything(overview)
    assert sum(row["dead"].values()) == 1000
    assert len(row["dead"]) < 50
    await overview.close()


async def test_a_query_in_a_thread_sees_every_event_once(tmp_path: Path) -> None:
    clock = Clock()
    overview = Overview(tmp_path, clock)
    stop, found = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            found.append(sum(row["deliveredAtOnce"] for row in everything(overview)))

    asker = threading.Thread(target=ask)
    asker.start()
    for _ in range(200):
        overview.of("a").delivered(1, 0)
        await overview.save()
    stop.set()
    asker.join()
    assert found == sorted(found), "never fewer, and so none twice"
    assert found[-1] <= 200
    assert everything(overview)[0]["deliveredAtOnce"] == 200
    await overview.close()


@given(st.lists(st.floats(0.001, 100_000), min_size=1, max_size=200))
def test_percentiles_are_within_a_tenth(latencies: list[float]) -> None:
    counts: dict[int, int] = {}
    for seconds in latencies:
        counts[bucket_of(seconds)] = counts.get(bucket_of(seconds), 0) + 1
    ordered = sorted(latencies)
    found = percentiles(counts, (0.5, 0.95, 1.0))
    assert found is not None
    for share, seconds in zip((0.5, 0.95, 1.0), found, strict=True):
        rank = max(-int(-share * len(ordered) // 1), 1)
        assert seconds == pytest.approx(ordered[rank - 1], rel=0.1)


def test_a_clock_set_back_is_no_crash() -> None:
    assert bucket_of(-5.0) == bucket_of(0.0) == 0
    assert bucket_of(1e-9) == 0
    assert bucket_of(1e9) < 300
    assert percentiles({}, (0.5,)) is None
    assert inf not in (percentiles({0: 1, 250: 1}, (0.5, 1.0)) or [])
