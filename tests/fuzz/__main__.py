"""`python -m tests.fuzz [TARGET…] [--seconds N] [--seed N]`: fuzz each target for so long.

With atheris where it is installed (coverage of the Python parts guides it), else by blind mutation.
Ends with 1 at the first bug, having shown its input; with 2 where the process itself crashed.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.plain import CORPUS, Recorder, corpus, fuzz, mutations

NAMES = sorted(path.name for path in CORPUS.iterdir())


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=float, default=60, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=None, help="of the plain mutator (the time)")
    parser.add_argument("--plain", action="store_true", help="without atheris even if it is there")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parsed = parser.parse_args(argv)
    for name in parsed.targets:
        if name not in NAMES:
            parser.error(f"there is no target {name!r}; there are {', '.join(NAMES)}")
    return parsed


def run_plain(name: str, seconds: float, seed: int, record: Path) -> None:
    from tests.fuzz.targets import TARGETS

    begun = time.monotonic()
    count = fuzz(name, TARGETS[name], seconds, seed, Recorder(record))
    rate = count / (time.monotonic() - begun)
    print(f"{name}: {count} inputs, {rate:.0f}/s, seed {seed}: no bug", flush=True)


def run_atheris(name: str, seconds: float, found: Path) -> None:
    """Does not return: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["router", "tests.fuzz.targets"]):
        from tests.fuzz.targets import TARGETS
    target, seeds = TARGETS[name], corpus(name)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        # Compiled code shows no coverage, so that libFuzzer's own choice seldom leaves the first.
        return next(mutations([data, *seeds], target.tokens, seed))[:most]

    found.mkdir()
    limits = [
        f"-max_total_time={max(1, round(seconds))}",
        "-timeout=5",
        "-max_len=20000",
        f"-artifact_prefix={found}/",
    ]
    atheris.Setup(
        [name, *limits, str(found), str(CORPUS / name)], target.run, custom_mutator=mutate
    )
    atheris.Fuzz()


def main(argv: list[str]) -> int:
    asked = arguments(argv)
    guided = importlib.util.find_spec("atheris") is not None and not asked.plain
    seed = asked.seed if asked.seed is not None else time.time_ns() % 2**32
    if asked.child:
        faulthandler.enable()
        name, scratch = asked.targets[0], Path(asked.child)
        if guided:
            run_atheris(name, asked.seconds, scratch / "found")
        run_plain(name, asked.seconds, seed, scratch / "input")
        return 0
    # Each in a process of its own, so that a crash is seen and told.
    for name in asked.targets or NAMES:
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, "-m", "tests.fuzz", name, "--child", scratch,
                       "--seconds", str(asked.seconds), "--seed", str(seed)]  # fmt: skip
            command += ["--plain"] if asked.plain else []
            status = subprocess.run(command, env=os.environ, check=False).returncode
            record = Path(scratch, "input")
            if status < 0 and record.exists():
                raw = record.read_bytes()
                data = raw[4 : 4 + int.from_bytes(raw[:4], "little")]
                print(f"{name}: killed by signal {-status}, input: {data!r}", file=sys.stderr)
            if status:
                return 2 if status < 0 else 1
    return 0


sys.exit(main(sys.argv[1:]))
