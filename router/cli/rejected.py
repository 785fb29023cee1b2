"""`router rejected`"""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from router.cli._control import data_option
from router.edge.rejected import read_rejected


@click.command(
    epilog="\b\nExamples:\n  router rejected\n  router rejected --reason unknown_write_key"
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--reason", help="Only this reason.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines with the whole event.")
@data_option
def command(limit: int, reason: str | None, as_json: bool, data: Path) -> None:
    """Show events the edge refused, newest first, with the reason and the field."""
    found = 0
    for item in read_rejected(data / "rejected", limit, reason):
        found += 1
        if as_json:
            click.echo(orjson.dumps(item))
        else:
            field = f" [{item['field']}]" if item.get("field") else ""
            click.echo(
                f"{item['time']}  {item.get('source') or '-'}  "
                f"{item['reason']}{field}  {item['message']}"
            )
    if not found and not as_json:
        click.echo("none")
