"""An action whose requests are forms: rows of their own, rows within a member, and the query."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest

from router.destinations import Compiled, compile_destination
from router.destinations.request import Row
from router.destinations.spec import Action, Batching, Setting, Spec
from router.event import Event, restore_event
from router.workspace.models import Destination

DATA = {"messageId": "m & m", "type": "track", "total": 1.5, "tags": ["é", 1], "none": None}


def event() -> Event:
    return restore_event(orjson.dumps(DATA), 7, "web", 0)


def compiled(**more: Any) -> Compiled:
    spec = Spec(
        name="Forms", url='"https://example.com/"', settings={"key": Setting()},
        actions={"send": Action(when="true", format="form", **more)},
    )  # fmt: skip
    instance = Destination(destination="forms", settings={"key": "k/ 1"})
    return compile_destination(spec, "forms", instance)


def row_of(one: Compiled) -> Row:
    [row] = one.rows(event())
    return row


@pytest.mark.parametrize("batch", [None, Batching(events=100)])
def test_a_row_is_a_form_and_alone_in_its_request(batch: Batching | None) -> None:
    one = compiled(row={"id!": "messageId", "t": "total", "g": "tags", "n": "none"}, batch=batch)
    row = row_of(one)
    assert row.body == b"id=m+%26+m&t=1.5&g=%5B%22%C3%A9%22%2C1%5D"
    assert one.request([row], 0).body == row.body
    assert one.batches[0].events == 1


def test_the_events_own_members_are_a_form() -> None:
    one = compiled()
    assert parse_qs(one.request([row_of(one)], 0).body.decode()) == {
        "messageId": ["m & m"], "type": ["track"], "total": ["1.5"], "tags": ['["é",1]'],
    }  # fmt: skip


def test_rows_stand_as_json_within_a_member() -> None:
    one = compiled(
        row={"id": "messageId"},
        body={"api_key": "settings.key", "nothing": "settings.no", "rows": "rows"},
        batch=Batching(events=2),
    )
    row = row_of(one)
    assert parse_qs(one.request([row, row], 0).body.decode()) == {
        "api_key": ["k/ 1"], "rows": ['[{"id":"m & m"},{"id":"m & m"}]']
    }  # fmt: skip


def test_a_query_has_no_plus_for_a_space() -> None:
    one = compiled(query={"k": "settings.key"})
    assert one.request([row_of(one)], 0).url == "https://example.com/?k=k%2F%201"
