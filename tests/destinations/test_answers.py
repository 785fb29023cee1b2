"""What answers mean: the usual table, a file's rules, and answers that make no sense."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.destinations.answers import Judge, retry_after, until_reset
from router.destinations.outcome import Outcome
from router.destinations.request import Row
from router.destinations.spec import Rule
from tests.destinations.engine import event


def rows(*bodies: Any) -> list[Row]:
    return [Row(event(), 0, "", orjson.dumps(body)) for body in bodies]


def outcomes(rules: list[Rule], made: list[Row], status: int, body: Any) -> list[str]:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    reply = Judge(rules).judge(made, status, {}, data)
    return [f"{each.outcome.value} {each.reason}".strip() for each in reply.verdicts]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "delivered"), (204, "delivered"), (301, "dropped"), (400, "dropped"), (401, "pause"),
        (403, "pause"), (404, "dropped"), (408, "retry"), (409, "retry"), (413, "split"),
        (423, "retry"), (425, "retry"), (429, "throttled"), (500, "retry"), (501, "dropped"),
        (503, "retry"), (599, "retry"),
    ],
)  # fmt: skip
def test_the_usual_table(status: int, outcome: str) -> None:
    assert outcomes([], rows({}), status, b"")[0].split()[0] == outcome


EACH = Rule(status=[207], each="errors", at="index", because="message")
KEYED = Rule(
    status=[200], has="exists(errors)", each="errors", at="context.ids", match="id",
    because="message", retry='code = "busy"',
)  # fmt: skip
RESULTS = Rule(status=[200], each="results", failed="success = false", because="error")


def test_rows_by_number() -> None:
    errors = {"errors": [{"index": 1, "message": "bad"}, {"index": 9}, {"index": "x"}, {}, 5]}
    assert outcomes([EACH], rows({}, {}, {}), 207, errors)[:2] == ["delivered", "dropped 207: bad"]


def test_rows_by_key_of_which_several_may_have_one() -> None:
    made = rows({"id": "a"}, {"id": "b"}, {"id": "a"}, {"id": "c"})
    errors = {"errors": [{"context": {"ids": ["a"]}, "message": "no"},
                         {"context": {"ids": "c"}, "message": "wait", "code": "busy"}]}  # fmt: skip
    assert outcomes([KEYED], made, 200, errors) == [
        "dropped 200: no", "delivered", "dropped 200: no", "retry 200: wait",
    ]  # fmt: skip


def test_a_result_for_each_row() -> None:
    results = {"results": [{"success": True}, {"success": False, "error": "no"}]}
    assert outcomes([RESULTS], rows({}, {}), 200, results) == ["delivered", "dropped 200: no"]


@pytest.mark.parametrize(
    "body", [b"", b"<html>502</html>", b"\xff\xfe", b"[1]", b"null", b'"x"', b"{", b'{"errors": 5}',
             b'{"errors": {"a": 1}}', b'{"results": [null, [], "x"]}'],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 207, 400, 500])
def test_an_answer_that_makes_no_sense_is_judged_by_its_status(status: int, body: bytes) -> None:
    reply = Judge([EACH, KEYED, RESULTS]).judge(rows({}, {}), status, {}, body)
    assert len(reply.verdicts) == 2


ANSWERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["errors", "results", "index", "context", "ids"]), inner, max_size=3
        )
    ),
    max_leaves=10,
)


@given(ANSWERS, st.integers(100, 599))
@settings(max_examples=300, deadline=None)
def test_any_answer_gives_a_verdict_a_row(answer: Any, status: int) -> None:
    data = orjson.dumps(answer) if not _huge(answer) else b""
    reply = Judge([EACH, KEYED, RESULTS]).judge(rows({"id": "a"}, {}, {}), status, {}, data)
    assert len(reply.verdicts) == 3
    assert all(len(verdict.reason) <= 300 for verdict in reply.verdicts)


def _huge(value: Any) -> bool:
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return True
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_huge(each) for each in inner)


def test_when_to_go_on() -> None:
    assert retry_after({"Retry-After": "7"}) == 7.0
    assert until_reset("30") == 30.0
    assert until_reset(str(time.time() + 60)) == pytest.approx(60, abs=2)
    assert until_reset("nan") is None
    assert until_reset("soon") is None
    judge = Judge([], "X-Reset")
    assert judge.judge(rows({}), 429, {"X-Reset": "5"}, b"").retry_after == 5.0
    assert judge.judge(rows({}), 429, {}, b"").verdicts[0].outcome is Outcome.throttled
