"""What is fuzzed: one function a target. It takes any bytes, and raises only where there is a bug.

Errors that are an answer (`InvalidBody`, `ExpressionError`, …) are swallowed; whatever else can be
checked without knowing the input is: two ways to the same result agree, what is stored can be read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httptools
import orjson

from router._fast import expr, schema
from router._fast.document import Document
from router._fast.envelope import Envelope, InvalidBody
from router._fast.functions import text_of
from router._fast.http import scan_request
from router._fast.patterns import Pattern
from router._fast.seen import Seen
from router.errors import ExpressionError, PatternError, SchemaError
from router.event import unpack_block


class Target(NamedTuple):
    """`tokens` are what a mutation puts in; bits alone seldom make a word."""

    run: Callable[[bytes], None]
    tokens: list[bytes]


_ENVELOPE = Envelope()
_JSON = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b'""', b"\\", b"\\u00e9", b"\\ud800", b"\\ud83d\\ude00",
    b"null", b"true", b"false", b"0", b"-1", b"1e400", b"1e308", b"9007199254740993", b"0.1", b"\x00",
    b"\xc3\xa9", b"\xff", b'"a":', b'"__proto__":', b" ", b"[" * 200, b'{"a":' * 200, b"1" * 400,
]  # fmt: skip


def envelope(data: bytes) -> None:
    """The first byte tells the path: odd for a batch."""
    batch, body = bool(data[:1]) and data[0] % 2 == 1, data[1:]
    try:
        _ENVELOPE.parse(body, batch)
    except InvalidBody:
        return
    with suppress(RecursionError):
        json.loads(body)
    seen = Seen(b"fuzz" * 4, 24)
    block, count, duplicates, rejections = _ENVELOPE.accept(
        b"web", 1_795_497_771_142, seen, -1 if batch else 0, b"203.0.113.9", 1
    )
    assert _ENVELOPE.events == count + duplicates + len(rejections)
    assert (block is None) == (count == 0)
    if block is not None:
        events = unpack_block(block).events
        assert len(events) == count
        for raw in events:
            assert isinstance(json.loads(raw)["messageId"], str)
            Document(raw)


class _Heard:
    """What llhttp makes of a request."""

    def __init__(self) -> None:
        self.target, self.body, self.done = b"", b"", 0
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.done += 1


def http(data: bytes) -> None:
    """What the short reader takes, the full parser takes and understands alike."""
    found = scan_request(data, 16384, 512_000)
    if found is None:
        return
    target, headers, body = found
    heard = _Heard()
    parser = httptools.HttpRequestParser(heard)
    parser.feed_data(data)
    assert heard.done == 1
    assert (parser.get_method(), parser.get_http_version()) == (b"POST", "1.1")
    assert parser.should_keep_alive()
    assert (heard.target, heard.body) == (target, body)
    kept = [(name, value.rstrip(b" \t")) for name, value in heard.headers if name in headers]
    assert sorted(kept) == sorted(headers.items())


def document(data: bytes) -> None:
    """What the index takes is JSON, and holds the same."""
    try:
        indexed = Document(data)
    except ValueError:
        return
    wanted = orjson.loads(data)
    assert repr(indexed.data()) == repr(wanted)
    for name in wanted:
        assert repr(indexed.get(name)) == repr(wanted[name])


def _halves(data: bytes) -> tuple[str, bytes]:
    text, _, rest = data.partition(b"\n")
    return text.decode("utf-8", "replace"), rest


def expression(data: bytes) -> None:
    """An expression, a line break, an event: the index and the decoded form give the same, and so do
    a form and the JSON of the same row."""
    text, event = _halves(data)
    try:
        compiled = expr.compile(text)
    except ExpressionError:
        return
    now = {"now_ms": 1_795_497_771_142}
    compiled.eval({}, **now)
    try:
        indexed = Document(event)
    except ValueError:
        return
    decoded = orjson.loads(event)
    assert repr(compiled.eval(decoded, **now)) == repr(compiled.eval_doc(indexed, **now))
    assert compiled.test(decoded, **now) is compiled.test_doc(indexed, **now)
    members = orjson.loads(compiled.write_doc(indexed, **now))
    texts = {name: text_of(each) for name, each in members.items()} if type(members) is dict else {}
    form = urlencode({name: text for name, text in texts.items() if text is not None}).encode()
    written = compiled.write_form_doc(indexed, **now)
    assert sorted(written.split(b"&")) == sorted(form.split(b"&"))


def json_schema(data: bytes) -> None:
    """A schema, a line break, a value: a value is valid where there is no violation."""
    text, rest = _halves(data)
    try:
        rules: Any = orjson.loads(text)
        value: Any = orjson.loads(rest)
    except ValueError:
        return
    try:
        compiled = schema.compile(rules)
    except SchemaError:
        return
    valid = compiled.valid(value)
    assert valid is (compiled.violations(value) == [])
    try:
        indexed = Document(rest)
    except ValueError:
        return
    assert compiled.valid_doc(indexed) is valid


def pattern(data: bytes) -> None:
    """A pattern, a line break, a text: its bytes are searched as its characters are."""
    text, rest = _halves(data)
    try:
        compiled = Pattern(text)
    except PatternError:
        return
    subject = rest.decode("utf-8", "replace")
    assert compiled.search(subject) is compiled.search(subject.encode())


TARGETS: dict[str, Target] = {
    "envelope": Target(envelope, [
        *_JSON, b'"batch":[', b'"context":{', b'"integrations":{', b'"userId":', b'"event":"E"',
        b'"messageId":"m"', b'"type":"track"', b'"sentAt":"2026-01-02T03:04:05Z"', b'"timestamp":',
        b'"ip":', b'"library":{"name":"analytics.js"}', b'"direct":true', b'"writeKey":"wk"',
        b'"\\u0075serId":', b'"groupId":1', b'"originalTimestamp":"2015-2-02"',
    ]),
    "http": Target(http, [
        b"\r\n", b"\n", b"\r", b": ", b"POST ", b"GET ", b"/v1/track", b" HTTP/1.1", b" HTTP/1.0",
        b"Content-Length: 0", b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n", b"\t", b"\x00",
        b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Origin: x\r\n", b"\xff", b"+", b"{}",
        b"Authorization: Basic d2s6\r\n", b"Expect: 100-continue\r\n", b"Upgrade: x\r\n", b"#", b"?",
        b"http://h/", b"*", b"Trailer: a\r\n", b"999999999", b"-",
    ]),
    "document": Target(document, _JSON),
    "expr": Target(expression, [
        *_JSON, b" and ", b" or ", b"not ", b" = ", b" != ", b" < ", b"(", b")", b".", b" + ", b" ?? ",
        b"event", b"properties.a", b"contains(", b"lowercase(", b"length(", b"'", b"match(", b"~", b"\n",
    ]),
    "schema": Target(json_schema, [
        *_JSON, b"\n", b'{"type":"object"}', b'"properties":{', b'"required":["a"]', b'"$ref":"#"',
        b'"pattern":"^a+$"', b'"enum":[1]', b'"items":', b'"anyOf":[', b'"not":{}', b'"multipleOf":0.1',
        b'"format":"date-time"', b'"minimum":1', b'"uniqueItems":true', b'"const":null',
        b'"additionalProperties":false', b'"definitions":{"a":{"$ref":"#/definitions/a"}}',
    ]),
    "patterns": Target(pattern, [
        b"(", b")", b"(?:", b"[", b"]", b"[^", b"*", b"+", b"?", b"{1000}", b"{2,}", b"{0,3}", b"|", b"^",
        b"$", b".", b"\\d", b"\\W", b"\\b", b"\\u00e9", b"\\p{L}", b"a", b"\xc3\xa9", b"\n", b"(a+)+", b"-",
        b"\\", b"(?=", b"\\1", b"a" * 100,
    ]),
}  # fmt: skip
"""By the name of the corpus's folder."""
