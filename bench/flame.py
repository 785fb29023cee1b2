"""Flame graphs of docs/performance.md: `python -m bench.flame NAME FILE.svg`, NAME being

- `events`: 100 events from bytes through a plan, filters and mappings (bench/test_expr.py),
- `edge`: single events, acknowledged durably, without delivery,
- `delivering`: the same while a webhook is sent everything in batches.

The first two are sampled by Linux's `perf`, which sees what is compiled, and the kernel, and of Python
that it is at work; the third by `py-spy` (PyPI), which sees functions of Python and counts what they
call as theirs. Both have to be on the PATH and to be allowed to look.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from bench.conftest import LOAD_CORE, Server
from bench.test_edge import single
from bench.test_expr import pipeline

_SECONDS, _RATE = 20, 199
_WIDTH, _ROW, _LEAST = 1200, 17, 0.002
_TITLES = {
    "events": "100 events from bytes through a plan, filters and mappings",
    "edge": "one event a request, acknowledged durably",
    "delivering": "the same while a webhook is sent everything",
}
_BASES = {
    "events": {"Expr_test_many", "Expr_write_many", "Schema_valid_many", "new", "dealloc"},
    "edge": {"uv_run", "writer_run"},
    "delivering": {"Runner.run"},
}
"""Where a graph's stacks begin; others, of a start or of a thread that waits, are left out."""
_COLOURS = {"compiled": "#f2a65a", "python": "#8fb8de", "library": "#cfd2cd", "kernel": "#d9a0a0"}
_LEGEND = "orange: compiled parts; blue: Python; grey: libraries; red: kernel"
_MANGLED = re.compile(r"__pyx_(\w+?)_6router_5_fast_(\d+)")
_NOISE = re.compile(r"0x|\[unknown\]|Py_X?DECREF|_?Py|__Pyx|epoll_p?wait$")


@dataclass
class Frame:
    name: str
    kind: str = "library"
    samples: int = 0
    below: dict[str, Frame] = field(default_factory=dict)


def plain(function: str) -> str:
    """The name of which Cython made `__pyx_f_6router_5_fast_10expr_nodes_4Path_find`."""
    match = _MANGLED.match(function)
    if match is None:
        return function
    rest = function[match.end() + int(match[2]) :].lstrip("_")
    name = re.sub(r"(^|_)\d+(?=[A-Za-z_])", r"\1", rest)
    slot = re.match("tp_(new|dealloc)", match[1])
    return name if slot is None else f"{slot[1]} {name}"


def named(function: str, place: str) -> tuple[str, str] | None:
    """A frame's text, without a path, and its kind; None for what tells nothing."""
    file = place.rpartition("/")[2]
    short = re.split(r"[.\]\[:-]", file.lstrip("["))[0]
    if "kernel" in place:
        call = re.match("(?:__x64_sys|ksys)_(.+)", function)
        return (f"{call[1]} (kernel)", "kernel") if call else None
    if "libpython" in place or file.startswith("python"):
        return "the interpreter", "python"
    if "router/_fast/" in place:
        return f"{plain(function)} ({short})", "compiled"
    if function.startswith("__pyx_f_6uvloop_4loop_"):
        return f"{re.sub('^__pyx_f_6uvloop_4loop_[0-9]*', '', function)} (uvloop)", "library"
    if ".py" in file:
        return f"{function} ({short})", "python"
    return None if _NOISE.match(function) else (f"{function} ({short})", "library")


Stack = list[tuple[str, str]]
"""(function, file) of each frame, the outermost first."""


def folded(stacks: list[tuple[Stack, int]], bases: set[str]) -> Frame:
    """The tree of stacks from the first frame that is one of `bases`."""
    root = Frame("all")
    for stack, count in stacks:
        frames = [found for each in stack if (found := named(*each)) is not None]
        starts = [at for at, (name, _) in enumerate(frames) if name.partition(" ")[0] in bases]
        if not starts:
            continue
        at = root
        at.samples += count
        for found in frames[starts[0] :]:
            if found[0] != at.name:  # recursion is one frame
                at = at.below.setdefault(found[0], Frame(*found))
                at.samples += count
    return root


def drawn(frame: Frame, whole: int, left: float, depth: int) -> Iterator[tuple[int, str]]:
    """(depth, rectangle) of a frame and of those below it."""
    width = _WIDTH * frame.samples / whole
    x, y = f"{left:.1f}", 30 + depth * _ROW
    share = f"{100 * frame.samples / whole:.1f} %"
    letters = int(width / 6.6)
    short = frame.name if len(frame.name) <= letters else frame.name[: max(0, letters - 1)] + "…"
    text = f'<text x="{left + 3:.1f}" y="{y + 12}">{escape(short)}</text>' if letters > 3 else ""
    box = f'x="{x}" y="{y}" width="{max(width - 0.5, 0.3):.1f}" height="{_ROW - 1}"'
    tip = f"<title>{escape(frame.name)}: {share}</title>"
    yield depth, f'<g>{tip}<rect {box} fill="{_COLOURS[frame.kind]}"/>{text}</g>'
    for each in sorted(frame.below.values(), key=lambda below: below.name):
        if each.samples >= _LEAST * whole:
            yield from drawn(each, whole, left, depth + 1)
        left += _WIDTH * each.samples / whole


def svg(root: Frame, title: str) -> str:
    rows = list(drawn(root, root.samples, 0.0, 0))
    height = 40 + (max(depth for depth, _ in rows) + 1) * _ROW
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="monospace" font-size="11">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="3" y="18" font-size="13">{escape(title)} — {_LEGEND}</text>',
        *[rectangle for _, rectangle in rows],
        "</svg>\n",
    ])  # fmt: skip


class Perf:
    """A sampler at work. Its stacks are read when it has ended."""

    def __init__(self, process: int, folder: Path) -> None:
        self._data = str(folder / "perf.data")
        self.run = subprocess.Popen(
            ["perf", "record", "--freq", str(_RATE), "--call-graph", "dwarf,32768",
             "--pid", str(process), "--output", self._data, "--", "sleep", str(_SECONDS)],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def stacks(self) -> list[tuple[Stack, int]]:
        text = subprocess.run(
            ["perf", "script", "--input", self._data, "--fields", "ip,sym,dso", "--no-inline"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
        ).stdout  # fmt: skip
        line = re.compile(r"\s*[0-9a-f]+ (.*) \((.*)\)")
        found = []
        for block in text.split("\n\n"):
            frames = [match.groups() for each in block.splitlines() if (match := line.match(each))]
            found.append(([(name, place) for name, place in reversed(frames)], 1))
        return found


class Spy:
    """The same, without stopping the process."""

    def __init__(self, process: int, folder: Path) -> None:
        self._data = folder / "stacks"
        self.run = subprocess.Popen(
            ["taskset", "-c", str(LOAD_CORE), "py-spy", "record", "--nonblocking", "--format",
             "raw", "--rate", str(_RATE), "--duration", str(_SECONDS), "--output",
             str(self._data), "--pid", str(process)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def stacks(self) -> list[tuple[Stack, int]]:
        found = []
        for each in self._data.read_text().splitlines():
            stack, _, count = each.rpartition(" ")
            frames = [frame.rstrip(")").rpartition(" (") for frame in stack.split(";")]
            found.append(([(name, place) for name, _, place in frames], int(count)))
        return found


def of_events(folder: Path) -> Frame:
    """In a process of its own, which runs this module as `loop`."""
    child = subprocess.Popen([sys.executable, "-m", "bench.flame", "loop"])
    time.sleep(2)
    sampler = Perf(child.pid, folder)
    sampler.run.wait()
    child.wait()
    return folded(sampler.stacks(), _BASES["events"])


def of_server(kind: str, folder: Path) -> Frame:
    sink = Server("sink", folder)
    more = [f"http://127.0.0.1:{sink.port}/"] if kind == "delivering" else []
    server = Server(kind, folder, *more)
    server.load(single(), 20_000, 128)
    sampler = (Spy if kind == "delivering" else Perf)(server.process.pid, folder)
    while sampler.run.poll() is None:
        server.load(single(), 50_000, 128)
    server.stop()
    sink.stop()
    return folded(sampler.stacks(), _BASES[kind])


def loop() -> None:
    """Work for the sampler, a little longer than it samples."""
    run, end = pipeline(), time.monotonic() + _SECONDS + 4
    while time.monotonic() < end:
        run()


def main(name: str, path: str = "") -> None:
    if name == "loop":
        loop()
        return
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        root = of_events(at) if name == "events" else of_server(name, at)
    Path(path).write_text(svg(root, _TITLES[name]))


if __name__ == "__main__":
    main(*sys.argv[1:])
