"""`router check`"""

from __future__ import annotations

from pathlib import Path

import click

from router.app import check_workspace
from router.errors import ConfigError, ConfigErrors


@click.command(epilog="\b\nExamples:\n  router check\n  router check /etc/router")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("workspace"))
@click.pass_context
def command(context: click.Context, folder: Path) -> None:
    """Validate the workspace in FOLDER without starting anything.

    Prints every error as file:line: what is wrong (how to mend it), and exits with 78.
    """
    try:
        workspace, compiled = check_workspace(folder, Path("data"))
    except ConfigError as error:
        errors = error.errors if isinstance(error, ConfigErrors) else [error]
        for each in errors:
            click.echo(str(each), err=True)
        click.echo(f"{len(errors)} error{'s' * (len(errors) != 1)}", err=True)
        context.exit(error.exit_code)
    disabled = len(workspace.destinations) - len(compiled)
    click.echo(
        f"ok: {len(workspace.sources)} sources, {len(compiled)} destinations"
        + (f" and {disabled} disabled" if disabled else "")
    )
