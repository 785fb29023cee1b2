"""Events by messageId in the files of a log."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import orjson
import pytest

from router.event import pack_block
from router.log import EventLog
from router.log.search import find_message

MIB = 1 << 20


def stored(message_id: str, ascii_only: bool = False, **members: object) -> bytes:
    spelled = json.dumps(message_id, ensure_ascii=ascii_only).encode()
    rest = orjson.dumps(members)[1:]
    head = b'{"messageId":%b,"receivedAt":"","type":"track"' % spelled
    return head + (b"," + rest if members else b"}")


async def put(log: EventLog, *events: bytes, time_ms: int = 1, source: str = "web") -> int:
    kinds = [0] * len(events)
    return await log.append_wait(
        pack_block(source, kinds, kinds, list(events)), len(events), time_ms
    )


def open_log(folder: Path) -> EventLog:
    return EventLog.open(folder, segment_bytes=MIB, max_bytes=64 * MIB, inflight_bytes=8 * MIB)


async def test_an_event_is_found_wherever_it_is(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    filler = "x" * 2000
    for number in range(30):
        events = (stored(f"m{number}-{i}", properties={"a": filler}) for i in range(100))
        await put(log, *events, time_ms=1000 + number)
    assert len(log.segments()) > 3
    for number in (0, 7, 15, 29):
        found = find_message(log.segments(), f"m{number}-42")
        [event] = found.events
        assert (event.offset, event.time_ms) == (number * 100 + 42, 1000 + number)
        assert found.complete
    nothing = find_message(log.segments(), "m7-4")
    [event] = nothing.events
    assert event.offset == 704, "an id that begins another"
    found = find_message(log.segments(), "none")
    assert (found.events, found.searched_from, found.complete) == ([], 0, True)
    await log.close()
    log = open_log(tmp_path)
    assert [event.offset for event in find_message(log.segments(), "m15-1").events] == [1501]
    await log.close()


@pytest.mark.parametrize("message_id", ['a"b', "back\\slash", "tab\t", "ümläut", "😀", "/", "[.*"])
@pytest.mark.parametrize("ascii_only", [True, False])
async def test_an_id_is_found_as_its_client_wrote_it(
    tmp_path: Path, message_id: str, ascii_only: bool
) -> None:
    log = open_log(tmp_path)
    await put(log, stored("other"), stored(message_id, ascii_only))
    assert [event.offset for event in find_message(log.segments(), message_id).events] == [1]
    await log.close()


async def test_an_id_inside_an_event_is_not_its_own(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    inner = '{"messageId":"m1","receivedAt":"'
    await put(log, stored("m2", properties=orjson.loads(b'{"messageId":"m1","receivedAt":""}')))
    await put(log, stored("m3", properties={"a": inner}))
    assert find_message(log.segments(), "m1").events == []
    await log.close()


async def test_the_same_id_of_two_sources_is_told_twice(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    await put(log, stored("m1"), source="web")
    await put(log, stored("m1"), source="app")
    found = find_message(log.segments(), "m1").events
    assert [event.source for event in found] == ["web", "app"]
    await log.close()


async def test_since_ends_the_search(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    filler = "x" * 5000
    for number in range(10):
        events = (stored(f"m{number}-{i}", properties={"a": filler}) for i in range(100))
        await put(log, *events, time_ms=1000 + number)
    last = log.segments()[-1].base
    assert find_message(log.segments(), "m0-0").events
    found = find_message(log.segments(), "m0-0", since_ms=1009)
    assert (found.events, found.complete) == ([], True)
    assert 0 < (found.searched_from or 0) <= last
    assert find_message(log.segments(), "m9-0", since_ms=1009).events
    await log.close()


async def test_a_search_has_an_end(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    await put(log, stored("m1"))
    found = find_message(log.segments(), "m1", seconds=-1)
    assert (found.events, found.searched_from, found.complete) == ([], None, False)
    await log.close()


async def test_an_empty_log_has_nothing(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    assert find_message(log.segments(), "m1").events == []
    await log.close()


async def test_a_damaged_frame_hides_only_itself(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for number in range(3):
        await put(log, stored(f"m{number}"))
    path = log.segments()[0].path
    data = path.read_bytes()
    position = data.find(b'"m1"')
    descriptor = os.open(path, os.O_WRONLY)
    os.pwrite(descriptor, b"X", position + 30)
    os.close(descriptor)
    assert find_message(log.segments(), "m1").events == []
    assert [event.offset for event in find_message(log.segments(), "m2").events] == [2]
    assert [event.offset for event in find_message(log.segments(), "m0").events] == [0]
    await log.close()


async def test_it_runs_beside_writing_and_retention(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    filler = "x" * 5000
    stop, failures, searches = threading.Event(), [], 0

    def search() -> None:
        nonlocal searches
        while not stop.is_set():
            for event in find_message(log.segments(), "m1-1").events:
                if event.message_id != "m1-1":
                    failures.append(event)
            searches += 1

    searcher = threading.Thread(target=search)
    searcher.start()
    for number in range(40):
        await put(log, *(stored(f"m{number}-{i}", properties={"a": filler}) for i in range(100)))
        if number % 4 == 3:
            log.sacrifice(log.end - 200)
    stop.set()
    searcher.join()
    assert searches
    assert not failures
    await log.close()
