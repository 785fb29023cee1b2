"""What a vendor refused for good: JSON Lines files, one folder a destination, with the reason.

A line is on disk (fsync) before its event counts as settled. Lines are replayed by their `id`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import orjson

_FILE_BYTES = 16 * 1024 * 1024
_ANSWER_CHARS = 2000


class DeadLetter(msgspec.Struct, rename="camel", kw_only=True):
    """One row that will not be sent again by itself. Times in milliseconds since 1970."""

    id: str
    """`<offset>-<row>`: the same event dies under the same id."""
    time: int
    destination: str
    message_id: str
    source: str
    reason: str
    attempts: int
    first_attempt: int
    received_at: int
    event: msgspec.Raw
    status: int = 0
    """The answer's HTTP status, 0 where there was none."""
    answer: str = ""
    """What the vendor said, cut and without secrets."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(DeadLetter).decode


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DeadLetters:
    """The dead letters of every destination below `folder`. Blocking: call it in a thread."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._writing = threading.Lock()

    def add(self, destination: str, letters: list[DeadLetter]) -> int:
        """Append and fsync. Returns how many old letters made room (0 as a rule)."""
        with self._writing:
            return self._add(destination, letters)

    def _add(self, destination: str, letters: list[DeadLetter]) -> int:
        folder = self.folder / destination
        folder.mkdir(parents=True, exist_ok=True)
        files = _files(folder)
        fresh = not files or files[-1].stat().st_size >= _FILE_BYTES
        path = folder / f"{time.time_ns()}.jsonl" if fresh else files[-1]
        with path.open("ab") as file:
            if _torn(path):
                file.write(b"\n")
            file.write(b"".join(_line(letter) for letter in letters))
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            _sync_folder(folder)
        return self._make_room([*files, path] if fresh else files)

    def _make_room(self, files: list[Path]) -> int:
        lost, total = 0, sum(path.stat().st_size for path in files)
        for path in files[:-1]:
            if total <= self.max_bytes:
                break
            total -= path.stat().st_size
            lost += sum(1 for _ in _read(path))
            path.unlink()
        return lost

    def destinations(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if _files(path))

    def list(self, destination: str) -> Iterator[DeadLetter]:
        """Oldest first. A line cut off by a crash is left out."""
        for path in _files(self.folder / destination):
            yield from _read(path)

    def remove(self, destination: str, ids: set[str]) -> None:
        """Drop these letters, once they are safe elsewhere. Each file is replaced atomically."""
        with self._writing:
            self._remove(destination, ids)

    def _remove(self, destination: str, ids: set[str]) -> None:
        for path in _files(self.folder / destination):
            letters = list(_read(path))
            kept = [letter for letter in letters if letter.id not in ids]
            if not kept:
                path.unlink()
            elif len(kept) < len(letters):
                aside = path.with_suffix(".tmp")
                with aside.open("wb") as file:
                    file.write(b"".join(_line(letter) for letter in kept))
                    file.flush()
                    os.fsync(file.fileno())
                aside.replace(path)


def _line(letter: DeadLetter) -> bytes:
    letter.reason = letter.reason[:_ANSWER_CHARS]
    return _encode(letter) + b"\n"


def _torn(path: Path) -> bool:
    """Did a crash cut off the last line? What is written behind it would be lost with it."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _read(path: Path) -> Iterator[DeadLetter]:
    with path.open("rb") as file:
        for line in file:
            try:
                yield _decode(line)
            except msgspec.DecodeError:
                continue


def select(
    letters: Iterable[DeadLetter], reason: str = "", since_ms: int = 0
) -> Iterator[DeadLetter]:
    """Those whose reason has `reason` in it, in any case, and that died at `since_ms` or later."""
    wanted = reason.casefold()
    for letter in letters:
        if letter.time >= since_ms and wanted in letter.reason.casefold():
            yield letter


def describe(letter: DeadLetter) -> dict[str, object]:
    """A letter as plain data, its event decoded: what the API and the command line show."""
    plain: dict[str, object] = orjson.loads(_encode(letter))
    return plain
