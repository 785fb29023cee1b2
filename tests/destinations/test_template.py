"""What stands around rows, and what of a request is made once."""

from __future__ import annotations

import pytest

from router.errors import ConfigError, ConfigErrors
from tests.destinations.engine import compiled, event, sent

NOW = """
[headers]
X-Time = "now()"

[actions.track]
when = "true"
fields = {}
"""
PER_USER = """
[actions.track]
when = "true"
path = "`/users/${userId}`"
fields = {}
"""


@pytest.mark.parametrize("text", ["[rows]", "rows ?? 1", "{a: row}"])
def test_rows_inside_an_expression_are_refused(text: str) -> None:
    action = (
        f'[actions.track]\nwhen = "true"\nbatch = {{ events = 5 }}\nbody = {{ all = "{text}" }}\n'
    )
    with pytest.raises((ConfigError, ConfigErrors), match="stands for JSON that is made already"):
        compiled(action)


def test_what_changes_from_request_to_request_is_not_kept() -> None:
    one = compiled(NOW)
    rows = one.rows(event())
    assert [one.request(rows, now).headers["X-Time"] for now in (1000, 2000)] == [
        "1970-01-01T00:00:01.000Z", "1970-01-01T00:00:02.000Z",
    ]  # fmt: skip
    urls = [
        request["url"] for request in sent(compiled(PER_USER), event(userId="a"), event(userId="b"))
    ]
    assert urls == ["https://acme.example/users/a", "https://acme.example/users/b"]


def test_requests_of_one_kind_do_not_share_their_headers() -> None:
    one = compiled('[actions.track]\nwhen = "true"\nfields = {}\n')
    rows = one.rows(event())
    first, second, third = (one.request(rows, 1) for _ in range(3))
    second.headers["X-Own"] = "1"
    assert first.headers == third.headers
    assert "X-Own" not in third.headers


@pytest.mark.parametrize("form", ["form", "query"])
def test_rows_of_a_list_are_forms_and_queries_as_well(form: str) -> None:
    text = f"""
[actions.each]
when = "true"
format = "{form}"
each = "properties.items"
[actions.each.row]
id = "item.id"
"""
    one = compiled(text)
    requests = [
        one.request([row], 1)
        for row in one.rows(event(properties={"items": [{"id": "a b+c"}, {"id": "d&e"}]}))
    ]
    if form == "form":
        assert [request.body for request in requests] == [b"id=a+b%2Bc", b"id=d%26e"]
    else:
        assert [request.url for request in requests] == [
            "https://acme.example/?id=a%20b%2Bc", "https://acme.example/?id=d%26e",
        ]  # fmt: skip
