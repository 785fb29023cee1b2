"""Every catalogue file: it loads, its examples hold, and each of its actions has one."""

from __future__ import annotations

import pytest

from router.destinations import catalog
from router.destinations.examples import run_examples


@pytest.mark.parametrize("slug", catalog().slugs())
def test_examples_hold(slug: str) -> None:
    failures = run_examples(slug, catalog().spec(slug))
    assert not failures, "\n".join(f"{f.does}: {f.problem}" for f in failures)
