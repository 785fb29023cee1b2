"""One destination: what each kind of answer does to events, cursor and dead letters."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

import msgspec
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.destinations.outcome import Outcome, Reply, Verdict
from router.destinations.request import BatchRule, Row
from router.event import Event
from router.metrics import FILTERED
from router.store import Retry
from tests.delivery.conftest import Bench, all_, ok


async def test_events_are_delivered_in_batches_and_the_cursor_follows(tmp_path: Path) -> None:
    async with Bench(tmp_path, ok) as bench:
        for start in range(0, 95, 5):
            bench.log.put(*(f"e{i}" for i in range(start, start + 5)))
        await bench.settled()
        assert sorted(bench.destination.delivered) == sorted(f"e{i}" for i in range(95))
        assert max(map(len, bench.destination.calls)) == 10
    assert bench.consumer.tracker.cursor == 95


async def test_what_is_not_wanted_is_settled_and_what_cannot_be_mapped_is_dead(
    tmp_path: Path,
) -> None:
    async with Bench(tmp_path, ok) as bench:
        bench.log.put("a", "unwanted", "unmappable", "b")
        await bench.settled()
        assert sorted(bench.destination.delivered) == ["a", "b"]
        [(name, reason)] = bench.dead()
        assert name == "unmappable"
        assert "total is required" in reason


async def test_a_failure_for_now_is_tried_again_and_holds_up_nobody(tmp_path: Path) -> None:
    tries: Counter[str] = Counter()

    def answer(names: list[str]) -> Reply:
        tries.update(names)
        return Reply([
            Verdict(Outcome.retry, "503") if name == "bad" and tries["bad"] < 4
            else Verdict(Outcome.delivered)
            for name in names
        ])  # fmt: skip

    async with Bench(tmp_path, answer) as bench:
        bench.log.put("a", "bad", "b")
        await bench.until(lambda: bench.consumer.lag == 0)
        await bench.settled()
        assert sorted(bench.destination.delivered) == ["a", "b", "bad"]
        assert tries["bad"] == 4
        assert not bench.dead()


async def test_a_retry_that_is_too_old_is_dead_with_its_reason(tmp_path: Path) -> None:
    def answer(names: list[str]) -> Reply:
        return all_(Outcome.retry, names, "503: busy")

    async with Bench(tmp_path, answer, retry_hours=0.05 / 3600) as bench:
        bench.log.put("a")
        await bench.settled()
        assert bench.dead() == [("a", "503: busy")]
        [letter] = bench.letters.list("fake")
        assert letter.attempts >= 2


async def test_a_refused_batch_is_halved_until_the_culprit_stands_alone(tmp_path: Path) -> None:
    def answer(names: list[str]) -> Reply:
        if "bad" in names:
            return all_(Outcome.dropped, names, "400: no such thing")
        return ok(names)

    async with Bench(tmp_path, answer, rule=BatchRule(16, 1 << 20, 0), concurrency=1) as bench:
        bench.log.put(*(["a"] * 9 + ["bad"] + ["b"] * 6))
        await bench.settled()
        assert len(bench.destination.delivered) == 15
        assert bench.dead() == [("bad", "400: no such thing")]


async def test_rows_are_judged_one_by_one(tmp_path: Path) -> None:
    def answer(names: list[str]) -> Reply:
        return Reply([
            Verdict(Outcome.dropped, "too old") if name == "old" else Verdict(Outcome.delivered)
            for name in names
        ])  # fmt: skip

    async with Bench(tmp_path, answer) as bench:
        bench.log.put("a", "old", "b")
        await bench.settled()
        assert bench.destination.calls == [["a", "old", "b"]]
        assert bench.dead() == [("old", "too old")]


@pytest.mark.parametrize("outcome", [Outcome.throttled, Outcome.pause])
async def test_a_held_back_destination_keeps_its_rows(tmp_path: Path, outcome: Outcome) -> None:
    answers = iter([outcome])

    def answer(names: list[str]) -> Reply:
        now = next(answers, Outcome.delivered)
        return all_(now, names, "slow down", 0.05)

    async with Bench(tmp_path, answer, concurrency=1) as bench:
        bench.log.put("a", "b")
        await bench.until(lambda: bool(bench.destination.calls))
        await asyncio.sleep(0.02)
        assert bench.consumer.gate.reason == "slow down"
        assert bench.store.retry_count("fake") == 0
        if outcome is Outcome.pause:
            assert bench.consumer.lag == 2
            return
        await bench.settled()
        assert bench.destination.delivered == ["a", "b"]
        assert bench.consumer.gate.open


async def test_a_dead_vendor_is_probed_one_request_at_a_time(tmp_path: Path) -> None:
    def answer(names: list[str]) -> Reply:
        return all_(Outcome.retry, names, "cannot connect")

    async with Bench(tmp_path, answer, rule=BatchRule(1, 1 << 20, 0), concurrency=8,
                     retry_first_seconds=60, retry_max_seconds=60) as bench:  # fmt: skip
        bench.log.put(*(f"e{i}" for i in range(1000)))
        await bench.until(lambda: not bench.consumer.gate.open)
        await asyncio.sleep(0.3)
        assert len(bench.destination.calls) < 30
        assert bench.consumer.lag > 900, "what is not tried stays in the log"


async def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async with Bench(tmp_path, ok) as bench:
        bench.log.put("a", "b")
        await bench.settled()
    again = Bench(tmp_path, ok)
    again.log.put("a", "b")
    again.log.put("c")
    async with again:
        await again.settled()
        assert again.destination.delivered == ["c"]


async def test_stopping_settles_what_is_queued(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ok, rule=BatchRule(100, 1 << 20, 30.0))
    async with bench:
        bench.log.put("a")
        await bench.until(lambda: bench.consumer.tracker.position == 1)
    assert bench.destination.delivered == ["a"]
    assert bench.consumer.tracker.cursor == 1


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10**9), size=st.integers(1, 80), batch=st.integers(1, 12))
def test_every_event_ends_delivered_or_dead(
    tmp_path_factory: pytest.TempPathFactory, seed: int, size: int, batch: int
) -> None:
    chance = random.Random(seed)
    doomed = {f"e{i}" for i in range(size) if chance.random() < 0.1}

    def answer(names: list[str]) -> Reply:
        fate = chance.random()
        if fate < 0.1:
            return all_(Outcome.retry, names, "503")
        if fate < 0.13:
            return all_(Outcome.throttled, names, "429", 0.01)
        if doomed & set(names):
            if fate < 0.5:
                return all_(Outcome.split, names, "413")
            return Reply([
                Verdict(Outcome.dropped, "no") if name in doomed else Verdict(Outcome.delivered)
                for name in names
            ])  # fmt: skip
        return ok(names)

    async def run() -> None:
        bench = Bench(tmp_path_factory.mktemp("run"), answer, rule=BatchRule(batch, 1 << 20, 0))
        async with bench:
            for i in range(size):
                bench.log.put(f"e{i}")
            await bench.settled()
            assert Counter(bench.destination.delivered) == Counter(
                f"e{i}" for i in range(size) if f"e{i}" not in doomed
            )
            assert {name for name, _ in bench.dead()} == doomed
            assert bench.consumer.tracker.cursor == size

    asyncio.run(run())


def waiting(count: int, **changes: object) -> list[Retry]:
    event = orjson.dumps({"messageId": "m", "receivedAt": "", "type": "track", "event": "old"})
    retry = Retry(0, "web", 0, 0, event, 1, 0, 1, int(time.time() * 1000), "503")
    return [msgspec.structs.replace(retry, offset=i, **changes) for i in range(count)]


async def test_first_attempts_go_ahead_of_a_mountain_of_retries(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ok, concurrency=1)
    bench.destination.delay = 0.01
    for retry in waiting(6000):
        bench.store.add_retry("fake", 1, retry)
    await bench.store.flush()
    async with bench:
        await bench.until(lambda: len(bench.destination.calls) > 3)
        bench.log.put("new")
        done = len(bench.destination.delivered)
        await bench.until(lambda: "new" in bench.destination.delivered)
        assert bench.destination.delivered.index("new") - done < 50
        bench.destination.delay = 0
        await bench.settled()
        assert len(bench.destination.delivered) == 6001


async def test_a_stream_of_first_attempts_does_not_starve_the_retries(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ok, rule=BatchRule(1, 1 << 20, 0), concurrency=1)
    bench.destination.delay = 0.001
    for retry in waiting(20):
        bench.store.add_retry("fake", 1, retry)
    bench.log.put(*(f"e{i}" for i in range(2000)))
    async with bench:
        await bench.until(lambda: bench.destination.delivered.count("old") == 20)
        assert len(bench.destination.delivered) < 400


@pytest.mark.parametrize("policy", ["wait", "dead_letter"])
async def test_a_full_retry_store_does_what_the_operator_chose(tmp_path: Path, policy: str) -> None:
    down = True

    def answer(names: list[str]) -> Reply:
        return all_(Outcome.retry, names, "503: busy") if down else ok(names)

    bench = Bench(tmp_path, answer, rule=BatchRule(1, 1 << 20, 0), retry_events=3,
                  on_retries_full=policy, retry_first_seconds=0.2)  # fmt: skip
    async with bench:
        bench.log.put("a", "b", "c")
        await bench.until(lambda: bench.store.retry_count("fake") == 3)
        bench.log.put("d")
        await asyncio.sleep(0.02)
        if policy == "wait":
            assert bench.consumer.lag == 1, "what there is no room for stays in the log"
            assert bench.consumer.settler.retries_full
        else:
            await bench.until(lambda: bench.dead() != [])
            assert bench.dead() == [("d", "no room in the retry store: 503: busy")]
        down = False
        await bench.until(lambda: len(bench.destination.delivered) + len(bench.dead()) == 4, 20)
        assert bench.consumer.lag == 0


async def test_waiting_without_trying_is_seen(tmp_path: Path) -> None:
    bench = Bench(tmp_path, ok)
    async with bench:
        later = time.monotonic() + 500
        assert bench.consumer.stalled(later) == 0, "there is nothing to do"
        bench.consumer._task.cancel()  # type: ignore[union-attr]
        bench.log.put("a")
        assert bench.consumer.stalled(later) > 400
        bench.consumer.gate.throttle(later, 60, "429")
        assert bench.consumer.stalled(later) == 0, "the vendor asked for it"


async def test_what_was_settled_behind_the_cursor_is_not_sent_again(tmp_path: Path) -> None:
    release = asyncio.Event()

    def answer(names: list[str]) -> Reply:
        return ok(names) if names != ["a"] else all_(Outcome.retry, names, "503")

    bench = Bench(tmp_path, answer, rule=BatchRule(1, 1 << 20, 0))
    send = bench.destination.send

    async def slow(rows: list[Row]) -> Reply:
        if rows[0].event.data["event"] == "a":
            await release.wait()
        return await send(rows)

    bench.destination.send = slow  # type: ignore[method-assign]
    bench.log.put("a", "b", "unwanted", "c")
    async with bench:
        await bench.until(lambda: sorted(bench.destination.delivered) == ["b", "c"])
        assert bench.consumer.tracker.cursor == 0
    again = Bench(tmp_path, ok)
    again.log.put("a", "b", "unwanted", "c", "d")
    assert again.consumer.tracker.unsettled_before == 1
    async with again:
        await again.settled()
        assert sorted(again.destination.delivered) == ["a", "d"]


async def test_one_event_that_breaks_the_bulk_lane_does_not_stop_the_line(tmp_path: Path) -> None:
    def broken(events: list[Event]) -> list[Row]:
        raise ValueError("no event")

    bench = Bench(tmp_path, ok)
    bench.destination.map_plain = broken  # type: ignore[method-assign]
    async with bench:
        bench.log.put("a", "unmappable", "b")
        await bench.settled()
        assert sorted(bench.destination.delivered) == ["a", "b"]
        assert len(bench.dead()) == 1


async def test_waiting_for_room_among_the_retries_is_no_stall(tmp_path: Path) -> None:
    def answer(names: list[str]) -> Reply:
        return all_(Outcome.retry, names, "503: busy")

    bench = Bench(tmp_path, answer, rule=BatchRule(1, 1 << 20, 0), retry_events=1,
                  retry_first_seconds=600, retry_max_seconds=600)  # fmt: skip
    async with bench:
        bench.log.put("a")
        await bench.until(lambda: bench.store.retry_count("fake") == 1)
        bench.log.put("b")
        await asyncio.sleep(0.02)
        assert bench.consumer.lag == 1
        assert bench.consumer.stalled(time.monotonic() + 100) == 0


async def test_an_event_that_no_action_takes_is_counted(tmp_path: Path) -> None:
    counter = FILTERED.labels("fake", "no_action")
    before = counter._value.get()
    bench = Bench(tmp_path, ok)
    bench.destination.map = lambda event: []  # type: ignore[method-assign]
    async with bench:
        bench.log.put("a", "b")
        await bench.settled()
        assert counter._value.get() - before == 2
        assert bench.destination.calls == []
