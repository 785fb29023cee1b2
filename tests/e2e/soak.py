"""Delivery under trouble for as long as one likes: `python -m tests.e2e.soak [SECONDS]`, 1800 by
default (`make soak`).

Steady load, five destinations of which one is healthy, one flaky, one slow, one is not there and
one refuses; at the end the trouble stops and everything has to be settled. Prints memory, file
descriptors and lag, and fails where the first two grew or the last does not get back to zero.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import psutil

from tests.e2e.faults import FATES, FaultSink, catalogue_file
from tests.e2e.harness import Router
from tests.e2e.load import PacedSender

PACE = 400
"""Events a second."""
SETTINGS = "[delivery]\nretry_first_seconds = 0.2\nretry_max_seconds = 5\n[log]\nhours = 0.01\n"


class Sample(msgspec.Struct):
    """One look at the router's process."""

    seconds: float
    memory: int
    """Bytes of its own: pages of mapped files, such as the retry store's, are the kernel's to take."""
    descriptors: int
    lag: float
    retrying: float


def run(folder: Path, seconds: float, say: Any = print) -> list[Sample]:
    """A soak of `seconds`. Raises `AssertionError` where something grew or was lost."""
    chance = random.Random(1)
    trouble = True

    def flaky(_: list[dict[str, Any]]) -> str:
        return chance.choice(FATES[1:]) if trouble and chance.random() < 0.2 else "ok"

    def slow(_: list[dict[str, Any]]) -> str:
        return "dribble" if trouble and chance.random() < 0.5 else "ok"

    def gone(_: list[dict[str, Any]]) -> str:
        return "hang" if trouble else "ok"

    def refuses(events: list[dict[str, Any]]) -> str:
        return "400" if any(event["properties"]["n"] % 1000 == 0 for event in events) else "ok"

    sinks = {"healthy": FaultSink(), "flaky": FaultSink(flaky), "slow": FaultSink(slow),
             "gone": FaultSink(gone), "refuses": FaultSink(refuses)}  # fmt: skip
    router = Router(folder, SETTINGS)
    (router.workspace / "catalog").mkdir(exist_ok=True)
    router.write("catalog/faulty.toml", catalogue_file(batch=50, timeout=1.0))
    for id_, sink in sinks.items():
        router.write(
            f"destinations/{id_}.toml", f'destination = "faulty"\n[settings]\nurl = "{sink.url}"\n'
        )
    router.start()
    process = psutil.Process(router.pid)
    sender = PacedSender(router.port, PACE)
    sender.start()
    samples: list[Sample] = []
    begun = time.monotonic()

    def look() -> Sample:
        states = router.get("/v1/destinations")
        sample = Sample(
            time.monotonic() - begun, own_memory(process), process.num_fds(),
            max(state["lagEvents"] for state in states),
            sum(state["retrying"] for state in states),
        )  # fmt: skip
        samples.append(sample)
        return sample

    try:
        while time.monotonic() - begun < seconds:
            time.sleep(min(seconds / 20, 15))
            now = look()
            say(f"{now.seconds:6.0f} s  {now.memory >> 20:4d} MiB  {now.descriptors:3d} files  "
                f"lag {now.lag:7.0f}  retrying {now.retrying:7.0f}")  # fmt: skip
        trouble = False
        sender.stop()
        deadline = time.monotonic() + max(90, seconds / 10)
        while (now := look()).lag or now.retrying:
            assert time.monotonic() < deadline, (now, router.log()[-2000:])
            time.sleep(0.5)
        check(router, sinks, sender.acknowledged, samples, say)
    finally:
        assert router.stop() == 0
        for sink in sinks.values():
            sink.close()
    return samples


def own_memory(process: psutil.Process) -> int:
    found = process.memory_info()
    return int(found.rss - found.shared)


def check(
    router: Router, sinks: dict[str, FaultSink], acknowledged: set[str], samples: list[Sample],
    say: Any,
) -> None:  # fmt: skip
    """Nothing lost, nothing grown."""
    for id_, sink in sinks.items():
        dead = {letter["messageId"]
                for letter in router.get(f"/v1/dead-letters/{id_}?limit=10000000")}  # fmt: skip
        missing = acknowledged - set(sink.accepted) - dead
        assert not missing, f"{id_} lost {len(missing)} of {len(acknowledged)}"
        say(f"{id_:8} {len(sink.accepted):8} delivered  {len(dead):6} dead")
    third = max(len(samples) // 3, 1)
    early, late = samples[third : 2 * third] or samples[:1], samples[-third:]
    before, after = median(one.memory for one in early), median(one.memory for one in late)
    assert after < before * 1.15 + (16 << 20), f"memory grew from {before} to {after}"
    files = median(one.descriptors for one in early), median(one.descriptors for one in late)
    assert files[1] <= files[0] + 20, f"file descriptors grew from {files[0]} to {files[1]}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        run(Path(place), float(sys.argv[1]) if len(sys.argv) > 1 else 1800)
