"""The floors of conformance: of each of the seven, and of all destinations that there are vectors for."""

from __future__ import annotations

import pytest

from router.destinations import catalog
from tests.conformance.compare import contained_difference, requests_difference, without
from tests.conformance.run import VECTORS, Column, segment_columns

SEVEN = ("amplitude", "clevertap", "hubspot", "intercom", "mixpanel", "moengage", "salesforce")
SEVEN_FLOOR, ALL_FLOOR = 0.95, 0.85

needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason=f"no vectors at {VECTORS}")


def differing(column: Column) -> str:
    return "\n".join(f"{r.case}: {r.reason}" for r in column.results if r.outcome == "differs")


@needs_vectors
@pytest.mark.parametrize("slug", SEVEN)
def test_the_seven_send_what_segment_sends(slug: str) -> None:
    columns = segment_columns(slug)
    assert columns
    for column in columns:
        assert column.share is not None
        assert column.share >= SEVEN_FLOOR, f"{column.kind}:\n{differing(column)}"


@needs_vectors
def test_all_that_are_said_to_match_do() -> None:
    columns = [column for slug in catalog().slugs() for column in segment_columns(slug)]
    for kind in {column.kind for column in columns}:
        of_kind = [column for column in columns if column.kind == kind]
        results = [result for column in of_kind for result in column.results]
        whole = Column("all", kind, results)
        assert whole.share is not None
        assert whole.share >= ALL_FLOOR, "\n".join(
            f"{column.slug}: {column.share}" for column in of_kind
        )


def request(**members: object) -> dict[str, object]:
    return {"method": "POST", "url": "https://a.b/c", "headers": {}, "body": None, **members}


def test_requests_are_compared_by_meaning() -> None:
    left = request(url="https://a.b/c?x=1&y=%20", body={"a": 1, "b": [{"c": "2"}], "d": '{"e":1}'})
    right = request(
        url="https://a.b/c?y=+&x=1", body={"d": '{ "e": 1.0 }', "b": [{"c": "2"}], "a": 1.0}
    )
    assert requests_difference([left], [right]) == ""
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert (
        requests_difference(
            [request(headers=form, body={"k": "v"})], [request(headers=form, body="k=v")]
        )
        == ""
    )


@pytest.mark.parametrize(
    ("wanted", "found", "says"),
    [
        ({"body": {"a": 1}}, {"body": {"a": "1"}}, "body.a: '1', not 1"),
        ({"body": {"a": True}}, {"body": {"a": 1}}, "body.a: 1, not True"),
        ({"body": {"a": 1}}, {"body": {}}, "body"),
        ({"body": {"a": [1]}}, {"body": {"a": [1, 2]}}, "body.a: 2 items, not 1"),
        ({"body": {"a": {}}}, {"body": {"a": {"b": 1}}}, "body.a.b: 1 is more"),
        ({"method": "PUT"}, {}, "method"),
        ({"url": "https://a.b/d"}, {}, "url.base"),
        ({"headers": {"X-A": "1"}}, {}, "headers.x-a: '1' is missing"),
    ],
)  # fmt: skip
def test_differences_are_told(
    wanted: dict[str, object], found: dict[str, object], says: str
) -> None:
    assert says in requests_difference([request(**wanted)], [request(**found)])


def test_what_is_ignored_and_what_is_contained() -> None:
    assert without({"a": [{"b": 1, "c": 2}, {"c": 3}]}, ["a.*.c"]) == {"a": [{"b": 1}, {}]}
    one, two = request(body={"a": 1}), request(body={"a": 2})
    assert contained_difference([one], [two, one]) == ""
    assert contained_difference([one, one], [two, one]) != ""
    assert contained_difference([one], [], []) == "nothing is sent, not https://a.b/c"
