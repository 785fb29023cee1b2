"""`router dead-letters`"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import click
import orjson

from router.cli._control import Control, control_options, data_option
from router.delivery.dead_letters import DeadLetters, describe


@click.group()
def command() -> None:
    """What vendors refused for good: look at it, and send it again."""


@command.command(
    "list",
    epilog="\b\nExamples:\n  router dead-letters list\n  router dead-letters list mixpanel --json",
)
@click.argument("destination", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="JSON lines with the whole event.")
@data_option
def list_(destination: str | None, limit: int, as_json: bool, data: Path) -> None:
    """List the newest dead letters, of DESTINATION or of all. Works on a stopped router too."""
    letters = DeadLetters(data / "dead-letters", 0)
    names = [destination] if destination else letters.destinations()
    for name in names:
        found = list(letters.list(name))
        if not as_json:
            click.echo(f"{name}: {len(found)}")
        for letter in reversed(found[-limit:]):
            if as_json:
                click.echo(orjson.dumps(describe(letter)))
            else:
                click.echo(f"  {letter.id}  {letter.message_id}  {letter.reason}")
    if not names and not as_json:
        click.echo("none")


@command.command(
    "retry",
    epilog="\b\nExamples:\n  router dead-letters retry mixpanel\n"
    "  router dead-letters retry mixpanel 1041-0 1042-0",
)
@click.argument("destination")
@click.argument("ids", nargs=-1)
@control_options
def retry(destination: str, ids: tuple[str, ...], data: Path, control: str, token: str) -> None:
    """Send dead letters of DESTINATION again: those named by IDS, or all."""
    answer = Control(data, control, token).post(
        f"/v1/dead-letters/{quote(destination)}/retry", {"ids": list(ids)}
    )
    click.echo(f"{answer['retried']} handed back to delivery")
