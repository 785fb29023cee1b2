"""Letters survive what happens around them: a crash in mid-write, a replay while others are written."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec

from router.delivery.dead_letters import DeadLetter, DeadLetters


def letter(number: int) -> DeadLetter:
    return DeadLetter(
        id=f"{number}-0", time=1, destination="d", message_id=f"m{number}", source="web",
        reason="400", attempts=1, first_attempt=1, received_at=1, event=msgspec.Raw(b"{}"),
    )  # fmt: skip


def test_a_line_that_a_crash_cut_off_takes_no_other_with_it(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, 1 << 20)
    letters.add("d", [letter(1), letter(2)])
    [path] = (tmp_path / "d").glob("*.jsonl")
    path.write_bytes(path.read_bytes()[:-10])
    letters.add("d", [letter(3)])
    assert [each.id for each in letters.list("d")] == ["1-0", "3-0"]


def test_what_is_written_during_a_replay_stays(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, 1 << 30)
    letters.add("d", [letter(number) for number in range(2000)])

    def write() -> None:
        for number in range(2000, 2100):
            letters.add("d", [letter(number)])

    writer = threading.Thread(target=write)
    writer.start()
    for number in range(0, 2000, 50):
        letters.remove("d", {f"{each}-0" for each in range(number, number + 50)})
    writer.join()
    assert {each.id for each in letters.list("d")} == {f"{n}-0" for n in range(2000, 2100)}
