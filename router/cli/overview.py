"""`router overview`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import orjson
from rich.console import Console
from rich.table import Table

from router.cli._control import Control, control_options, seconds_text

_REASONS = 5
_PIPED_WIDTH = 200


@click.command(
    epilog="\b\nExamples:\n  router overview\n  router overview --last 7d\n"
    "  router overview mixpanel --last 1h --step 5m\n  router overview --json"
)
@click.argument("destination", default="")
@click.option("--last", default="1h", show_default=True, help="How far back: 30m, 2h, 7d.")
@click.option("--step", default="", help="With a DESTINATION: one line for so much time.")
@click.option("--json", "as_json", is_flag=True, help="All of it as one JSON object.")
@control_options
def command(
    destination: str, last: str, step: str, as_json: bool, data: Path, control: str, token: str
) -> None:
    """Show what became of events: delivered at once, after a retry, dead, and how fast.

    One line a destination, or, of DESTINATION, its reasons and, with --step, its course.
    """
    query = urlencode({"destination": destination, "from": last, "step": step})
    answer = Control(data, control, token).get(f"/v1/overview?{query}")
    if as_json:
        click.echo(orjson.dumps(answer))
        return
    if not answer["summary"]:
        click.echo(f"nothing happened in the last {last}")
        return
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    console.print(_table("destination", [(row["destination"], row) for row in answer["summary"]]))
    if destination:
        _reasons(console, answer["summary"][0])
    if destination and step:
        rows = [(row["time"][:16].replace("T", " "), row) for row in answer["rows"]]
        console.print(_table("from (UTC)", rows))


def _table(first: str, rows: list[tuple[str, dict[str, Any]]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(first, no_wrap=True)
    for name in (
        "at once",
        "retried",
        "dead",
        "filtered",
        "p50",
        "p95",
        "p99",
        "waiting",
        "oldest",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in rows:
        latency = row["latency"] or {}
        table.add_row(
            name,
            _part(row["deliveredAtOnce"], row, "atOnce"),
            _part(row["deliveredAfterRetry"], row, "afterRetry"),
            _part(sum(row["dead"].values()), row, "dead"),
            f"{sum(row['filtered'].values()):,}",
            *(seconds_text(latency.get(name)) for name in ("p50", "p95", "p99")),
            f"{row['lagEvents'] + row['retrying']:,}",
            seconds_text(row["oldestSeconds"] or None),
        )
    return table


def _part(count: int, row: dict[str, Any], share: str) -> str:
    """A count, and how much of all that is settled."""
    if not row["shares"]:
        return f"{count:,}"
    return f"{count:,} ({row['shares'][share] * 100:.1f}%)"


def _reasons(console: Console, row: dict[str, Any]) -> None:
    for what in ("dead", "retried", "filtered"):
        counts = sorted(row[what].items(), key=lambda item: -item[1])
        for reason, count in counts[:_REASONS]:
            console.print(f"{what}: {count:,} {reason}", markup=False, highlight=False)
    if error := row["lastError"]:
        console.print(f"last error: {error['time']} {error['text']}", markup=False, highlight=False)
