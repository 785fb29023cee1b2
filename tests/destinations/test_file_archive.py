"""The file archive: readable by zcat at any time, whole after a crash."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest

from router.destinations.file_archive import Archive, pack_member, whole_length
from router.destinations.outcome import Outcome
from router.destinations.request import Row
from router.event import Event

HOUR = 3_600_000
FIRST = Path("1970-01-01/00.jsonl.gz")


def rows(*texts: str, time_ms: int = 0) -> list[Row]:
    events = [Event(i, "web", 0, 0, text.encode(), time_ms) for i, text in enumerate(texts)]
    return [Row(event, 0, "", event.raw) for event in events]


async def test_batches_append_to_the_hour_of_receipt(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    await archive.send(rows('{"a":1}', '{"a":2}'))
    await archive.send(rows('{"a":3}') + rows('{"b":1}', time_ms=HOUR))
    assert gzip.decompress((tmp_path / FIRST).read_bytes()) == b'{"a":1}\n{"a":2}\n{"a":3}\n'
    second = tmp_path / "1970-01-01" / "01.jsonl.gz"
    assert subprocess.check_output(["zcat", str(second)]) == b'{"b":1}\n'


@pytest.mark.parametrize("cut", [1, 5, 20])
async def test_a_torn_tail_is_cut_off_at_the_next_start(tmp_path: Path, cut: int) -> None:
    await Archive(tmp_path).send(rows('{"a":1}'))
    path = tmp_path / FIRST
    good = path.stat().st_size
    path.write_bytes(path.read_bytes() + pack_member(b'{"lost":1}\n')[:-cut])
    assert whole_length(path) == good
    await Archive(tmp_path).send(rows('{"a":2}'))
    assert gzip.decompress(path.read_bytes()) == b'{"a":1}\n{"a":2}\n'


async def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file, not a folder")
    reply = await Archive(tmp_path / "archive").send(rows("{}"))
    assert reply.verdicts[0].outcome is Outcome.retry
    assert "cannot write the archive" in reply.verdicts[0].reason
