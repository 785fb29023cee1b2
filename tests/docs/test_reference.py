"""Generated pages are equal to what generates them."""

from pathlib import Path

from router.workspace.reference import reference

DOCS = Path(__file__).parents[2] / "docs"


def test_the_configuration_page_follows_the_models() -> None:
    assert (DOCS / "configuration.md").read_text() == reference(), (
        "run: python -m router.workspace.reference > docs/configuration.md"
    )
