"""Assembles a running router: the one place that knows every room."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import deque
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from router import __version__
from router.api.server import Api
from router.dedup import Dedup
from router.delivery.dead_letters import DeadLetters, describe, select
from router.delivery.fleet import Fleet
from router.delivery.overview import Overview
from router.delivery.replay import Replays, Target
from router.delivery.trace import Station, Tracer
from router.destinations import Compiled, catalog, compile_destination
from router.destinations.sink import SinkContext
from router.edge.rejected import Rejected, find_rejected, read_rejected
from router.edge.server import Edge
from router.errors import ConfigError, ConfigErrors
from router.log import EventLog
from router.log.feed import Feed
from router.memory import calm_gc
from router.metrics import INFO, RELOADS
from router.store import Store
from router.workspace.load import load_workspace
from router.workspace.models import Workspace
from router.workspace.watch import signature, watch_workspace

_log = logging.getLogger(__name__)
_HOUSEKEEPING_SECONDS = 5.0


class Running(msgspec.Struct, rename="camel"):
    """`<data>/running.json`: where the router of this data folder answers."""

    pid: int
    edge: str
    control: str
    workspace: str


def compile_workspace(workspace: Workspace, folder: Path, data: Path) -> dict[str, Compiled]:
    """Every enabled destination, ready to run. Raises `ConfigErrors` with all that is wrong."""
    known = catalog(folder / "catalog")
    compiled: dict[str, Compiled] = {}
    errors: list[ConfigError] = []
    for id_, instance in workspace.destinations.items():
        try:
            one = compile_destination(
                known.spec(instance.destination), id_, instance, SinkContext(id_, data)
            )
        except ConfigErrors as error:
            errors += [_in_file(each, id_) for each in error.errors]
        except ConfigError as error:
            errors.append(_in_file(error, id_))
        else:
            if instance.enabled:
                compiled[id_] = one
    if errors:
        raise ConfigErrors(errors)
    return compiled


def _in_file(error: ConfigError, id_: str) -> ConfigError:
    if error.file:
        return error
    return ConfigError(
        error.message,
        file=f"destinations/{id_}.toml",
        line=error.line,
        column=error.column,
        hint=error.hint,
    )


def check_workspace(folder: Path, data: Path) -> tuple[Workspace, dict[str, Compiled]]:
    """Read and compile a workspace without starting anything."""
    workspace = load_workspace(folder)
    return workspace, compile_workspace(workspace, folder, data)


class App:
    """One router on one data folder. `start`, then `wait`, then `stop`, on one loop."""

    def __init__(self, workspace_folder: Path, data: Path, overrides: dict[str, Any]) -> None:
        self.folder, self.data = workspace_folder, data
        self._overrides = overrides
        self._signature = signature(workspace_folder)
        workspace, compiled = check_workspace(workspace_folder, data)
        self.workspace = self._override(workspace)
        self._compiled = compiled
        settings = self.workspace.settings
        data.mkdir(parents=True, exist_ok=True)
        self.log = EventLog.open(
            data / "log",
            segment_bytes=settings.log.segment_bytes,
            max_bytes=settings.log.bytes,
            inflight_bytes=settings.limits.inflight_bytes,
        )
        self.dedup = Dedup.open(data / "dedup", self.log, settings.dedup.hours)
        self.store = Store(data / "state")
        self._rejected = Rejected(data / "rejected", settings.limits.rejected_bytes)
        self.feed = Feed(self.log)
        self.overview = Overview(data / "overview")
        self.fleet = Fleet(
            self.feed,
            self.store,
            DeadLetters(data / "dead-letters", settings.delivery.dead_letter_bytes),
            self.overview,
        )
        self.replays = Replays(self.feed, self.store, self._target, self._archive)
        self.tracer = Tracer(
            self.log, self.store, data / "dead-letters", self._stations,
            self._find_rejected, self._remembered,
        )  # fmt: skip
        self.edge = Edge(self.log, self.dedup, self._rejected)
        self.api = Api(self, settings.control.host, settings.control.token)
        self._stopping = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    def _override(self, workspace: Workspace) -> Workspace:
        """Flags of the command line stand above `router.toml`."""
        settings = workspace.settings
        chosen = {key: value for key, value in self._overrides.items() if value is not None}
        server = msgspec.structs.replace(
            settings.server, **{k: chosen[k] for k in ("host", "port") if k in chosen}
        )
        control = settings.control
        if "control_port" in chosen:
            control = msgspec.structs.replace(control, port=chosen["control_port"])
        return msgspec.structs.replace(
            workspace, settings=msgspec.structs.replace(settings, server=server, control=control)
        )

    async def start(self) -> None:
        INFO.labels(__version__).set(1)
        settings = self.workspace.settings
        self.feed.start()
        self.dedup.start()
        self.overview.start()
        self._rejected.start()
        await self.fleet.start(self.workspace, self._compiled)
        self.replays.start()
        self.edge.apply(self.workspace)
        await self.api.start(settings.control.port)
        await self.edge.start(settings.server.host, settings.server.port)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        self._tasks = [
            loop.create_task(watch_workspace(self.folder, self._reload_soon, self._stopping)),
            loop.create_task(self._keep_house()),
        ]
        self._write_running()
        calm_gc()

    @property
    def running(self) -> Running:
        settings = self.workspace.settings
        return Running(
            pid=os.getpid(),
            edge=f"http://{_url_host(settings.server.host)}:{self.edge.port}",
            control=f"http://{_url_host(settings.control.host)}:{self.api.port}",
            workspace=str(self.folder.resolve()),
        )

    def _write_running(self) -> None:
        aside = self.data / "running.tmp"
        aside.write_bytes(msgspec.json.encode(self.running))
        aside.replace(self.data / "running.json")

    async def wait(self) -> None:
        """Until SIGTERM or SIGINT."""
        await self._stopping.wait()

    async def stop(self) -> None:
        """Take no more, settle what is in flight within the grace period, save the cursors."""
        self._stopping.set()
        grace = self.workspace.settings.delivery.grace_seconds
        await self.edge.stop(grace)
        await self.replays.stop()
        await self.fleet.stop()
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.api.stop()
        await self.feed.stop()
        await self.store.close()
        await self.overview.close()
        await self.dedup.close()
        await self._rejected.close()
        await self.log.close()
        (self.data / "running.json").unlink(missing_ok=True)

    def _reload_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self._reload_and_forget())
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)

    async def _reload_and_forget(self) -> None:
        await self.reload()

    async def reload(self) -> str:
        """Validate the workspace as a whole, then swap it in; returns why not, or ""."""
        async with self._reloading:
            self._signature = signature(self.folder)
            try:
                workspace, compiled = await asyncio.to_thread(
                    check_workspace, self.folder, self.data
                )
            except ConfigError as error:
                RELOADS.labels("refused").inc()
                for each in error.errors if isinstance(error, ConfigErrors) else [error]:
                    _log.error(
                        "workspace change refused, the running one stays",
                        extra={"error": str(each)},
                    )
                return str(error)
            if workspace.digest == self.workspace.digest:
                return ""
            workspace = self._override(workspace)
            self._warn_about_fixed(workspace)
            self.edge.apply(workspace)
            await self.fleet.apply(workspace, compiled)
            self.workspace, self._compiled = workspace, compiled
            RELOADS.labels("applied").inc()
            _log.info("workspace reloaded", extra={
                "digest": workspace.digest, "sources": len(workspace.sources),
                "destinations": len(compiled),
            })  # fmt: skip
            return ""

    def _warn_about_fixed(self, workspace: Workspace) -> None:
        before, after = self.workspace.settings, workspace.settings
        for name in (
            "server.host",
            "server.port",
            "control",
            "log.segment_bytes",
            "log.bytes",
            "dedup",
            "logging",
            "limits.inflight_bytes",
        ):
            if _dig(before, name) != _dig(after, name):
                _log.warning("this setting takes effect at the next start", extra={"setting": name})

    async def _keep_house(self) -> None:
        while True:
            try:
                self._retain()
                if signature(self.folder) != self._signature:
                    await self.reload()
            except Exception:
                _log.exception("retention failed, going on")
            await asyncio.sleep(_HOUSEKEEPING_SECONDS)

    def _retain(self) -> None:
        settings = self.workspace.settings.log
        floor = min(self.fleet.floor(), self.replays.floor())
        keep_after_ms = int((time.time() - settings.hours * 3600) * 1000)
        self.log.retain(floor=floor, keep_after_ms=keep_after_ms)
        if settings.on_full == "sacrifice" and self.log.size() > settings.bytes * 0.95:
            above = self.fleet.floor(without=frozenset(settings.sacrifice))
            if above > floor:
                start = self.log.sacrifice(above)
                _log.error(
                    "the log is full: oldest events of named destinations given up",
                    extra={"destinations": ",".join(settings.sacrifice), "start": start},
                )

    def ready(self) -> str:
        """Why the router cannot take events now; "" when it can."""
        if self._stopping.is_set():
            return "stopping"
        return self.log.trouble or self.fleet.trouble

    def destinations(self) -> list[dict[str, object]]:
        return self.fleet.state()

    def rejected(self, limit: int, reason: str | None) -> list[dict[str, Any]]:
        self._rejected.flush()
        return list(read_rejected(self.data / "rejected", limit, reason))

    async def _find_rejected(self, message_id: str) -> list[dict[str, Any]]:
        self._rejected.flush()
        return await asyncio.to_thread(find_rejected, self.data / "rejected", message_id)

    async def dead_letter_counts(self) -> dict[str, int]:
        letters = self.fleet.dead_letters
        return await asyncio.to_thread(
            lambda: {name: sum(1 for _ in letters.list(name)) for name in letters.destinations()}
        )

    async def dead_letters(
        self, destination: str, limit: int, reason: str, since_ms: int
    ) -> list[dict[str, object]]:
        """The newest first."""
        letters = self.fleet.dead_letters.list(destination)
        newest = await asyncio.to_thread(deque, select(letters, reason, since_ms), limit)
        return [describe(letter) for letter in reversed(newest)]

    async def retry_dead_letters(
        self, destination: str, ids: set[str] | None, limit: int, reason: str, since_ms: int
    ) -> int:
        """Those in `ids` (None: all) that the rest fits; `limit` 0 is none."""
        if limit or reason or since_ms:
            letters = select(self.fleet.dead_letters.list(destination), reason, since_ms)
            fitting = (each.id for each in letters if ids is None or each.id in ids)
            ids = await asyncio.to_thread(lambda: set(islice(fitting, limit or None)))
        return await self.fleet.replay_dead_letters(destination, ids)

    def _target(self, destination: str) -> Target | None:
        """A destination as replays need it."""
        if (consumer := self.fleet.consumers.get(destination)) is None:
            return None
        return Target(consumer.compiled, self._sources_of(destination), consumer.look_for_retries)

    def _stations(self) -> dict[str, Station | None]:
        """The destinations as a trace needs them."""
        return {id_: self._station(id_) for id_ in self.workspace.destinations}

    def _station(self, destination: str) -> Station | None:
        if (consumer := self.fleet.consumers.get(destination)) is None:
            return None
        return Station(
            compiled=consumer.compiled,
            sources=self._sources_of(destination),
            cursor=consumer.tracker.cursor,
            position=consumer.tracker.position,
            held_back=consumer.gate.reason,
            delivered=consumer.settler.delivered,
        )

    def _sources_of(self, destination: str) -> frozenset[str] | None:
        sources = self.workspace.destinations[destination].sources
        return None if "*" in sources else frozenset(sources)

    def _archive(self) -> Path | None:
        """The folder of the workspace's first file archive that takes every event."""
        for id_, instance in self.workspace.destinations.items():
            whole = "*" in instance.sources and not (instance.filter or instance.filters)
            if instance.destination == "file-archive" and whole and id_ in self._compiled:
                return self.data / str(self._compiled[id_].settings["path"])
        return None

    def _remembered(self, message_id: str) -> list[str]:
        """The sources at which this id would be a duplicate."""
        return [id_ for id_ in self.workspace.sources if self.dedup.remembers(id_, message_id)]

    def measure(self) -> None:
        self.edge.measure()
        self.fleet.measure()


def _url_host(host: str) -> str:
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _dig(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = getattr(value, name)
    return value
