"""The real Node SDKs against a running router."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import KEY, Router, Sink

HERE = Path(__file__).parent
PROPERTIES = {
    "unicode": "naïve ✓ 日本語 \U0001f600",
    "nested": {"a": [1, {"b": None}], "empty": {}},
    "big": 9007199254740991,
    "float": 12.5,
    "bool": True,
}

pytestmark = pytest.mark.sdk


@pytest.mark.parametrize("which", ["segment", "rudder"])
def test_every_call_arrives(router: Router, sink: Sink, which: str) -> None:
    done = subprocess.run(
        ["node", str(HERE / "sdk_node.mjs"), which, router.edge, KEY],
        capture_output=True, text=True, timeout=60, cwd=HERE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    by_type = {event["type"]: event for event in sink.wait_for(6)}
    assert sorted(by_type) == ["alias", "group", "identify", "page", "screen", "track"]
    assert by_type["track"]["properties"] == PROPERTIES
    assert by_type["identify"]["traits"] == {"email": "ann@example.com"}
    assert by_type["page"]["name"] == "Home"
    assert by_type["group"]["groupId"] == "g1"
    assert by_type["alias"]["previousId"] == "u0"
