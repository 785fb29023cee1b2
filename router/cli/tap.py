"""`router tap`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import orjson
from rich.console import Console
from rich.json import JSON
from rich.text import Text

from router.cli._control import Control, control_options
from router.event import KINDS

_COLOURS = dict(zip(KINDS, ("green", "cyan", "blue", "blue", "magenta", "yellow"), strict=True))


@click.command(
    epilog="\b\nExamples:\n  router tap\n  router tap --type track --pretty\n"
    "  router tap --where 'properties.total > 100' --json | jq .event"
)
@click.option("--type", "kind", type=click.Choice(KINDS), help="Only this call type.")
@click.option("--source", help="Only this source (its id).")
@click.option("--user", help="Only this userId or anonymousId.")
@click.option("--where", help="Only events for which this expression is true.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines; the default when piped.")
@click.option("--pretty", is_flag=True, help="Indented JSON with colours.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many events.")
@control_options
def command(
    kind: str | None, source: str | None, user: str | None, where: str | None,
    as_json: bool, pretty: bool, count: int | None, data: Path, control: str, token: str,
) -> None:  # fmt: skip
    """Show live events as they are accepted."""
    given = {"type": kind, "source": source, "user": user, "where": where}
    query = urlencode({key: value for key, value in given.items() if value})
    console = Console(soft_wrap=True)
    plain = as_json or (not pretty and not sys.stdout.isatty())
    seen = 0
    try:
        for line in Control(data, control, token).lines(f"/v1/tap?{query}"):
            if plain:
                click.echo(line.rstrip(b"\n"))
            else:
                _show(console, orjson.loads(line), pretty)
            seen += b'"skipped"' not in line[:11]
            if count is not None and seen >= count:
                return
    except KeyboardInterrupt:
        return


def _show(console: Console, item: dict[str, Any], pretty: bool) -> None:
    if "skipped" in item:
        console.print(f"… {item['skipped']} events skipped: too fast for this terminal")
        return
    event = item["event"]
    if pretty:
        console.print(JSON.from_data(item))
        return
    kind = event["type"]
    what = event.get("event") or event.get("name") or event.get("groupId") or ""
    who = event.get("userId") or event.get("anonymousId") or ""
    details = orjson.dumps(event.get("properties") or event.get("traits") or {}).decode()
    line = Text.assemble(
        (event["receivedAt"][11:23], "dim"), " ", (f"{kind:8}", _COLOURS[kind]), " ",
        (str(what), "bold"), " ", (str(who), "dim"), " ", details,
    )  # fmt: skip
    console.print(line)
