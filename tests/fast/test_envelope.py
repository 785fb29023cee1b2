"""What becomes of a body, against `tests.reference.envelope`; times, against datetime."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from router._fast.envelope import (
    CODES,
    Envelope,
    InvalidBody,
    format_time,
    mend_surrogates,
    parse_time,
)
from router._fast.seen import Seen
from router.event import KINDS, unpack_block
from tests.reference import envelope as reference

NOW = 1_795_497_771_142
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ENVELOPE = Envelope()
"""One for all examples, as in the router: nothing of a body may be left for the next."""


def run(body: bytes, batch: bool, **options: Any) -> reference.Outcome:
    """The envelope's result, in the reference's terms."""
    key = ENVELOPE.parse(body, batch)
    ip = options.pop("ip", "").encode()
    seen = Seen(b"0" * 16, 24)
    block, count, duplicates, rejections = ENVELOPE.accept(b"web", NOW, seen, ip=ip, **options)
    events = []
    if block is not None:
        unpacked = unpack_block(block)
        assert unpacked.source == "web"
        for raw, kind, flags in zip(unpacked.events, unpacked.kinds, unpacked.flags, strict=True):
            assert raw.startswith(b'{"messageId":"')
            event = reference.decode(raw)
            assert KINDS[kind] == event["type"]
            assert flags == (
                isinstance(event.get("integrations"), dict) and event["integrations"] != {}
            )
            if UUID.fullmatch(event["messageId"]):
                event["messageId"] = reference.FRESH
            events.append(event)
    assert count == len(events)
    return reference.Outcome(
        None if key is None else key.decode(), events, duplicates, [r[:2] for r in rejections]
    )


def check(body: bytes, batch: bool, **options: Any) -> None:
    try:
        wanted = reference.accept(body, batch, NOW, set(), **options)
    except ValueError:
        with pytest.raises(InvalidBody):
            ENVELOPE.parse(body, batch)
        return
    assert run(body, batch, **options) == wanted


texts = st.text(max_size=6) | st.sampled_from(
    ["u", "\ud800", "a\udc00", "😀", '"\\/\b', "\x00\x1f"]
)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.just(10**310)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
ids = texts | st.integers() | st.sampled_from(["", None, 1.5, {}, [], True, False])
times = values | st.sampled_from([
    "2026-01-02T03:04:05.678Z", "2015-2-02T00:30:08.276Z", "2026-01-02T03:04:05+02:00", "20200101",
    1767323045678, 1767323045.5, "1767323045", -1, 99_999_999_999, 100_000_000_000, 1e300,
])  # fmt: skip
libraries = st.sampled_from(["analytics.js", "analytics-node", "analytics-swift/1", "RudderStack"])
contexts = values | st.fixed_dictionaries({}, optional={
    "ip": st.sampled_from(["1.2.3.4", None, ""]), "direct": st.booleans() | values,
    "library": st.fixed_dictionaries({"name": libraries | values}) | values,
    "traits": values, "é": values,
})  # fmt: skip
integrations = values | st.dictionaries(
    st.sampled_from(["All", "Mixpanel", "é"]), st.booleans() | values
)
members: dict[str, st.SearchStrategy[Any]] = {
    "userId": ids, "anonymousId": ids, "groupId": ids, "previousId": ids, "event": texts | values,
    "messageId": ids | st.sampled_from(["m1", "m2", "é" * 100, "😀" * 101]), "timestamp": times,
    "originalTimestamp": times, "sentAt": times, "receivedAt": times, "projectId": values,
    "writeKey": texts | values, "type": st.sampled_from([*KINDS, "Track", "", None, 1]),
    "context": contexts, "integrations": integrations, "properties": values, "traits": values,
    "__proto__": values, "batch": values,
}  # fmt: skip
optional = st.fixed_dictionaries({}, optional=members)
full = {"userId": "u", "event": "E", "groupId": "g", "previousId": "p", "type": "track"}
events = st.builds(
    lambda event, more, kind: {**full, "type": kind, **event, **more} if kind else {**event, **more},
    optional, st.dictionaries(texts, values, max_size=2), st.sampled_from(["", "", *KINDS]),
)  # fmt: skip
batches = st.fixed_dictionaries(
    {"batch": st.lists(events | values, max_size=4)},
    optional={"context": contexts, "integrations": integrations, "sentAt": times,
              "writeKey": texts | values, "sequence": values},
)  # fmt: skip
spacing = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\r ")])
options = st.fixed_dictionaries({}, optional={
    "ip": st.just("203.0.113.9"), "client": st.sampled_from([-1, 0, 1]),
    "depth": st.sampled_from([8, 100]), "message_id_chars": st.sampled_from([5, 100]),
})  # fmt: skip


def encode(value: Any, escaped: bool, separators: tuple[str, str]) -> bytes:
    # A lone surrogate can only be sent as an escape.
    text = json.dumps(value, ensure_ascii=True, separators=separators)
    if not escaped:
        plain = json.dumps(value, ensure_ascii=False, separators=separators)
        try:
            return plain.encode()
        except UnicodeEncodeError:
            pass
    return text.encode()


@settings(max_examples=300, deadline=None)
@given(events, st.integers(0, 5), st.booleans(), spacing, options)
def test_a_single_event(
    event: Any, kind: int, escaped: bool, separators: tuple[str, str], more: dict[str, Any]
) -> None:
    check(encode(event, escaped, separators), False, kind=kind, **more)


@settings(max_examples=300, deadline=None)
@given(batches, st.booleans(), spacing, options)
def test_a_batch(
    batch: Any, escaped: bool, separators: tuple[str, str], more: dict[str, Any]
) -> None:
    check(encode(batch, escaped, separators), True, **more)


@settings(max_examples=300, deadline=None)
@given(st.builds(encode, events | batches, st.booleans(), spacing), st.integers(0, 10_000),
       st.integers(0, 3), st.binary(max_size=4), st.booleans())  # fmt: skip
def test_a_body_with_a_piece_cut_out_or_put_in(
    body: bytes, at: int, cut: int, junk: bytes, batch: bool
) -> None:
    at %= len(body) + 1
    check(body[:at] + junk + body[at + cut :], batch, kind=-1 if batch else 0)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([
    "{", "}", "[", "]", ",", ":", '"', "\\", "\\u00", "\\ud8", "d", '"batch":[', '"userId":"u"',
    '"event":', '"context":{', "1", "-", "e5", ".", "0", "true", "null", "nul", " ", "\x00", "é",
]), max_size=12).map("".join), st.booleans())  # fmt: skip
def test_tokens_in_any_order(text: str, batch: bool) -> None:
    check(text.encode(), batch, kind=-1 if batch else 0)
    check(b'{"batch":[{' + text.encode() + b"}]}", True)


@settings(max_examples=300, deadline=None)
@given(st.permutations(["userId", "context", "messageId", "\\u0075serId", "con\\u0074ext", "x"]),
       st.lists(st.sampled_from(["userId", "context", "messageId", "integrations", "sentAt"]), max_size=9))  # fmt: skip
def test_names_given_again_or_with_escapes(names: list[str], again: list[str]) -> None:
    pairs = [f'"{name}":{{"n":{i}}}' if "on" in name else f'"{name}":"{i}"'
             for i, name in enumerate(names + again)]  # fmt: skip
    check(("{" + ",".join(pairs) + "}").encode(), False, kind=1)


def test_an_events_own_member_wins_however_its_name_is_spelt() -> None:
    own = r'{"type":"page","userId":"u","context":{"\u00e9":1,"\u0069p":"1.2.3.4"}}'
    for name in ("é", r"\u00E9", r"\u00e9"):
        body = f'{{"batch":[{own}],"context":{{"{name}":2,"b":3}}}}'.encode()
        check(body, True, ip="203.0.113.9", client=1)


def test_every_refusal_has_a_known_code() -> None:
    ENVELOPE.parse(b'{"batch":[1,{},{"type":"track"}]}', True)
    found = ENVELOPE.accept(b"web", NOW, Seen(b"0" * 16, 24))
    assert [r[1] for r in found[3]] == ["invalid_event", "unknown_type", "no_user_anon_id"]
    assert {r[1] for r in found[3]} <= CODES
    assert [r[4] for r in found[3]] == [b"1", b"{}", b'{"type":"track"}']


def test_events_past_the_most_are_counted_and_not_kept() -> None:
    ENVELOPE.parse(b'{"batch":[{},{},{},{},{}]}', True, 3)
    assert ENVELOPE.events == 5
    assert len(ENVELOPE.rejections("x", "", "")) == 3
    with pytest.raises(InvalidBody):
        ENVELOPE.parse(b'{"batch":[{},{},{},{},{]}', True, 3)


# Times


@settings(max_examples=800, deadline=None)
@given(st.one_of(
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.builds(lambda moment, zone: moment.isoformat() + zone, st.datetimes(),
              st.sampled_from(["Z", "z", "+00:00", "-0530", "+14", " +01:00", "+1:5", "+24:00", "-00:60"])),
    st.builds(lambda y, m, d, rest: f"{y:04}-{m}-{d:02}{rest}", st.integers(0, 9999),
              st.integers(0, 13), st.integers(0, 32),
              st.sampled_from(["", "T1:02", "t23:59:60", " 24:00:00", "T24:00:01", "T12:00:00,5",
                               "T12:00:00.", "T12:60:00", "T", "x", "T12:00:00.1234567891Z"])),
    st.integers(-10**16, 10**16).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-10**12, max_value=10**12).map(str),
    st.from_regex(r"[0-9]{1,5}-[0-9]{1,3}-[0-9]{1,3}([T ][0-9:.+Z-]{0,20})?", fullmatch=True),
    st.text(alphabet="0123456789-:.TZ+ e", max_size=26),
))  # fmt: skip
@example("2015-2-02T00:30:08.276Z")
@example("-0")
@example("1.")
@example("9999-12-31T24:00:00Z")
def test_times_against_datetime(text: str) -> None:
    wanted = reference.parse_time(text)
    assert parse_time(text.encode()) == wanted
    if wanted is not None:
        assert format_time(wanted) == reference.format_time(wanted)


@given(st.integers(-62_167_219_200_000, 253_402_300_799_999))
def test_a_time_formatted_is_read_back(ms: int) -> None:
    assert parse_time(format_time(ms).encode()) == ms


@pytest.mark.parametrize(("ms", "text"), [
    (-(2**63), "0000-01-01T00:00:00.000Z"), (2**63 - 1, "9999-12-31T23:59:59.999Z"),
    (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
])  # fmt: skip
def test_times_beyond_what_can_be_written(ms: int, text: str) -> None:
    assert format_time(ms) == text


# Bytes that are meant to hurt


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_refused_or_read(data: bytes, batch: bool) -> None:
    check(data, batch, kind=-1 if batch else 0)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(
    [r"\ud83d", r"\ude00", r"\\", r"\n", "u", "d800", r"\uD800", "x"]), max_size=10).map("".join))  # fmt: skip
def test_lone_surrogates_are_mended_and_nothing_else(text: str) -> None:
    body = f'{{"x":"{text}"}}'.encode()
    mended = mend_surrogates(body)
    assert len(mended) == len(body)
    assert json.loads(mended) == {"x": reference._mend(json.loads(body)["x"])}


@pytest.mark.parametrize("piece", [b"[", b'{"a":', b'"a":1,', b'{"batch":[', b"\\ud800", b"-", b"1",
                                   b'{"context":{', b'"context":{},', b" ", b'{"messageId":"m"},'])  # fmt: skip
@pytest.mark.parametrize("before", [b"", b"{", b'{"batch":[', b'{"a":"', b'{"context":{', b'{"a":'])
def test_a_megabyte_of_anything_takes_no_time(before: bytes, piece: bytes) -> None:
    body = before + piece * (1_000_000 // len(piece))
    for batch in (False, True):
        begun = time.perf_counter()
        try:
            ENVELOPE.parse(body, batch)
            ENVELOPE.accept(b"web", NOW, Seen(b"0" * 16, 24), kind=-1 if batch else 0)
        except InvalidBody:
            pass
        assert time.perf_counter() - begun < 1
