"""analytics-next in headless Chromium: settings, preflights and every call."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import KEY, Router, Sink

HERE = Path(__file__).parent
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")

pytestmark = pytest.mark.sdk


@pytest.mark.parametrize("strategy", ["standard", "batching"])
def test_analytics_next(router: Router, sink: Sink, strategy: str) -> None:
    if CHROMIUM is None and not os.environ.get("CI"):
        pytest.skip("no chromium on this machine, and only root can install it")
    assert CHROMIUM, "CI has to have chromium: `make test` installs it"
    done = subprocess.run(
        ["node", str(HERE / "sdk_browser.mjs"), router.edge, KEY, strategy],
        capture_output=True, text=True, timeout=90, cwd=HERE,
        env=os.environ | {"CHROMIUM": CHROMIUM},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    by_type = {event["type"]: event for event in sink.wait_for(6)}
    assert sorted(by_type) == ["alias", "group", "identify", "page", "screen", "track"]
    track = by_type["track"]
    assert track["properties"] == {
        "unicode": "naïve ✓ 日本語 \U0001f600",
        "nested": {"a": [1, {"b": None}]},
        "big": 9007199254740991,
        "float": 12.5,
    }
    assert track["context"]["page"]["path"] == "/shop"
    assert track["context"]["ip"] == "127.0.0.1", "a browser's address is added"
    assert track["context"]["library"]["name"] == "analytics.js"
    assert by_type["identify"]["userId"] == "u1"
    assert by_type["page"]["name"] == "Home"
