"""Each destination's page is what its file says."""

from __future__ import annotations

import pytest

from router.destinations import catalog
from router.destinations.pages import DOCS, overview, page

OTHERS = {"README.md", "format.md", "catalog.md"}


@pytest.mark.parametrize("slug", catalog().slugs())
def test_a_page_follows_its_file(slug: str) -> None:
    path = DOCS / f"{slug}.md"
    assert path.exists(), "run: python -m router.destinations.pages"
    assert path.read_text() == page(slug, catalog().spec(slug)), (
        "run: python -m router.destinations.pages"
    )


def test_the_overview_has_them_all() -> None:
    assert (DOCS / "catalog.md").read_text() == overview(catalog().entries()), (
        "run: python -m router.destinations.pages"
    )


def test_no_page_is_left_of_a_destination_that_is_gone() -> None:
    pages = {f"{slug}.md" for slug in catalog().slugs()}
    assert {path.name for path in DOCS.glob("*.md")} == pages | OTHERS
