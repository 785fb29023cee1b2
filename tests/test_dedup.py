"""Seen ids across restarts: none that was acknowledged is forgotten, none that was not is kept."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest

from router.dedup import Dedup
from router.event import pack_block
from router.log import EventLog

NOW = int(time.time() * 1000)


def open_log(folder: Path) -> EventLog:
    return EventLog.open(
        folder / "log", segment_bytes=1 << 20, max_bytes=1 << 30, inflight_bytes=1 << 20
    )


def block(*ids: str) -> bytes:
    events = [f'{{"messageId":"{id_}"}}'.encode() for id_ in ids]
    return pack_block("web", [0] * len(ids), [0] * len(ids), events)


def knows(dedup: Dedup, id_: str) -> bool:
    fresh = dedup.seen.add(b"web", id_.encode(), NOW // 3_600_000)
    if fresh:
        dedup.seen.discard(b"web", id_.encode())
    return not fresh


async def test_ids_survive_a_clean_stop_and_a_kill(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    dedup = Dedup.open(tmp_path / "dedup", log, 24)
    dedup.start()
    await log.append_wait(block("a", "b"), 2, NOW)
    await dedup.close()
    await log.append_wait(block("after the last note"), 1, NOW)
    await log.close()

    log = open_log(tmp_path)
    dedup = Dedup.open(tmp_path / "dedup", log, 24)
    assert knows(dedup, "a")
    assert knows(dedup, "b")
    assert knows(dedup, "after the last note")
    assert not knows(dedup, "c")
    await log.close()


async def test_what_the_log_lost_is_not_remembered(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    dedup = Dedup.open(tmp_path / "dedup", log, 24)
    await log.append_wait(block("kept"), 1, NOW)
    await dedup._flush()
    await log.append_wait(block("lost"), 1, NOW)
    await dedup._flush()
    await log.close()
    path = next((tmp_path / "log").glob("*.log"))
    path.write_bytes(path.read_bytes()[:-3])
    log = open_log(tmp_path)
    dedup = Dedup.open(tmp_path / "dedup", log, 24)
    assert knows(dedup, "kept")
    assert not knows(dedup, "lost")
    await log.close()


async def test_ids_the_log_never_had_do_not_come_back_when_it_has_grown(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    dedup = Dedup.open(tmp_path / "dedup", log, 24)
    await log.append_wait(block("kept"), 1, NOW)
    await dedup._flush()
    await log.append_wait(block("lost"), 1, NOW)
    await dedup._flush()
    await log.close()
    path = next((tmp_path / "log").glob("*.log"))
    path.write_bytes(path.read_bytes()[:-3])
    for id_ in ("instead", "later"):
        log = open_log(tmp_path)
        dedup = Dedup.open(tmp_path / "dedup", log, 24)
        assert not knows(dedup, "lost")
        await log.append_wait(block(id_), 1, NOW)
        await log.close()
    log = open_log(tmp_path)
    dedup = Dedup.open(tmp_path / "dedup", log, 24)
    assert [knows(dedup, id_) for id_ in ("kept", "instead", "later", "lost")] == [1, 1, 1, 0]
    await log.close()


async def test_a_clock_set_back_over_an_hour_leaves_no_gap(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    dedup = Dedup.open(tmp_path / "dedup", log, 24)
    hour = 3_600_000
    for number, time_ms in enumerate((NOW - hour, NOW, NOW - hour)):
        await log.append_wait(block(f"m{number}"), 1, time_ms)
    await dedup._flush()
    await log.close()
    newest = max((tmp_path / "dedup").glob("*.ids"))
    newest.write_bytes(b"")
    log = open_log(tmp_path)
    dedup = Dedup.open(tmp_path / "dedup", log, 24)
    assert all(knows(dedup, f"m{number}") for number in range(3))
    await log.close()


async def test_a_restart_reads_only_what_was_not_noted(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    dedup = Dedup.open(tmp_path / "dedup", log, 24)
    await log.append_wait(block("a", "b"), 2, NOW)
    await dedup._flush()
    [path] = (tmp_path / "dedup").glob("*.ids")
    noted = path.stat().st_size
    await log.close()
    for _ in range(2):
        log = open_log(tmp_path)
        Dedup.open(tmp_path / "dedup", log, 24)
        await log.close()
    assert path.stat().st_size == noted


async def test_notes_that_do_not_fit_are_taken_back(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    dedup = Dedup.open(tmp_path / "dedup", log, 24)
    await log.append_wait(block("a"), 1, NOW)
    await dedup._flush()
    [path] = (tmp_path / "dedup").glob("*.ids")
    before = path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, resource.RLIM_INFINITY))
    try:
        records = log.read(0)
        with pytest.raises(OSError, match="No space"):
            dedup._note(records)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert path.read_bytes() == before
    await log.close()


async def test_damaged_and_missing_files_are_read_from_the_log_again(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    dedup = Dedup.open(tmp_path / "dedup", log, 24)
    for number in range(5):
        await log.append_wait(block(f"m{number}"), 1, NOW)
        await dedup._flush()
    await log.close()
    [path] = (tmp_path / "dedup").glob("*.ids")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    for damage in (bytes(data), b"", None):
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage)
        log = open_log(tmp_path)
        dedup = Dedup.open(tmp_path / "dedup", log, 24)
        assert all(knows(dedup, f"m{number}") for number in range(5))
        await log.close()


async def test_the_window_ends(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    old = NOW - 30 * 3_600_000
    dedup = Dedup.open(tmp_path / "dedup", log, 24)
    await log.append_wait(block("old"), 1, old)
    await log.append_wait(block("new"), 1, NOW)
    await dedup._flush()
    await log.close()
    log = open_log(tmp_path)
    dedup = Dedup.open(tmp_path / "dedup", log, 24)
    assert not knows(dedup, "old")
    assert knows(dedup, "new")
    assert len(list((tmp_path / "dedup").glob("*.ids"))) == 1
    await log.close()


async def test_zero_hours_switch_it_off(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    dedup = Dedup.open(tmp_path / "dedup", log, 0)
    dedup.start()
    assert dedup.seen.add(b"web", b"a", 1)
    assert dedup.seen.add(b"web", b"a", 1)
    await dedup.close()
    await log.close()


async def test_asking_for_an_id_leaves_no_mark(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    dedup = Dedup.open(tmp_path / "dedup", log, 24)
    assert not dedup.remembers("web", "a")
    assert dedup.seen.add(b"web", b"a", NOW // 3_600_000)
    assert dedup.remembers("web", "a")
    assert dedup.remembers("web", "a")
    assert not dedup.remembers("app", "a")
    off = Dedup.open(tmp_path / "off", log, 0)
    assert not off.remembers("web", "a")
    await log.close()
