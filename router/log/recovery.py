"""What a start finds: the segments of a folder, and where the last one really ends."""

from __future__ import annotations

import logging
import os
import re
from itertools import pairwise
from pathlib import Path

from router.log.frame import HEAD_BYTES, find_frame, read_frame, read_head
from router.log.segment import Index, Segment

_log = logging.getLogger(__name__)
_NAME = re.compile(r"(\d{20})\.log\Z")


def find_segments(folder: Path) -> list[Segment]:
    """All segments in offset order; sizes as the files have them."""
    found = []
    for path in folder.iterdir():
        if match := _NAME.match(path.name):
            found.append(Segment(path, int(match[1]), path.stat().st_size))
    found.sort(key=lambda segment: segment.base)
    for segment, following in pairwise(found):
        segment.limit = following.base
    return found


def recover(segment: Segment) -> int:
    """Go through the last segment; sets its size and index, returns the offset after it.

    A torn tail ends it. A damaged frame with whole ones behind it does not: those were
    acknowledged too. What is found is synced, for a process that was killed may have got no further
    than writing it, and whoever reads it from now on relies on its staying.
    """
    data = os.pread(segment.fd, segment.size, 0)
    index = segment.index = Index()
    position, expected = 0, segment.base
    while True:
        head = read_head(data, position)
        if head is not None and head.offset >= expected:
            if read_frame(data, position, head) is not None:
                index.note(head.offset, position, head.time_ms)
                expected = head.offset + head.count
                position += HEAD_BYTES + head.length
                continue
            _log.warning("a frame of the log is torn or damaged", extra={
                "file": segment.path.name, "position": position,
                "bytes": min(HEAD_BYTES + head.length, len(data) - position),
            })  # fmt: skip
        following = find_frame(data, position + 1, expected)
        if following < 0:
            break
        _log.error("damaged bytes inside the log are left out", extra={
            "file": segment.path.name, "position": position, "bytes": following - position,
        })  # fmt: skip
        position = following
    segment.size = position
    os.fdatasync(segment.fd)
    return expected
