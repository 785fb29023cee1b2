"""What the pages say can be followed: links lead somewhere, commands and their flags exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from router.cli import cli

CONTEXT = click.Context(cli)
ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def commands() -> list[tuple[str, str]]:
    """(page, command line) of every `router …` line in a shell block."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```(?:sh|console)\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.splitlines():
                match = re.match(r"(?:\$ )?(?:\.venv/bin/)?(router .*)", line)
                if match:
                    found.append((page.name, match[1]))
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_commands_and_their_flags_exist(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        found = command.get_command(CONTEXT, name)
        assert found is not None, f"{page}: there is no `{name}` in `{line}`"
        command = found
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in known, f"{page}: `{line}` has no {word}"


@pytest.mark.parametrize("name", cli.list_commands(CONTEXT))
def test_every_command_explains_itself(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output
