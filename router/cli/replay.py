"""`router replay`"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from router.cli._control import Control, control_options
from router.errors import RouterError

_POLL_SECONDS = 0.2


@click.command(
    epilog="\b\nExamples:\n  router replay --destination mixpanel --from 2h\n"
    "  router replay --destination mixpanel --from 2026-01-30 --to 2026-01-31T12:00:00Z \\\n"
    "    --filter \"event = 'Order Completed'\" --dry-run\n"
    "  router replay --destination mixpanel --from 10400 --to 10500\n"
    "  router replay --list\n  router replay --cancel 3f2a91c07be4"
)
@click.option("--destination", default="", help="Who gets the events again (its id).")
@click.option("--from", "from_", default="", help="A time, how long ago (2h, 7d), or an offset.")
@click.option("--to", default="", help="To before this time or offset. [what is there now]")
@click.option(
    "--filter", "filter_", default="", help="Only events for which this expression is true."
)
@click.option("--dry-run", is_flag=True, help="Send nothing: count, and show the first few.")
@click.option("--detach", is_flag=True, help="Do not wait for the end.")
@click.option("--list", "list_", is_flag=True, help="Show the replays that run and the last ones.")
@click.option("--cancel", default="", metavar="ID", help="End a replay.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@control_options
def command(
    destination: str, from_: str, to: str, filter_: str, dry_run: bool, detach: bool, list_: bool,
    cancel: str, as_json: bool, data: Path, control: str, token: str,
) -> None:  # fmt: skip
    """Send events to one destination again, out of the log and, for what it has let go, out of the
    file archive.

    No other destination gets anything, new events go first, and the router goes on with it after a
    restart.
    """
    asked = Control(data, control, token)
    if cancel:
        asked.delete(f"/v1/replay/{quote(cancel, safe='')}")
        click.echo(f"{cancel} ended; what it had handed over is delivered")
        return
    if list_:
        jobs = asked.get("/v1/replay")
        for job in jobs:
            click.echo(orjson.dumps(job) if as_json else _line(job))
        if not jobs and not as_json:
            click.echo("none")
        return
    if not destination or not from_:
        raise click.UsageError("--destination and --from are needed (or --list, or --cancel ID)")
    body = {"destination": destination, "from": from_, "filter": filter_, "dryRun": dry_run}
    job = asked.post("/v1/replay", body | ({"to": to} if to else {}))
    if not detach:
        job = _follow(asked, job)
    click.echo(orjson.dumps(job) if as_json else _line(job))
    if not as_json:
        for item in job["shown"]:
            click.echo(f"  {item['offset']}  {orjson.dumps(item['event']).decode()[:300]}")
    if job["state"] == "failed":
        raise RouterError(f"the replay failed: {job['error']}")


def _follow(control: Control, job: dict[str, Any]) -> dict[str, Any]:
    """A progress bar until the job is over; Ctrl-C leaves it running."""
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"to {job['destination']}", total=1.0)
        while job["state"] == "running":
            time.sleep(_POLL_SECONDS)
            found = [each for each in control.get("/v1/replay") if each["id"] == job["id"]]
            if not found:
                raise RouterError("the replay is gone: somebody has ended it")
            job = found[0]
            progress.update(task, completed=job["share"])
    return job


def _line(job: dict[str, Any]) -> str:
    """One job in a line."""
    verb = "would be sent" if job["dryRun"] else "handed to delivery"
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in job["skipped"].items())
    return (
        f"{job['id']}  {job['destination']}  {job['state']} {job['share'] * 100:.0f}%  "
        f"{job['matched']:,} of {job['read']:,} events {verb}"
        + (f" (left out: {skipped})" if skipped else "")
    )
