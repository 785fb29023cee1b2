"""`make bench`: runs the suites and prints ratios beside their floors.

A benchmark says its `ratio` (and, where it is guarded, its `floor` or `ceiling`) in
pytest-benchmark's `extra_info`. The exit code is 1 when a guarded ratio is on the wrong side.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def run(suites: list[str]) -> tuple[int, list[dict[str, Any]]]:
    """Run the suites; pytest's exit code and its benchmarks."""
    files = [str(HERE / f"test_{suite}.py") for suite in suites] or [str(HERE)]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--timeout=1800", "-p", "no:cacheprovider",
             "--benchmark-disable-gc", f"--benchmark-json={report}", "--benchmark-columns=median",
             *files],
            cwd=HERE.parent,
        )  # fmt: skip
        if not report.exists():
            return done.returncode or 1, []
        return done.returncode, json.loads(report.read_text())["benchmarks"]


def verdict(info: dict[str, Any]) -> str:
    """ "ok", "LOW" or "HIGH" for a guarded ratio, "" for one that only informs."""
    ratio = info["ratio"]
    if "floor" in info:
        return "ok" if ratio >= info["floor"] else "LOW"
    if "ceiling" in info:
        return "ok" if ratio <= info["ceiling"] else "HIGH"
    return ""


def show(benchmarks: list[dict[str, Any]]) -> bool:
    """Print the table; True when every guarded ratio holds."""
    print(f"\n{'benchmark':<58} {'ratio':>8} {'guard':>9}  verdict  baseline")
    good = True
    for benchmark in benchmarks:
        info = benchmark["extra_info"]
        if "ratio" not in info:
            continue
        guard = f">= {info['floor']}" if "floor" in info else ""
        guard = f"<= {info['ceiling']}" if "ceiling" in info else guard
        word = verdict(info)
        good = good and word in ("ok", "")
        print(
            f"{benchmark['name']:<58} {info['ratio']:>8.2f} {guard:>9}  {word:<7}  "
            f"{info.get('baseline', '')}"
        )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("suites", nargs="*", help="edge, log, delivery, …; all by default")
    arguments = parser.parse_args()
    code, benchmarks = run(arguments.suites)
    return 0 if show(benchmarks) and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
