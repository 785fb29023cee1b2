"""When a destination may be sent to, on a clock of the test's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.delivery.gate import Gate, retry_delay


def test_concurrency_is_the_limit_while_all_is_well() -> None:
    gate = Gate(2, None)
    assert gate.wait(0, 1) == 0
    assert gate.wait(0, 2) == float("inf")


def test_five_failures_open_the_breaker_and_one_success_closes_it() -> None:
    gate = Gate(8, None)
    for _ in range(4):
        gate.fail(100, "503")
    assert gate.open
    gate.fail(100, "503")
    assert not gate.open
    assert 0 < gate.wait(100, 0) <= 1
    assert gate.wait(102, 0) == 0, "a probe"
    assert gate.wait(102, 1) == float("inf"), "one at a time"
    gate.succeed(103)
    assert gate.wait(102, 7) == 0


def test_the_pause_grows_to_a_minute() -> None:
    gate = Gate(1, None)
    now = 0.0
    for _ in range(20):
        gate.fail(now, "503")
        now += 60
    gate.fail(now, "503")
    assert 29 < gate.wait(now, 0) <= 60


def test_the_vendors_own_pause_is_kept() -> None:
    gate = Gate(8, None)
    gate.throttle(10, 42, "429")
    assert gate.wait(10, 0) == 42
    assert gate.wait(52, 0) == 0


def test_a_rate_spreads_requests() -> None:
    gate = Gate(100, 10.0)
    now, started = 0.0, 0
    while now < 10:
        wait = gate.wait(now, 0)
        if wait == 0:
            gate.start()
            started += 1
        else:
            now += wait + 1e-9
    assert 100 <= started <= 111


@given(st.integers(0, 1000), st.floats(0.01, 60), st.floats(1, 3600))
def test_a_delay_stays_within_its_bounds(attempts: int, first: float, most: float) -> None:
    assert first / 4 <= retry_delay(attempts, first, most) <= most + first / 4


def test_an_answer_to_an_earlier_request_does_not_end_a_pause() -> None:
    gate = Gate(8, None)
    gate.throttle(100, 30, "429")
    gate.succeed(101)
    assert gate.wait(101, 0) == 29, "the vendor asked for 30 seconds"
    gate.succeed(131)
    assert gate.open


def test_throttling_halves_what_may_fly_and_successes_bring_it_back() -> None:
    gate = Gate(16, None)
    gate.throttle(100, 1, "429")
    gate.throttle(101, 1, "429")
    gate.succeed(103)
    assert gate.wait(103, 4) == float("inf")
    assert gate.wait(103, 3) == 0
    for _ in range(200):
        gate.succeed(104)
    assert gate.wait(104, 15) == 0
    assert gate.wait(104, 16) == float("inf"), "never above the destination's own"
