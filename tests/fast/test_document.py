"""The index of an event against the decoder that makes objects of everything."""

from __future__ import annotations

import json
import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router._fast.document import Document

NAMES = st.text(max_size=6) | st.sampled_from(["a", "b", "type", "é", 'quo"te', "__proto__"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
EVENTS = st.dictionaries(NAMES, VALUES, max_size=6)


def every_path(value: Any) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = [()]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += [(key, *rest) for rest in every_path(inner)]
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += [(index, *rest) for rest in every_path(inner)]
    return found


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


@given(EVENTS, st.booleans(), st.booleans())
def test_every_value_is_found_as_the_decoder_has_it(
    event: dict[str, Any], ascii_only: bool, spaced: bool
) -> None:
    raw = json.dumps(event, ensure_ascii=ascii_only, indent=1 if spaced else None).encode()
    document = Document(raw)
    decoded = orjson.loads(raw)
    assert document.data() == decoded
    for path in every_path(decoded):
        found, wanted = document.get(*path), at(decoded, path)
        assert found == wanted
        assert type(found) is type(wanted)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_of_members_with_one_name_the_last_counts(members: list[tuple[str, Any]]) -> None:
    body = ",".join(
        f"{json.dumps(key, ensure_ascii=bool(i % 2))}:{json.dumps(value)}"
        for i, (key, value) in enumerate(members)
    )
    document = Document(b"{" + body.encode() + b"}")
    for key, value in orjson.loads(document.raw).items():
        assert document.get(key) == value


@given(st.binary(max_size=60) | EVENTS.map(orjson.dumps).flatmap(
    lambda raw: st.tuples(st.just(raw), st.integers(0, len(raw)), st.binary(max_size=3))
    .map(lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + 1 :])
))  # fmt: skip
def test_what_the_decoder_refuses_is_refused(raw: bytes) -> None:
    try:
        decoded = orjson.loads(raw)
    except orjson.JSONDecodeError:
        decoded = None
    if isinstance(decoded, dict):
        assert Document(raw).data() == decoded
    else:
        with pytest.raises(ValueError):
            Document(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"1",
        b'{"a":1e400}',
        b'{"a":"\\ud800"}',
        b'{"a":1,}',
        b'{"a":1}x',
        b'{"a":' + b"[" * 100_000,
        b'{"a":' + b'{"a":' * 100_000,
        b'{"a"}',
        b"{'a':1}",
        b'{"a":01}',
        b'{"a":"\xff"}',
        b"\x00",
    ],
    ids=lambda raw: repr(raw[:12]),
)
def test_odd_bytes_are_an_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"the event|an event"):
        Document(raw)


def test_what_is_not_there_is_none() -> None:
    document = Document(b'{"a":{"b":[1,{"c":"d"}]},"n":null}')
    assert document.get("a", "b", 1, "c") == "d"
    for path in [("x",), ("a", 0), ("a", "b", 2), ("a", "b", "c"), ("n", "x"), ("a", "b", 0, "c")]:
        assert document.get(*path) is None
    assert len(document) == 7


def test_numbers_are_the_nearest_double() -> None:
    rng = random.Random(7)
    texts = [f"{rng.uniform(-1e9, 1e9):.{rng.randrange(17)}f}" for _ in range(3000)]
    texts += [f"{rng.randrange(10 ** rng.randrange(1, 25))}e{rng.randrange(-40, 40)}"
              for _ in range(3000)]  # fmt: skip
    texts += ["0.1", "-0", "-0.0", "0", "1e0", "123456789012345.6", "0.000000000000001", "5e-324"]
    for text in texts:
        found = Document(b'{"n":' + text.encode() + b"}").get("n")
        assert repr(found) == repr(orjson.loads(text)), text
