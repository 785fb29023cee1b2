"""Hours of trouble on an injected clock: what an outage costs, and how it ends."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.destinations.outcome import Outcome, Reply, Verdict
from router.destinations.request import BatchRule
from tests.delivery.clock import START, run_ahead
from tests.delivery.conftest import Bench, all_, ok

HOUR = 3600.0
DEFAULTS = {"retry_first_seconds": 1.0, "retry_max_seconds": 600.0}


def test_an_hour_without_the_vendor_costs_a_probe_now_and_then(tmp_path: Path) -> None:
    async def main() -> None:
        def answer(names: list[str]) -> Reply:
            if time.time() < START + HOUR:
                return all_(Outcome.retry, names, "503: down")
            return ok(names)

        bench = Bench(tmp_path, answer, **DEFAULTS)
        async with bench:
            for minute in range(90):
                bench.log.put(*(f"e{minute}.{i}" for i in range(20)),
                              time_ms=int(time.time() * 1000))  # fmt: skip
                await asyncio.sleep(60)
            await bench.until(lambda: bench.consumer.lag == 0, 600)
            during = len(bench.destination.calls)
            await bench.settled()
            assert sorted(bench.destination.delivered) == sorted(
                f"e{minute}.{i}" for minute in range(90) for i in range(20)
            )
            assert not bench.dead()
            assert during < 500, "a probe at a time, at growing intervals"
            assert time.time() < START + 1.75 * HOUR

    run_ahead(main())


def test_a_rate_limit_of_an_hour_is_waited_for_in_peace(tmp_path: Path) -> None:
    async def main() -> None:
        times: list[float] = []

        def answer(names: list[str]) -> Reply:
            times.append(time.time() - START)
            if len(times) == 1:
                return all_(Outcome.throttled, names, "429", HOUR)
            return ok(names)

        async with Bench(tmp_path, answer, **DEFAULTS) as bench:
            bench.log.put("a", "b")
            await bench.settled(2 * HOUR)
            assert len(times) == 2
            assert times[1] - times[0] >= HOUR, "the vendor's own time counts"
            assert bench.destination.delivered == ["a", "b"]

    run_ahead(main())


def test_what_fails_for_longer_than_four_hours_is_dead_and_says_why(tmp_path: Path) -> None:
    async def main() -> None:
        def answer(names: list[str]) -> Reply:
            return Reply([
                Verdict(Outcome.retry, "500: bad luck") if name == "cursed"
                else Verdict(Outcome.delivered)
                for name in names
            ])  # fmt: skip

        async with Bench(tmp_path, answer, **DEFAULTS) as bench:
            bench.log.put("a", "cursed", "b")
            await bench.settled(6 * HOUR)
            assert bench.dead() == [("cursed", "500: bad luck")]
            [letter] = bench.letters.list("fake")
            assert letter.attempts > 20
            assert 4 * HOUR < letter.time / 1000 - START < 4.5 * HOUR
            assert sorted(bench.destination.delivered) == ["a", "b"]

    run_ahead(main())


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10**9), size=st.integers(1, 150), batch=st.integers(1, 20),
       ordered=st.booleans(), stops=st.integers(0, 3))  # fmt: skip
def test_no_schedule_of_faults_loses_an_event_in_silence(
    tmp_path_factory: pytest.TempPathFactory, seed: int, size: int, batch: int, ordered: bool,
    stops: int,
) -> None:  # fmt: skip
    chance = random.Random(seed)
    names = [f"e{i}" for i in range(size)]
    doomed = {name for name in names if chance.random() < 0.1}
    weather = [(chance.random() * HOUR, chance.choice(["down", "slow", "throttle", "split", "fine"]))
               for _ in range(12)]  # fmt: skip
    folder = tmp_path_factory.mktemp("run")
    delivered: Counter[str] = Counter()
    dead: Counter[str] = Counter()

    def now() -> str:
        since, sky = time.time() - START, "fine"
        for length, sky in weather:
            since -= length
            if since < 0:
                return sky
        return "fine"

    def answer(names: list[str]) -> Reply:
        match now():
            case "down":
                return all_(Outcome.retry, names, "503")
            case "slow" if chance.random() < 0.5:
                return all_(Outcome.retry, names, "no answer within 15 s")
            case "throttle" if chance.random() < 0.5:
                return all_(Outcome.throttled, names, "429", chance.choice([None, 30.0, 300.0]))
            case "split" if len(names) > 1:
                return all_(Outcome.split, names, "413")
        return Reply([
            Verdict(Outcome.dropped, "400: no") if name in doomed else Verdict(Outcome.delivered)
            for name in names
        ])  # fmt: skip

    async def run(last: bool) -> None:
        bench = Bench(folder, answer, rule=BatchRule(batch, 1 << 20, 1.0), ordered=ordered,
                      **DEFAULTS, grace_seconds=0)  # fmt: skip
        for name in names:
            bench.log.put(name, time_ms=int(time.time() * 1000))
        async with bench:
            if last:
                await bench.settled(60 * HOUR)
                dead.update(name for name, _ in bench.dead())
            else:
                await asyncio.sleep(chance.random() * HOUR)
        delivered.update(bench.destination.delivered)

    for left in range(stops, -1, -1):
        run_ahead(run(left == 0))
    assert set(delivered) | set(dead) == set(names), "each is delivered or dead"
    assert set(dead) >= doomed
    assert max(delivered.values(), default=1) == 1, "orderly stops send nothing twice"
