"""`router destinations`"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec
import orjson

from router._fast.envelope import parse_time
from router.destinations import Compiled, catalog, compile_destination
from router.destinations.catalog import Catalog
from router.destinations.examples import run_examples
from router.destinations.preview import mappings_of, preview, read_table
from router.destinations.settings import choice_values
from router.workspace.models import Destination

_workspace = click.option(
    "--workspace", type=click.Path(path_type=Path), default=Path("workspace"), show_default=True,
    help="Whose own destinations are taken too.",
)  # fmt: skip


def _catalog(workspace: Path) -> Catalog:
    return catalog(workspace / "catalog")


@click.group()
def command() -> None:
    """The catalogue: what can be connected, and what it would be sent."""


@command.command(
    "list", epilog="\b\nExamples:\n  router destinations list\n  router destinations list crm"
)
@click.argument("word", required=False)
@click.option("--json", "as_json", is_flag=True, help="JSON Lines.")
@_workspace
def list_(word: str | None, as_json: bool, workspace: Path) -> None:
    """List the destinations, or those whose name, category or description has WORD in it.

    `verified` says against what a destination was checked: vectors (recorded requests), emulator,
    documented (the vendor's pages alone), own (the router's). Python: part of it is code.
    """
    entries = _catalog(workspace).entries()
    shown = [
        entry
        for entry in entries
        if not word
        or word.lower() in f"{entry.slug} {entry.name} {entry.category} {entry.description}".lower()
    ]
    if as_json:
        for entry in shown:
            click.echo(msgspec.json.encode(entry))
        return
    width = max([len(entry.slug) for entry in shown], default=0)
    for entry in shown:
        code = "Python" if entry.code else ""
        text = f"{entry.slug:{width}}  {entry.verified:10}  {entry.category:20.20}  {code:6}  "
        click.echo(text + entry.name)
    with_code = sum(entry.code for entry in entries)
    click.echo(f"{len(entries)} destinations, {with_code} of them with Python")


@command.command("show", epilog="\b\nExamples:\n  router destinations show mixpanel")
@click.argument("slug")
@click.option("--json", "as_json", is_flag=True, help="The whole file, resolved, as JSON.")
@_workspace
def show(slug: str, as_json: bool, workspace: Path) -> None:
    """Show the settings and actions of SLUG."""
    spec = _catalog(workspace).spec(slug)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(spec)))
        return
    click.echo(f"{spec.name}: {spec.description}\n{spec.docs}\nverified: {spec.verified}\n")
    for name, setting in spec.settings.items():
        notes = [setting.type, *(["required"] if setting.required else [])]
        if setting.choices:
            notes.append(" | ".join(choice_values(setting.choices)))
        if setting.default not in (None, ""):
            notes.append(f"default {setting.default!r}")
        click.echo(f"settings.{name}  ({', '.join(notes)})  {setting.help or setting.label}")
    for name, action in spec.actions.items():
        click.echo(f"\nactions.{name}  {action.label}\n  when {action.when or 'never by default'}")
        for field in action.fields:
            click.echo(f"  {field}")


@command.command(
    "test", epilog="\b\nExamples:\n  router destinations test\n  router destinations test acme"
)
@click.argument("slugs", nargs=-1)
@_workspace
@click.pass_context
def test(context: click.Context, slugs: tuple[str, ...], workspace: Path) -> None:
    """Run the examples in the files of SLUGS, or of all destinations. Exits with 1 if one fails."""
    known = _catalog(workspace)
    failed = count = 0
    for slug in slugs or known.slugs():
        spec = known.spec(slug)
        count += len(spec.tests)
        for failure in run_examples(slug, spec):
            failed += 1
            click.echo(f"{slug}: {failure.does}: {failure.problem}", err=True)
    click.echo(f"{count} examples, {failed} failed")
    if failed:
        context.exit(1)


@command.command(
    "transform",
    epilog="\b\nExamples:\n  router destinations transform mixpanel --settings mixpanel.json "
    "< events.jsonl\n  router destinations transform hubspot --settings hubspot.toml "
    "--mappings exported.json --now 2026-01-02T03:04:05Z < events.jsonl",
)
@click.argument("slug")
@click.option("--settings", type=click.Path(path_type=Path, exists=True), required=True,
              help="JSON or TOML: the settings, or a destination's whole file.")  # fmt: skip
@click.option("--mappings", type=click.Path(path_type=Path, exists=True),
              help="JSON or TOML: `mappings` of a destination's file, or Segment's subscriptions.")  # fmt: skip
@click.option("--now", default="", help="The time that now() gives, such as 2026-01-02T03:04:05Z.")
@click.option("--show-secrets", is_flag=True, help="Print credentials as they would be sent.")
@_workspace
def transform(
    slug: str, settings: Path, mappings: Path | None, now: str, show_secrets: bool, workspace: Path
) -> None:
    """Print the requests that SLUG would be sent for events, JSON Lines in and out.

    Each line is {"messageId", "requests": [{"method", "url", "headers", "body"}], "error"}. Nothing
    is sent. Requests whose making depends on a vendor's answer are those after the answer 200 {}.
    """
    compiled = _compiled(slug, settings, mappings, workspace)
    now_ms = int(time.time() * 1000)
    if now:
        given = parse_time(now.encode())
        if given is None:
            raise click.BadParameter(f"{now!r} is no time", param_hint="--now")
        now_ms = given
    asyncio.run(_print(compiled, now_ms, show_secrets))


async def _print(compiled: Compiled, now_ms: int, secrets: bool) -> None:
    for number, line in enumerate(sys.stdin.buffer):
        if line.strip():
            found = await preview(compiled, line, now_ms, secrets=secrets, number=number)
            click.echo(orjson.dumps(msgspec.to_builtins(found)))


def _compiled(slug: str, settings: Path, mappings: Path | None, workspace: Path) -> Compiled:
    table: Any = read_table(settings)
    whole = isinstance(table, dict) and isinstance(table.get("settings"), dict)
    given = mappings_of(read_table(mappings) if mappings else table.get("mappings", {})
                        if whole else {})  # fmt: skip
    instance = Destination(
        destination=slug,
        settings=table["settings"] if whole else table,
        mappings=given[0],
        presets=given[1],
    )
    compiled = compile_destination(_catalog(workspace).spec(slug), slug, instance)
    compiled.assume_token(str(instance.settings.get("access_token", "access-token")))
    return compiled
