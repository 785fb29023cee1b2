"""A mutator for where there is no atheris: blind, but the same for the same seed."""

from __future__ import annotations

import mmap
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # atheris has to see it imported first
    from tests.fuzz.targets import Target

CORPUS = Path(__file__).parent / "corpus"
_MOST_BYTES = 20_000
_SLOW_SECONDS = 2.0


def corpus(name: str) -> list[bytes]:
    """A target's own inputs, in order."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def mutations(seeds: list[bytes], tokens: list[bytes], seed: int) -> Iterator[bytes]:
    """Endless inputs made from `seeds`."""
    dice = random.Random(seed)
    while True:
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.choice((1, 1, 2, 3, 8))):
            _change(data, seeds, tokens, dice)
        yield bytes(data[:_MOST_BYTES])


def _change(data: bytearray, seeds: list[bytes], tokens: list[bytes], dice: random.Random) -> None:
    at = dice.randint(0, len(data))
    to = min(len(data), at + dice.choice((1, 1, 2, 4, 16, 64)))
    how = dice.randrange(7)
    if how <= 1:
        data[at:at] = dice.choice(tokens)
    elif how == 2:
        data[at:to] = dice.choice(tokens)
    elif how == 3:
        del data[at:to]
    elif how == 4:
        data[at:at] = data[at:to] * dice.choice((1, 2, 50))
    elif how == 5:
        other = dice.choice(seeds)
        start = dice.randint(0, len(other))
        data[at:to] = other[start : start + dice.choice((4, 16, 64))]
    elif at < len(data):
        data[at] ^= 1 << dice.randrange(8)


class Recorder:
    """Keeps the input under way in a file, which outlives a crash of the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(_MOST_BYTES + 4))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def note(self, data: bytes) -> None:
        """Four bytes of length, little endian, and the input."""
        self._map[:4] = len(data).to_bytes(4, "little")
        self._map[4 : 4 + len(data)] = data


def check(target: Target, data: bytes) -> None:
    """Run one input. Raises where it finds a bug, and where it takes too long."""
    begun = time.perf_counter()
    try:
        target.run(data)
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}\ninput: {data!r}") from error
    taken = time.perf_counter() - begun
    assert taken < _SLOW_SECONDS, f"took {taken:.1f} s\ninput: {data!r}"


def fuzz(name: str, target: Target, seconds: float, seed: int, recorder: Recorder | None) -> int:
    """Run the corpus and mutations of it for `seconds`; returns how many inputs that were."""
    seeds = corpus(name)
    for data in seeds:
        check(target, data)
    end, count = time.monotonic() + seconds, len(seeds)
    for data in mutations(seeds, target.tokens, seed):
        if recorder is not None:
            recorder.note(data)
        check(target, data)
        count += 1
        if count % 16 == 0 and time.monotonic() > end:
            break
    return count
