"""Generated pages are equal to what generates them."""

from pathlib import Path

import router.destinations.reference
import router.workspace.reference
from router.destinations.catalog import read_spec
from router.destinations.examples import run_examples

DOCS = Path(__file__).parents[2] / "docs"


def test_the_configuration_page_follows_the_models() -> None:
    assert (DOCS / "configuration.md").read_text() == router.workspace.reference.reference(), (
        "run: python -m router.workspace.reference > docs/configuration.md"
    )


def test_the_format_page_follows_the_structs() -> None:
    page = (DOCS / "destinations" / "format.md").read_text()
    assert page == router.destinations.reference.reference(), (
        "run: python -m router.destinations.reference > docs/destinations/format.md"
    )


def test_the_example_of_the_format_page_runs(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(router.destinations.reference.EXAMPLE)
    assert run_examples("acme", read_spec(path)) == []
