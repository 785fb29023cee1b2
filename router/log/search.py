"""Events by their messageId, newest first, without decoding what lies between.

Works on the files alone, so that it can run in a thread while the log is written: a segment that
goes meanwhile is one that is not found.
"""

from __future__ import annotations

import json
import os
import time
from bisect import bisect_right
from collections.abc import Iterator

import msgspec

from router.event import Event, unpack_events
from router.log.frame import HEAD_BYTES, read_frame, read_head
from router.log.segment import Index, Segment

_CHUNK = 4 * 1024 * 1024
_MOST_HITS = 20


class Found(msgspec.Struct):
    """What a search came to."""

    events: list[Event]
    """At most 20, in the log's order."""
    searched_from: int | None
    """Offset from which on all is searched; None where that is nothing."""
    complete: bool
    """False where the time was over before the beginning, or `since_ms`, was reached."""


def find_message(
    segments: list[Segment], message_id: str, since_ms: int = 0, seconds: float = 20.0
) -> Found:
    """The events with `message_id` in the newest segment that has any. Blocking.

    `segments` as `EventLog.segments()` gives them; those that were full before `since_ms` are left
    out. Stops after `seconds`.
    """
    search = _Search(message_id, since_ms, time.monotonic() + seconds)
    searched: int | None = None
    for segment in reversed(segments):
        try:
            events, first_ms = search.segment(segment)
        except FileNotFoundError:
            break
        except TimeoutError:
            return Found([], searched, False)
        searched = segment.base
        if events or first_ms < since_ms:
            return Found(events, searched, True)
    return Found([], searched, True)


class _Search:
    def __init__(self, message_id: str, since_ms: int, deadline: float) -> None:
        self._id, self._since_ms, self._deadline = message_id, since_ms, deadline
        # An id is kept as its client had escaped it.
        spelled = {
            json.dumps(message_id, ensure_ascii=False).encode(errors="surrogatepass"),
            json.dumps(message_id).encode(),
        }
        self._needles = [b'{"messageId":%b,"receivedAt":"' % each for each in spelled]

    def segment(self, segment: Segment) -> tuple[list[Event], int]:
        """What is found in a segment, and when its first event was received (0: it has none)."""
        descriptor = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            head = read_head(os.pread(descriptor, HEAD_BYTES, 0), 0)
            first_ms = head.time_ms if head is not None and segment.size else 0
            return self._events(descriptor, segment), first_ms
        finally:
            os.close(descriptor)

    def _events(self, descriptor: int, segment: Segment) -> list[Event]:
        found: list[Event] = []
        past = 0
        for hit in self._hits(descriptor, segment.size):
            if hit < past:
                continue
            block, past = _block_at(descriptor, segment, hit)
            found += [event for event in block if self._is_wanted(event)]
            if len(found) >= _MOST_HITS:
                break
        return found[:_MOST_HITS]

    def _is_wanted(self, event: Event) -> bool:
        return event.message_id == self._id and event.time_ms >= self._since_ms

    def _hits(self, descriptor: int, size: int) -> Iterator[int]:
        """Where in the file an event may begin that is looked for, ascending."""
        overlap = max(map(len, self._needles)) - 1
        for start in range(0, size, _CHUNK):
            data = os.pread(descriptor, min(_CHUNK + overlap, size - start), start)
            for at in sorted(at for needle in self._needles for at in _places(data, needle)):
                if time.monotonic() > self._deadline:
                    raise TimeoutError
                yield start + at
            if time.monotonic() > self._deadline:
                raise TimeoutError


def _places(data: bytes, needle: bytes) -> Iterator[int]:
    at = data.find(needle)
    while at >= 0:
        yield at
        at = data.find(needle, at + 1)


def _block_at(descriptor: int, segment: Segment, hit: int) -> tuple[list[Event], int]:
    """The events of the frame around byte `hit`, and where it ends; ([], hit + 1) in none."""
    # The segment's own descriptor and index belong to the loop.
    index = segment.index or Index.load(segment.index_path, segment.size) or Index()
    place = bisect_right(index.positions, hit) - 1
    position = index.positions[place] if place >= 0 else 0
    while position <= hit:
        head = read_head(os.pread(descriptor, HEAD_BYTES, position), 0)
        if head is None or not segment.base <= head.offset < segment.limit:
            break
        end = position + HEAD_BYTES + head.length
        if hit < end:
            block = read_frame(os.pread(descriptor, end - position, position), 0, head)
            try:
                return unpack_events(block or b"", head.offset, head.time_ms), end
            except ValueError:
                break
        position = end
    return [], hit + 1
