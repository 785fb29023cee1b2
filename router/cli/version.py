"""`router version`"""

from __future__ import annotations

import platform

import click

from router import __version__


@click.command()
def command() -> None:
    """Print the version, and what it runs on."""
    click.echo(
        f"event-router {__version__} (Python {platform.python_version()}, "
        f"{platform.system()} {platform.machine()})"
    )
