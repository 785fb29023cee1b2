"""A process that is killed while it appends: what it was told is durable is still there."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from router.log import EventLog, Record

ROOT = Path(__file__).parents[2]
ROUNDS = 6
CHILD = """
import asyncio, sys
from pathlib import Path
from router.log import EventLog

async def main():
    log = EventLog.open(Path(sys.argv[1]), segment_bytes=200_000, max_bytes=1 << 30,
                        inflight_bytes=1 << 24)
    async def append(worker):
        number = 0
        while True:
            block = f"{worker} {number} ".encode() * (1 + (worker * 7 + number) % 60)
            offset = await log.append_wait(block, 1 + number % 3, number)
            print(offset, 1 + number % 3, worker, number, flush=True)
            number += 1
    await asyncio.gather(*(append(worker) for worker in range(8)))

asyncio.run(main())
"""


def kept(log: EventLog) -> dict[int, Record]:
    found: dict[int, Record] = {}
    offset = log.start
    while records := log.read(offset):
        found |= {record.offset: record for record in records}
        offset = records[-1].offset + records[-1].count
    return found


@pytest.mark.crash
async def test_every_acknowledged_block_survives_a_kill(tmp_path: Path) -> None:
    chance = random.Random(7)
    acknowledged: dict[int, tuple[int, bytes]] = {}
    for _ in range(ROUNDS):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(chance.randint(1, 400))]
        child.kill()
        lines += child.stdout.readlines()
        child.wait()
        for line in lines:
            if line.endswith(b"\n"):
                offset, count, worker, number = map(int, line.split())
                block = f"{worker} {number} ".encode() * (1 + (worker * 7 + number) % 60)
                assert offset not in acknowledged, "an offset was given twice"
                acknowledged[offset] = (count, block)
    log = EventLog.open(tmp_path, segment_bytes=200_000, max_bytes=1 << 30, inflight_bytes=1 << 24)
    found = kept(log)
    for offset, (count, block) in acknowledged.items():
        assert (found[offset].count, found[offset].payload) == (count, block)
    await log.close()
    assert len(acknowledged) > ROUNDS
