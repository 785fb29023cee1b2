"""`router check` on a workspace with a destination of its own."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from router.cli.check import command
from tests.e2e.faults import catalogue_file


def workspace(folder: Path, catalogue: str) -> Path:
    for name, text in {
        "router.toml": "",
        "sources/web.toml": 'name = "Web"\nwrite_key = "k"\n',
        "destinations/own.toml": 'destination = "own"\n[settings]\nurl = "https://example.com/"\n',
        "catalog/own.toml": catalogue,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_examples_that_hold_are_no_matter(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, [str(workspace(tmp_path, catalogue_file(batch=5)))])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("ok: 1 sources, 1 destinations")


def test_an_example_that_does_not_hold_is_named(tmp_path: Path) -> None:
    wrong = catalogue_file(batch=5).replace('"messageId": "m"}]}}]', '"messageId": "other"}]}}]')
    assert wrong != catalogue_file(batch=5)
    result = CliRunner().invoke(command, [str(workspace(tmp_path, wrong))])
    assert result.exit_code == 78
    assert "catalog/own.toml: rows share a request:" in result.output
