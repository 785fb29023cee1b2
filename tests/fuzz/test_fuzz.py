"""The corpus, and for each target some hundreds of mutations of it that are the same every time."""

from __future__ import annotations

import itertools

import pytest

from tests.fuzz.plain import check, corpus, mutations
from tests.fuzz.targets import TARGETS

MUTATIONS = 1500


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_finds_nothing(name: str) -> None:
    inputs = corpus(name)
    assert len(inputs) >= 5
    for data in inputs:
        check(TARGETS[name], data)


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_of_it_find_nothing(name: str) -> None:
    target = TARGETS[name]
    for data in itertools.islice(mutations(corpus(name), target.tokens, 1), MUTATIONS):
        check(target, data)


def test_a_bug_would_be_found() -> None:
    def buggy(data: bytes) -> None:
        if data.count(b"[") > 200:
            raise ZeroDivisionError

    target = TARGETS["document"]._replace(run=buggy)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        for data in itertools.islice(mutations(corpus("document"), target.tokens, 1), MUTATIONS):
            check(target, data)
