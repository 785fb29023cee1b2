"""`router dead-letters`"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click
import orjson
from rich.console import Console
from rich.json import JSON

from router._fast.envelope import format_time
from router.api.times import parse_time
from router.cli._control import Control, control_options, data_option
from router.delivery.dead_letters import DeadLetter, DeadLetters, describe, select
from router.errors import RouterError

_F = TypeVar("_F", bound=Callable[..., Any])


@click.group()
def command() -> None:
    """What vendors refused for good: look at it, keep it, and send it again.

    All but `retry` work on a stopped router too.
    """


def _choice(function: _F) -> _F:
    """`--reason` and `--since`: which letters."""
    function = click.option(
        "--since", default="", help="Only those that died since then: 2h, 7d, a time."
    )(function)
    return click.option(
        "--reason", default="", help="Only those whose reason has this in it, in any case."
    )(function)


def _since(text: str) -> int:
    if not text:
        return 0
    try:
        return parse_time(text, int(time.time() * 1000))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None


def _one_destination(positional: str | None, option: str | None) -> str | None:
    """DESTINATION stands alone or behind `--destination`."""
    if positional and option and positional != option:
        raise click.UsageError(f"which destination: {positional} or {option}?")
    return positional or option


@command.command(
    "list",
    epilog="\b\nExamples:\n  router dead-letters list\n  router dead-letters list mixpanel --json\n"
    "  router dead-letters list --destination mixpanel --reason 'no such token' --since 2h",
)
@click.argument("destination", required=False)
@click.option("--destination", "named", help="The same as DESTINATION.")
@_choice
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="JSON lines with the whole event.")
@data_option
def list_(
    destination: str | None, named: str | None, reason: str, since: str, limit: int,
    as_json: bool, data: Path,
) -> None:  # fmt: skip
    """List the newest dead letters, of DESTINATION or of all, with how many there are."""
    letters = DeadLetters(data / "dead-letters", 0)
    chosen = _one_destination(destination, named)
    names = [chosen] if chosen else letters.destinations()
    since_ms = _since(since)
    for name in names:
        count, newest = 0, deque[DeadLetter](maxlen=limit)
        for letter in select(letters.list(name), reason, since_ms):
            count += 1
            newest.append(letter)
        if not as_json:
            click.echo(f"{name}: {count}")
        for letter in reversed(newest):
            click.echo(orjson.dumps(describe(letter)) if as_json else _line(letter))
    if not names and not as_json:
        click.echo("none")


def _line(letter: DeadLetter) -> str:
    when = format_time(letter.time)[:19].replace("T", " ")
    return f"  {letter.id}  {when}  {letter.message_id}  {letter.reason}"


@command.command("show", epilog="\b\nExamples:\n  router dead-letters show mixpanel 1041-0")
@click.argument("destination")
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="As one JSON line.")
@data_option
def show(destination: str, id_: str, as_json: bool, data: Path) -> None:
    """Show one dead letter of DESTINATION whole: the event, what was answered, and when."""
    found = [
        letter
        for letter in DeadLetters(data / "dead-letters", 0).list(destination)
        if letter.id == id_
    ]
    if not found:
        raise RouterError(f"{destination} has no dead letter {id_}")
    told = describe(found[-1])
    if as_json:
        click.echo(orjson.dumps(told))
        return
    for name in ("time", "firstAttempt", "receivedAt"):
        told[name] = format_time(getattr(found[-1], _FIELDS[name]))
    Console(soft_wrap=True).print(JSON.from_data(told))


_FIELDS = {"time": "time", "firstAttempt": "first_attempt", "receivedAt": "received_at"}


@command.command(
    "retry",
    epilog="\b\nExamples:\n  router dead-letters retry mixpanel\n"
    "  router dead-letters retry mixpanel 1041-0 1042-0\n"
    "  router dead-letters retry mixpanel --reason 'no such token' --since 2d",
)
@click.argument("destination")
@click.argument("ids", nargs=-1)
@_choice
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, the oldest first.")
@control_options
def retry(
    destination: str, ids: tuple[str, ...], reason: str, since: str, limit: int | None,
    data: Path, control: str, token: str,
) -> None:  # fmt: skip
    """Send dead letters of DESTINATION again: those named by IDS, or all, that the options fit."""
    body = {"ids": list(ids), "reason": reason, "since": since, "limit": limit}
    answer = Control(data, control, token).post(
        f"/v1/dead-letters/{quote(destination, safe='')}/retry", body
    )
    click.echo(f"{answer['retried']} handed back to delivery")


@command.command(
    "export",
    epilog="\b\nExamples:\n  router dead-letters export --output dead.jsonl\n"
    "  router dead-letters export mixpanel --since 7d --output - | jq .reason",
)
@click.argument("destination", required=False)
@click.option("--destination", "named", help="The same as DESTINATION.")
@_choice
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, the oldest first.")
@click.option(
    "--output", type=click.File("wb", atomic=True), default="-", show_default=True,
    help="File of JSON lines, replaced once all is written; - is standard output.",
)  # fmt: skip
@data_option
def export(
    destination: str | None, named: str | None, reason: str, since: str, limit: int | None,
    output: Any, data: Path,
) -> None:  # fmt: skip
    """Write dead letters, of DESTINATION or of all, as JSON lines with the whole event."""
    count = 0
    for letter in _chosen(data, _one_destination(destination, named), reason, _since(since)):
        if count == limit:
            break
        output.write(orjson.dumps(describe(letter)) + b"\n")
        count += 1
    click.echo(f"{count} written", err=True)


def _chosen(
    data: Path, destination: str | None, reason: str, since_ms: int
) -> Iterator[DeadLetter]:
    letters = DeadLetters(data / "dead-letters", 0)
    for name in [destination] if destination else letters.destinations():
        yield from select(letters.list(name), reason, since_ms)
