"""What a file can say of an action: fields, rows, requests, inheritance, and what instances change."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs

import pytest

from router.destinations import NotApplicable
from router.destinations.inherit import inherited
from router.errors import ConfigError, ConfigErrors
from tests.destinations.engine import compiled, event, sent

TRACK = """
[settings.key]
default = "k"

[actions.track]
when = 'type = "track"'

[actions.track.fields]
"user!" = { default = "userId ?? anonymousId", type = "text" }
total = { default = "properties.total", type = "number" }
tags = { default = "properties.tags", type = "text", multiple = true }
items = { default = "properties.items", type = "object", multiple = true, members = ["id!", "n"] }
more = { default = "properties.more", type = "object", members = ["a"] }
"""


def bodies(text: str, *events: Any, **more: Any) -> list[Any]:
    return [request["body"] for request in sent(compiled(text, **more), *events)]


def test_fields_are_the_row_and_have_types() -> None:
    properties = {
        "total": "9.50",
        "tags": "new",
        "items": {"id": 1, "x": 2},
        "more": {"a": 1, "b": 2},
    }
    [body] = bodies(TRACK, event(userId=5, properties=properties))
    assert body == {
        "user": "5",
        "total": 9.5,
        "tags": ["new"],
        "items": [{"id": 1}],
        "more": {"a": 1},
    }


@pytest.mark.parametrize("total", [[1, 2], {}, "nine", "", None])
def test_what_cannot_be_converted_is_left_out(total: Any) -> None:
    assert bodies(TRACK, event(properties={"total": total})) == [{"user": "u"}]


def test_an_event_that_lacks_a_field_is_not_applicable() -> None:
    one = compiled(TRACK)
    with pytest.raises(NotApplicable, match="user is required by acme's action track"):
        one.map(event(userId=None))
    assert one.not_applicable == {("track", "user"): 1}


def test_what_one_action_lacks_does_not_hold_back_another() -> None:
    both = (
        TRACK
        + """
[actions.other]
like = "track"
fields = { user = "traits.user" }
"""
    )
    one = compiled(both)
    assert len(one.rows(event())) == 1
    assert one.not_applicable == {("other", "user"): 1}


def test_an_action_may_pass_over_what_lacks_a_field() -> None:
    assert compiled(TRACK.replace("when", 'missing = "skip"\nwhen')).rows(event(userId=None)) == []


def test_requests_that_read_the_event_share_a_batch_only_where_they_are_alike() -> None:
    text = (
        TRACK
        + """
[actions.track.row]
u = "fields.user"
"""
    )
    text = text.replace("when = ", """path = "`/of/${url_encode(fields.user)}`"
query = { k = "settings.key", t = "properties.t" }
headers = { X-Type = "type", X-Now = "now()" }
body = { inner = { rows = "rows", of = "event" } }
batch = { events = 10 }
when = """)  # fmt: skip
    requests = sent(
        compiled(text), event(), event(userId="a/b"), event(properties={"t": "1"}), event()
    )
    assert [request["url"] for request in requests] == [
        "https://acme.example/of/u?k=k", "https://acme.example/of/a%2Fb?k=k",
        "https://acme.example/of/u?k=k&t=1",
    ]  # fmt: skip
    assert requests[0]["body"] == {"inner": {"rows": [{"u": "u"}, {"u": "u"}], "of": "E"}}
    assert requests[0]["headers"]["X-Type"] == "track"
    assert requests[0]["headers"]["X-Now"] == "2026-01-02T03:04:05.678Z"


def test_a_header_holds_no_line_end() -> None:
    text = TRACK.replace("when = ", 'headers = { X-Event = "event" }\nwhen = ')
    [request] = sent(compiled(text), event(event="a\r\nSet-Cookie: b"))
    assert request["headers"]["X-Event"] == "aSet-Cookie: b"


def test_each_makes_rows_of_one_event() -> None:
    text = """
[actions.items]
when = "true"
each = "properties.items"
batch = { events = 2 }
row = { id = "item.id", by = "userId" }
"""
    items = [{"id": 1}, {"id": 2}, {"id": 3}]
    assert bodies(text, event(properties={"items": items})) == [
        [{"id": 1, "by": "u"}, {"id": 2, "by": "u"}], [{"id": 3, "by": "u"}],
    ]  # fmt: skip
    assert bodies(text, event()) == []


def formatted(kind: str, row: str, more: str = "") -> str:
    return f"""
[actions.a]
when = "true"
format = "{kind}"
{more}
row = {row}
"""


def test_the_formats() -> None:
    row = '{ u = "userId", e = "event" }'
    [query] = sent(compiled(formatted("query", row, 'method = "GET"')), event(event="a b"))
    assert (query["url"], query["body"]) == ("https://acme.example/?u=u&e=a%20b", "")
    assert "Content-Type" not in query["headers"]
    [none] = sent(compiled(formatted("none", row, 'method = "DELETE"')), event())
    assert (none["method"], none["body"]) == ("DELETE", "")
    lines = formatted("ndjson", row, "batch = { events = 5 }")
    assert bodies(lines, event(), event()) == ['{"u":"u","e":"E"}\n{"u":"u","e":"E"}\n']
    texts = formatted("text", '"`${event},${userId}`"', "batch = { events = 5 }")
    assert bodies(texts, event(), event(event="F")) == ["E,u\nF,u"]
    [form] = sent(compiled(formatted("form", row, 'body = { d = "row", k = "event" }')), event())
    assert form["body"] == {"d": '{"u":"u","e":"E"}', "k": "E"}


def test_multipart_is_the_same_for_the_same_row() -> None:
    one = compiled(formatted("multipart", '{ u = "userId", e = "event" }'))
    first, second = sent(one, event(event="é\r\n--x"), event(event="é\r\n--x"))
    assert first == second
    boundary = first["headers"]["Content-Type"].partition("boundary=")[2]
    parts = first["body"].split(f"--{boundary}")
    assert parts[0] == ""
    assert parts[2] == '\r\nContent-Disposition: form-data; name="e"\r\n\r\né\r\n--x\r\n'
    assert parts[3] == "--\r\n"


PARTS = """
[actions.group]
when = 'type = "group"'
path = '"/groups"'
fields = { "id!" = "groupId", traits = "traits" }

[actions.member]
part_of = "group"
if = "exists(userId)"
path = '"/members"'
row = { user = "userId", group = "fields.id" }
"""


def test_a_further_request_follows_its_action() -> None:
    one = event(type="group", groupId="g")
    assert [each["body"] for each in sent(compiled(PARTS), one)] == [
        {"id": "g"}, {"user": "u", "group": "g"}
    ]  # fmt: skip
    alone = event(type="group", groupId="g", userId=None)
    assert len(sent(compiled(PARTS), alone)) == 1
    mapped = compiled(PARTS, mappings={"group": {"fields": {"id": "traits.key"}}})
    assert sent(mapped, event(type="group", traits={"key": "k"}))[1]["body"]["group"] == "k"
    off = compiled(PARTS, mappings={"group": {"enabled": False}})
    assert sent(off, one) == []


def test_like_takes_over_all_but_what_is_given() -> None:
    text = (
        TRACK
        + """
[actions.page]
like = "track"
when = 'type = "page"'
fields = { user = "anonymousId", extra = "name" }
"""
    )
    one = compiled(text)
    assert bodies(text, event(type="page", anonymousId=7, name="Home")) == [
        {"user": "7", "extra": "Home"}
    ]
    assert one.spec.actions["page"].missing == "dead_letter"
    with pytest.raises(NotApplicable):
        one.map(event(type="page", anonymousId=None))


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        ({"a": {"like": "b"}, "b": {"like": "a"}}, "takes from itself"),
        ({"a": {"like": "c"}, "b": {}}, "there is no action `c`"),
        ({"a": {"when": "true"}, "b": {"part_of": "a", "when": "true"}}, "neither `when`"),
    ],
)
def test_wrong_inheritance_is_refused(actions: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        inherited({"actions": actions}, None)


def test_an_instance_maps_fields_in_expressions_and_in_segments_json() -> None:
    mapped = {"track": {"when": 'event = "E"', "fields": {
        "user": {"@path": "$.anonymousId"}, "total": "1 + 1", "tags": '"a"'}}}  # fmt: skip
    [body] = bodies(TRACK, event(anonymousId="a"), event(event="F"), mappings=mapped)
    assert body == {"user": "a", "total": 2, "tags": ["a"]}


def test_segments_subscription_runs_as_it_was_exported() -> None:
    mapped = {"Order Completed": {
        "action": "track", "subscribe": 'type = "track" and properties.total > 5',
        "mapping": '{"user": "fixed", "total": {"@path": "$.properties.total"}, "enable_batching": true}',
    }}  # fmt: skip
    found = bodies(
        TRACK, event(properties={"total": 9}), event(properties={"total": 1}),
        mappings=mapped, presets=False,
    )  # fmt: skip
    assert found == [{"user": "fixed", "total": 9}]


@pytest.mark.parametrize(
    ("mappings", "says"),
    [
        ({"trak": {}}, "`mappings.trak`: there is no action `trak` (did you mean `track`?)"),
        ({"x": {"action": "y"}}, "`mappings.x.action`: there is no action `y`"),
        ({"track": {"fields": {"usr": "1"}}}, "has no field `usr`"),
        ({"track": {"fields": {"user": "1 +"}}}, "`mappings.track.fields.user`, column"),
        ({"track": {"fields": {"user": {"@pth": 1}}}}, "no directive `@pth`"),
        ({"track": {"when": "a", "subscribe": "b"}}, "`when` and `subscribe`"),
        ({"track": {"subscribe": "event"}}, "this is a value, not a test"),
        ({"track": {"mapping": "{"}}, "`mappings.track.mapping` is not JSON"),
        ({"track": {"mapping": "[]"}}, "has to be a JSON object"),
    ],
)
def test_wrong_mappings_are_refused(mappings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        compiled(TRACK, mappings=mappings)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ('row = { a = "fields.usr" }', "no field `usr`"),
        ('row = { a = "lowr(event)" }', "there is no function `lowr`"),
        ('path = "event +"', "`actions.track.path`"),
        ('code = "nothing:here"', "No module named"),
    ],
)
def test_a_wrong_action_is_refused(change: str, says: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        compiled(TRACK.replace("when = ", f"{change}\nwhen = "))
    assert says in str(caught.value)


def test_a_request_has_an_id_of_its_own() -> None:
    text = TRACK.replace(
        "when = ", 'idempotency = "Idempotency-Key"\nbatch = { events = 2 }\nwhen = '
    )
    one, two, three = (event(messageId=name) for name in "abc")
    first, second = sent(compiled(text), one, two, three)
    assert second["headers"]["Idempotency-Key"] == "c"
    assert (
        first["headers"]["Idempotency-Key"]
        == (sent(compiled(text), one, two)[0]["headers"]["Idempotency-Key"])
    )
    assert len(first["headers"]["Idempotency-Key"]) == 36


def test_a_form_takes_what_proves_the_sender() -> None:
    text = """
auth = { body = { key = "settings.key" } }

[settings.key]
default = "s e"

[actions.form]
when = 'type = "track"'
format = "form"
row = { u = "userId" }

[actions.json]
when = 'type = "page"'
row = { u = "userId" }
"""
    form, json = sent(compiled(text), event()), sent(compiled(text), event(type="page"))
    assert parse_qs("key=s+e&u=u") == {key: [value] for key, value in form[0]["body"].items()}
    assert json[0]["body"] == {"key": "s e", "u": "u"}
