"""`router serve`"""

from __future__ import annotations

from pathlib import Path

import click
import uvloop

from router import __version__
from router.app import App
from router.logs import set_up_logging
from router.workspace.create import create_workspace, is_empty
from router.workspace.load import load_workspace
from router.workspace.models import Workspace


@click.command(
    epilog="\b\nExamples:\n  router serve\n"
    "  router serve --workspace /etc/router --data /var/lib/router --host 0.0.0.0"
)
@click.option(
    "--workspace",
    type=click.Path(path_type=Path),
    default=Path("workspace"),
    show_default=True,
    envvar="ROUTER_WORKSPACE",
    help="Folder of configuration.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("data"),
    show_default=True,
    envvar="ROUTER_DATA",
    help="Folder of everything stored.",
)
@click.option("--host", help="Address of the edge. [router.toml, 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the edge. [8080]")
@click.option(
    "--control-port", type=click.IntRange(0, 65535), help="Port of metrics, health and API. [8081]"
)
def command(
    workspace: Path, data: Path, host: str | None, port: int | None, control_port: int | None
) -> None:
    """Run the router until SIGTERM or Ctrl-C.

    An empty workspace folder gets a first configuration: a source with a new write key, and an
    archive of all events under the data folder. SIGHUP, or a change of a file, reloads.
    """
    if is_empty(workspace):
        create_workspace(workspace)
        click.echo(f"wrote a first workspace to {workspace}/")
    settings = load_workspace(workspace).settings
    set_up_logging(settings.logging.format, settings.logging.level)
    overrides: dict[str, object] = {"host": host, "port": port, "control_port": control_port}
    uvloop.run(_serve(workspace, data, overrides))


async def _serve(workspace: Path, data: Path, overrides: dict[str, object]) -> None:
    app = App(workspace, data, overrides)
    await app.start()
    _greet(app.workspace, app.running.edge, app.running.control, workspace, data)
    await app.wait()
    click.echo("stopping: settling what is in flight")
    await app.stop()
    click.echo("stopped")


def _greet(workspace: Workspace, edge: str, control: str, folder: Path, data: Path) -> None:
    click.echo(f"Event Router {__version__}")
    click.echo(f"  edge       {edge}    (SDKs send here)")
    click.echo(f"  control    {control}    (metrics, health, API)")
    click.echo(f"  workspace  {folder}    data  {data}")
    enabled = {id_: source for id_, source in workspace.sources.items() if source.enabled}
    for id_, source in list(enabled.items())[:5]:
        click.echo(f"  write key  {source.write_key}    (source {id_})")
    if enabled:
        key = next(iter(enabled.values())).write_key
        click.echo("Send a first event:")
        click.echo(
            f"  curl {edge}/v1/track -u {key}: -H 'Content-Type: application/json' "
            """-d '{"userId":"u1","event":"Hello"}'"""
        )
        click.echo("and watch events arrive with `router tap`, or read them back:")
        click.echo(f"  zcat {data}/archive/*/*.jsonl.gz")
