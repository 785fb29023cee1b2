"""`router check`"""

from __future__ import annotations

from pathlib import Path

import click

from router.app import check_workspace
from router.destinations import catalog
from router.destinations.examples import run_examples
from router.errors import ConfigError, ConfigErrors


@click.command(epilog="\b\nExamples:\n  router check\n  router check /etc/router")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("workspace"))
@click.pass_context
def command(context: click.Context, folder: Path) -> None:
    """Validate the workspace in FOLDER without starting anything.

    Prints every error as file:line: what is wrong (how to mend it), and exits with 78. The examples
    in the workspace's own catalogue files are run too.
    """
    try:
        workspace, compiled = check_workspace(folder, Path("data"))
    except ConfigError as error:
        errors = error.errors if isinstance(error, ConfigErrors) else [error]
        for each in errors:
            click.echo(str(each), err=True)
        click.echo(f"{len(errors)} error{'s' * (len(errors) != 1)}", err=True)
        context.exit(error.exit_code)
    failed = failed_examples(folder)
    for line in failed:
        click.echo(line, err=True)
    if failed:
        context.exit(78)
    disabled = len(workspace.destinations) - len(compiled)
    click.echo(
        f"ok: {len(workspace.sources)} sources, {len(compiled)} destinations"
        + (f" and {disabled} disabled" if disabled else "")
    )


def failed_examples(folder: Path) -> list[str]:
    """What is wrong with the examples in the workspace's own catalogue files."""
    known = catalog(folder / "catalog")
    return [
        f"catalog/{path.name}: {failure.does}: {failure.problem}"
        for path in sorted((folder / "catalog").glob("*.toml"))
        for failure in run_examples(path.stem, known.spec(path.stem))
    ]
