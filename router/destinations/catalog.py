"""Finds catalogue files: the built-in ones, and a workspace's own. A file is read when asked for."""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from router.destinations.inherit import inherited
from router.destinations.spec import Action, Field, Setting, Spec
from router.errors import ConfigError
from router.workspace.load import explain
from router.workspace.locate import locate

_BUILT_IN = Path(__file__).parent / "catalog"
_TABLE = re.compile(r"^\s*\[", re.MULTILINE)
_ACTION = re.compile(r"^\[actions\.([A-Za-z0-9_-]+)\]", re.MULTILINE)
_CODE = re.compile(r"^(code|sink)\s*=", re.MULTILINE)


class Entry(msgspec.Struct, frozen=True):
    """What a file tells of itself before its first table."""

    slug: str
    name: str
    category: str
    description: str
    verified: str
    actions: int
    code: bool
    """Some of it is Python."""


class Catalog:
    """Specs by slug; a workspace's own stand above the built-in ones."""

    def __init__(self, own: Path | None = None) -> None:
        self._folders = [folder for folder in (own, _BUILT_IN) if folder is not None]
        self._specs: dict[str, Spec] = {}

    def slugs(self) -> list[str]:
        return sorted({path.stem for folder in self._folders for path in folder.glob("*.toml")})

    def spec(self, slug: str) -> Spec:
        """The destination named `slug`. Raises `ConfigError`."""
        if slug not in self._specs:
            self._specs[slug] = read_spec(self._find(slug))
        return self._specs[slug]

    def entries(self) -> list[Entry]:
        """Every destination's entry, by slug. Reads each file's head only, so that it takes
        milliseconds where compiling would take seconds."""
        return [read_entry(self._find(slug)) for slug in self.slugs()]

    def _find(self, slug: str) -> Path:
        for folder in self._folders:
            if "/" not in slug and (path := folder / f"{slug}.toml").is_file():
                return path
        near = get_close_matches(slug, self.slugs(), 1)
        known = self.slugs()
        some = ", ".join(known) if len(known) < 20 else "see `router destinations list`"
        hint = f"did you mean `{near[0]}`?" if near else f"known: {some}"
        raise ConfigError(f"there is no destination `{slug}` in the catalogue", hint=hint)


def _load(path: Path) -> tuple[dict[str, Any], str]:
    try:
        text = path.read_text()
        return tomllib.loads(text), text
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=f"catalog/{path.name}") from None


def read_entry(path: Path) -> Entry:
    """A file's entry. Raises `ConfigError`."""
    file = f"catalog/{path.name}"
    try:
        text = path.read_text()
        table = _TABLE.search(text)
        head = tomllib.loads(text[: table.start()] if table else text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=file) from None
    return Entry(
        path.stem, str(head.get("name", path.stem)), str(head.get("category", "")),
        str(head.get("description", "")), str(head.get("verified", "documented")),
        len(_ACTION.findall(text)), bool(_CODE.search(text)),
    )  # fmt: skip


def read_spec(path: Path) -> Spec:
    """A catalogue file. Raises `ConfigError` with file and line."""
    file = f"catalog/{path.name}"
    table, text = _load(path)
    try:
        base = table.get("extends")
        known = _load(_BUILT_IN / f"{base}.toml")[0] if base else None
        spec = msgspec.convert(inherited(table, known), Spec)
    except msgspec.ValidationError as error:
        at, message, hint = _wrong_member(table) or explain(str(error), Spec)
        raise ConfigError(message, file=file, line=locate(text, at), hint=hint) from None
    except ConfigError as error:
        at = tuple(error.message.split("`")[1].split(".")) if "`" in error.message else ()
        raise ConfigError(
            error.message, file=error.file or file, line=locate(text, at), hint=error.hint
        ) from None
    if not spec.actions:
        raise ConfigError("a destination needs at least one action", file=file)
    return spec


def _wrong_member(table: dict[str, Any]) -> tuple[tuple[str, ...], str, str] | None:
    """The key path, message and hint of a setting, action or field that is wrong: what msgspec says
    of a whole file does not name it."""
    for name, action in _tables(table.get("actions")):
        fields = _tables(action.get("fields"))
        if (found := _wrong(fields, Field, ("actions", name, "fields"))) is not None:
            return found
    for section, kind in (("settings", Setting), ("actions", Action)):
        if (found := _wrong(_tables(table.get(section)), kind, (section,))) is not None:
            return found
    return None


def _tables(value: Any) -> list[tuple[str, dict[str, Any]]]:
    members = value.items() if isinstance(value, dict) else ()
    return [(name, each) for name, each in members if isinstance(each, dict)]


def _wrong(
    tables: list[tuple[str, dict[str, Any]]], kind: type[msgspec.Struct], where: tuple[str, ...]
) -> tuple[tuple[str, ...], str, str] | None:
    for name, table in tables:
        try:
            msgspec.convert(table, kind)
        except msgspec.ValidationError as error:
            at, message, hint = explain(str(error), kind)
            place = ".".join((*where, name))
            if message.startswith("unknown key"):
                message = f"{message.split(' in [')[0]} in [{'.'.join((place, *at[:-1]))}]"
            else:
                message = message.replace("`", f"`{place}.", 1)
            return (*where, name, *at), message, hint
    return None


def catalog(own: Path | None = None) -> Catalog:
    """The catalogue, with the private destinations in folder `own` where it exists."""
    return Catalog(own)
