"""`make soak`, for a short while: it works, and what it checks holds."""

from pathlib import Path

import pytest

from tests.e2e.soak import run


@pytest.mark.timeout(240)
def test_a_short_soak(tmp_path: Path) -> None:
    samples = run(tmp_path, 20, say=lambda _: None)
    assert samples[-1].lag == samples[-1].retrying == 0
