"""Fixtures for tests from outside: a sink, a router, Node packages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Router, Sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    one = Sink()
    yield one
    one.close()


@pytest.fixture
def router(tmp_path: Path, sink: Sink) -> Iterator[Router]:
    """A running router that delivers every event to `sink`, one a request."""
    one = Router(tmp_path)
    one.webhook("sink", sink.url)
    one.start()
    yield one
    one.stop()
