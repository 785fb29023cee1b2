"""The `router` command. Every module here that has a `command` is a command."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import click

from router import __version__
from router.errors import RouterError

_EPILOG = """\b
Exit codes: 0 done, 1 failed, 2 wrong usage or no router answers,
78 the configuration is wrong, 130 interrupted.

\b
Examples:
  router serve
  router check workspace
  router send --type track
  router tap --type track --where 'properties.total > 100'
"""


class _Commands(click.Group):
    """Loads a command's module when it is asked for, so that start-up stays short."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = (module.name for module in pkgutil.iter_modules(__path__))
        return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"router.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command


@click.group(
    cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="event-router", message="%(prog)s %(version)s")
def cli() -> None:
    """Event Router: collect every event once, keep it safe, route it everywhere."""


def main() -> None:
    """Entry point: turns our own errors into a message and an exit code."""
    try:
        # Without click's own handling `Exit` comes back as the value.
        code = cli(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except RouterError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
