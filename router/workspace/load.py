"""Reads a workspace folder as a whole: every error of every file, or a valid `Workspace`."""

from __future__ import annotations

import hashlib
import re
import tomllib
from datetime import datetime
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from router.errors import ConfigError, ConfigErrors
from router.workspace.locate import locate
from router.workspace.models import Destination, Model, Settings, Source, Workspace
from router.workspace.secrets import expand

ModelT = TypeVar("ModelT", bound=Model)

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_AT = re.compile(r" - at `\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`")


class _Reader:
    """Collects what is wrong while files are read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.errors: list[ConfigError] = []
        self.digest = hashlib.sha256()
        self.texts: dict[str, str] = {}

    def fail(self, file: str, path: tuple[str, ...], message: str, hint: str = "") -> None:
        line = locate(self.texts.get(file, ""), path)
        self.errors.append(ConfigError(message, file=file, line=line, hint=hint))

    def read(self, path: Path, model: type[ModelT]) -> ModelT | None:
        """One file as `model`, or None with the reason in `errors`."""
        file = path.relative_to(self.folder).as_posix()
        try:
            content = path.read_bytes()
            self.digest.update(file.encode() + b"\0" + content + b"\0")
            text = self.texts[file] = content.decode()
            table = tomllib.loads(text)
        except (OSError, UnicodeDecodeError) as error:
            self.errors.append(ConfigError(f"cannot be read: {error}", file=file))
            return None
        except tomllib.TOMLDecodeError as error:
            self.errors.append(_syntax_error(file, str(error)))
            return None
        before = len(self.errors)
        expanded = expand(table, lambda at, message, hint: self.fail(file, at, message, hint))
        if len(self.errors) > before:
            return None
        try:
            return msgspec.convert(expanded, model)
        except msgspec.ValidationError as error:
            at, message, hint = explain(str(error), model)
            self.fail(file, at, message, hint)
            return None


def _syntax_error(file: str, message: str) -> ConfigError:
    match = re.search(r"\s*\(at line (\d+), column (\d+)\)$", message)
    if not match:
        return ConfigError(f"not valid TOML: {message}", file=file)
    return ConfigError(
        f"not valid TOML: {message[: match.start()]}",
        file=file,
        line=int(match[1]),
        column=int(match[2]),
    )


def explain(message: str, model: type[msgspec.Struct]) -> tuple[tuple[str, ...], str, str]:
    """A msgspec message as (key path, message that names the field, hint)."""
    at = ""
    if match := _AT.search(message):
        at, message = match[1], message[: match.start()]
    path = tuple(part for part in re.split(r"[.\[\]]+", at) if part and part != "...")
    dotted = ".".join(path)
    if match := _UNKNOWN.search(message):
        known = list(_struct_at(model, path).__struct_fields__)
        near = get_close_matches(match[1], known, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
        where = f" in [{dotted}]" if dotted else ""
        return (*path, match[1]), f"unknown key `{match[1]}`{where}", hint
    if match := re.search(r"missing required field `([^`]*)`", message):
        return (*path, match[1]), f"`{'.'.join((*path, match[1]))}` is required", "add it"
    return path, f"`{dotted}`: {message[:1].lower()}{message[1:]}", ""


def _struct_at(model: Any, path: tuple[str, ...]) -> type[msgspec.Struct]:
    """The struct that `path` leads to, through members and through the values of tables."""
    kind = model
    for part in path:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            kind = get_type_hints(kind).get(part)
        elif get_args(kind):
            kind = get_args(kind)[-1]
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            model = kind
    return model  # type: ignore[no-any-return]


def load_workspace(folder: Path) -> Workspace:
    """Read `folder`. Raises `ConfigErrors` with everything that is wrong in it."""
    if not folder.is_dir():
        raise ConfigError(
            f"workspace folder {folder} does not exist",
            hint="`router serve` makes one, or name another with --workspace",
        )
    reader = _Reader(folder)
    settings: Settings | None = Settings()
    if (folder / "router.toml").exists():
        settings = reader.read(folder / "router.toml", Settings)
    sources = _read_folder(reader, "sources", Source)
    destinations = _read_folder(reader, "destinations", Destination)
    if settings is not None:
        _check_settings(reader, settings, destinations)
    _check_sources(reader, sources)
    _check_destinations(reader, sources, destinations)
    if reader.errors:
        raise ConfigErrors(reader.errors)
    assert settings is not None
    return Workspace(
        settings=settings,
        sources=sources,
        destinations=destinations,
        digest=reader.digest.hexdigest()[:16],
    )


def _read_folder(reader: _Reader, name: str, model: type[ModelT]) -> dict[str, ModelT]:
    found: dict[str, ModelT] = {}
    for path in sorted((reader.folder / name).glob("*.toml")):
        if path.name.startswith("."):
            continue
        if not _ID.match(path.stem):
            reader.errors.append(
                ConfigError(
                    f"`{path.stem}` cannot be an id",
                    file=f"{name}/{path.name}",
                    hint="a file's name is its id: lower-case letters, digits, - and _, up to 63",
                )
            )
        elif (item := reader.read(path, model)) is not None:
            found[path.stem] = item
    return found


def _check_settings(
    reader: _Reader, settings: Settings, destinations: dict[str, Destination]
) -> None:
    control = settings.control
    if control.host not in ("127.0.0.1", "::1", "localhost") and not control.token:
        reader.fail(
            "router.toml",
            ("control", "host"),
            f"`control.host` {control.host} is not loopback and `control.token` is empty",
            'set control.token, e.g. token = "${ROUTER_TOKEN}"',
        )
    for network in settings.server.trusted_proxies:
        try:
            ip_network(network, strict=False)
        except ValueError:
            reader.fail(
                "router.toml",
                ("server", "trusted_proxies"),
                f"`server.trusted_proxies`: {network!r} is not an address or network",
                "write e.g. 10.0.0.0/8",
            )
    if settings.limits.body_bytes < settings.limits.event_bytes:
        reader.fail(
            "router.toml",
            ("limits", "body_bytes"),
            "`limits.body_bytes` is smaller than `limits.event_bytes`",
            "raise it",
        )
    for name in settings.log.sacrifice:
        if name not in destinations and not (reader.folder / f"destinations/{name}.toml").exists():
            reader.fail(
                "router.toml",
                ("log", "sacrifice"),
                f"`log.sacrifice`: there is no destination `{name}`",
                _nearest(name, destinations),
            )


def _check_sources(reader: _Reader, sources: dict[str, Source]) -> None:
    owner: dict[str, str] = {}
    for source_id, source in sources.items():
        if (first := owner.setdefault(source.write_key, source_id)) != source_id:
            reader.fail(
                f"sources/{source_id}.toml",
                ("write_key",),
                f"`write_key` is the one of source `{first}` too",
                "give each source its own",
            )


def _check_destinations(
    reader: _Reader, sources: dict[str, Source], destinations: dict[str, Destination]
) -> None:
    for destination_id, destination in destinations.items():
        if not _is_start(destination.start):
            reader.fail(
                f"destinations/{destination_id}.toml",
                ("start",),
                f"`start`: {destination.start!r} is no time",
                'write "now", "earliest" or e.g. "2026-01-31T12:00:00Z"',
            )
        for source in destination.sources:
            if source != "*" and source not in sources:
                if (reader.folder / f"sources/{source}.toml").exists():
                    continue
                reader.fail(
                    f"destinations/{destination_id}.toml",
                    ("sources",),
                    f"`sources`: there is no source `{source}`",
                    _nearest(source, sources),
                )


def _is_start(text: str) -> bool:
    if text in ("now", "earliest"):
        return True
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _nearest(name: str, known: dict[str, Any]) -> str:
    near = get_close_matches(name, list(known), 1)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known: {', '.join(known)}" if known else "none is defined"
