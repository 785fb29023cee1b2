"""An instance: its filters stand before its mapping, and what is tried again is the event as it came."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from router.destinations import catalog, compile_destination
from router.destinations.compiled import Compiled
from router.errors import ConfigErrors
from router.event import restore_event
from router.workspace.models import Destination, Filter


def webhook(filters: list[Filter], **more: Any) -> Compiled:
    settings = {"url": "https://example.com/"}
    instance = Destination(destination="webhook", settings=settings, filters=filters, **more)
    return compile_destination(catalog().spec("webhook"), "hook", instance)


EVENT = restore_event(
    orjson.dumps({
        "messageId": "m", "type": "track", "event": "E", "userId": "u",
        "properties": {"email": "a@example.com", "total": 5},
    }), 7, "web", 0,
)  # fmt: skip


def test_filters_change_what_is_sent_and_nothing_else() -> None:
    compiled = webhook([
        Filter(do="hash_properties", paths=["properties.email"]),
        Filter(do="drop_properties", paths=["properties.total"], if_='type = "track"'),
    ])  # fmt: skip
    before = EVENT.raw
    rows = compiled.map(EVENT)
    assert isinstance(rows, list)
    sent = orjson.loads(rows[0].body)
    assert len(sent["properties"].pop("email")) == 64
    assert sent["properties"] == {}
    assert rows[0].event is EVENT
    assert EVENT.raw == before
    assert orjson.loads(before) == EVENT.data


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ([Filter(do="drop", if_="properties.total < 10")], "filters"),
        ([Filter(do="only", if_="properties.total > 10")], "filters"),
        ([Filter(do="sample", percent=0.0)], "filters"),
    ],
)
def test_what_a_filter_drops_is_told(filters: list[Filter], reason: str) -> None:
    assert webhook(filters).map(EVENT) == reason


def test_a_filter_that_leaves_the_event_alone_costs_no_copy() -> None:
    rows = webhook([Filter(do="drop", if_="properties.total > 10")]).map(EVENT)
    assert isinstance(rows, list)
    assert rows[0].body is EVENT.raw


def test_the_older_ways_go_first() -> None:
    assert webhook([], filter='type = "page"').map(EVENT) == "filter"


def test_a_wrong_filter_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigErrors, match=r"filters\[0\]\.if"):
        webhook([Filter(do="drop", if_="total >")])
