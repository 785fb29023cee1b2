"""One user's events reach an ordered destination in the log's order, whatever fails."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.destinations.outcome import Outcome, Reply, Verdict
from router.destinations.request import BatchRule
from router.store import ALL_PARTS, Retry
from tests.delivery.conftest import Bench, all_, ok


def user(name: str) -> str:
    return name.split(".")[0]


async def test_a_users_later_events_wait_for_the_one_that_fails_and_nobody_elses(
    tmp_path: Path,
) -> None:
    down = True

    def answer(names: list[str]) -> Reply:
        return Reply([
            Verdict(Outcome.retry, "503") if name == "a.0" and down else Verdict(Outcome.delivered)
            for name in names
        ])  # fmt: skip

    bench = Bench(tmp_path, answer, ordered=True)
    async with bench:
        bench.log.put("a.0", "a.1", "b.0", "a.2", "b.1", users=user)
        await bench.until(lambda: bench.destination.delivered == ["b.0", "b.1"])
        await bench.until(lambda: bench.consumer.lag == 0)
        assert bench.store.retry_count("fake") + bench.store.held_count("fake") == 3
        down = False
        await bench.settled()
        assert bench.destination.delivered == ["b.0", "b.1", "a.0", "a.1", "a.2"]


async def test_a_dead_event_lets_the_next_one_go(tmp_path: Path) -> None:
    def answer(names: list[str]) -> Reply:
        return Reply([
            Verdict(Outcome.dropped, "no") if name == "a.0" else Verdict(Outcome.delivered)
            for name in names
        ])  # fmt: skip

    async with Bench(tmp_path, answer, ordered=True) as bench:
        bench.log.put("a.0", "a.1", users=user)
        await bench.settled()
        assert bench.destination.delivered == ["a.1"]
        assert bench.dead() == [("a.0", "no")]


async def test_where_a_request_is_answered_as_one_a_users_events_share_it(tmp_path: Path) -> None:
    async with Bench(tmp_path, ok, ordered=True, per_row=False) as bench:
        bench.log.put(*(f"a.{i}" for i in range(40)), users=user)
        await bench.settled()
        assert bench.destination.delivered == [f"a.{i}" for i in range(40)]
        assert len(bench.destination.calls) == 4


async def test_what_waits_for_an_earlier_event_goes_on_after_a_restart(tmp_path: Path) -> None:
    def fail(names: list[str]) -> Reply:
        return all_(Outcome.retry, names, "503")

    names = [f"a.{i}" for i in range(50)]
    async with Bench(tmp_path, fail, ordered=True) as bench:
        bench.log.put(*names, users=user)
        await bench.until(lambda: bench.consumer.lag == 0)
    again = Bench(tmp_path, ok, ordered=True)
    again.log.put(*names, users=user)
    async with again:
        await again.settled()
        assert again.destination.delivered == names


async def test_rows_held_for_order_are_sent_when_the_order_is_given_up(tmp_path: Path) -> None:
    def fail(names: list[str]) -> Reply:
        return all_(Outcome.retry, names, "503")

    async with Bench(tmp_path, fail, ordered=True) as bench:
        bench.log.put("a.0", "a.1", "a.2", users=user)
        await bench.until(lambda: bench.store.held_count("fake") == 2)
    again = Bench(tmp_path, ok)
    again.log.put("a.0", "a.1", "a.2", users=user)
    async with again:
        await again.settled()
        assert sorted(again.destination.delivered) == ["a.0", "a.1", "a.2"]


async def test_a_hot_user_keeps_its_order_only_up_to_the_limit(tmp_path: Path) -> None:
    def answer(names: list[str]) -> Reply:
        return Reply([
            Verdict(Outcome.retry, "503") if name == "hot.0" else Verdict(Outcome.delivered)
            for name in names
        ])  # fmt: skip

    async with Bench(tmp_path, answer, ordered=True, ordered_events=5) as bench:
        bench.log.put("hot.0", users=user)
        await bench.until(lambda: bench.store.retry_count("fake") == 1)
        bench.log.put(*(f"hot.{i}" for i in range(1, 21)), users=user)
        await bench.until(lambda: len(bench.destination.delivered) == 15)
        assert bench.store.held_count("fake") == 5


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 10**9), size=st.integers(1, 120), users=st.integers(1, 6),
    batch=st.integers(1, 12), per_row=st.booleans(), restarts=st.integers(0, 2),
)  # fmt: skip
def test_order_holds_through_any_schedule_of_faults(
    tmp_path_factory: pytest.TempPathFactory, seed: int, size: int, users: int, batch: int,
    per_row: bool, restarts: int,
) -> None:  # fmt: skip
    chance = random.Random(seed)
    names = [f"u{chance.randrange(users)}.{i}" for i in range(size)]
    doomed = {name for name in names if chance.random() < 0.05}
    folder = tmp_path_factory.mktemp("run")
    delivered: list[str] = []

    def answer(names: list[str]) -> Reply:
        fate = chance.random()
        if fate < 0.15:
            return all_(Outcome.retry, names, "503")
        if fate < 0.2:
            return all_(Outcome.throttled, names, "429", 0.005)
        if fate < 0.25 and len(names) > 1:
            return all_(Outcome.split, names, "413")
        if per_row:
            return Reply([
                Verdict(Outcome.dropped, "no") if name in doomed
                else Verdict(Outcome.retry, "busy") if chance.random() < 0.2
                else Verdict(Outcome.delivered)
                for name in names
            ])  # fmt: skip
        return all_(Outcome.dropped, names, "no") if doomed & set(names) else ok(names)

    async def run(last: bool) -> None:
        bench = Bench(
            folder, answer, rule=BatchRule(batch, 1 << 20, 0), ordered=True, per_row=per_row
        )
        for name in names:
            bench.log.put(name, users=user)
        async with bench:
            if last:
                await bench.settled()
                assert {name for name, _ in bench.dead()} == doomed
            else:
                await asyncio.sleep(chance.random() * 0.05)
        delivered.extend(bench.destination.delivered)

    for left in range(restarts, -1, -1):
        asyncio.run(run(left == 0))
    assert Counter(delivered) == Counter(name for name in names if name not in doomed)
    by_user = defaultdict(list)
    for name in delivered:
        by_user[user(name)].append(int(name.split(".")[1]))
    for order in by_user.values():
        assert order == sorted(order)


async def test_a_replay_keeps_the_order_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ok, ordered=True)
    names = [f"a.{i}" for i in range(30)]
    bench.log.put(*names, users=user)
    bench.store.set_cursor("fake", 30)
    bench.consumer = bench.make()
    for event in bench.feed.read(0, 1 << 20):
        bench.store.add_retry("fake", 1, Retry(
            event.offset, event.source, 0, 0, event.raw, 1, ALL_PARTS, 1,
            int(time.time() * 1000), "replayed",
        ))  # fmt: skip
    async with bench:
        await bench.settled()
        assert bench.destination.delivered == names
