"""Finds catalogue files: the built-in ones, and a workspace's own. A file is read when asked for."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path

import msgspec

from router.destinations.spec import Spec
from router.errors import ConfigError
from router.workspace.load import explain
from router.workspace.locate import locate

_BUILT_IN = Path(__file__).parent / "catalog"


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

    def _find(self, slug: str) -> Path:
        for folder in self._folders:
            if "/" not in slug and (path := folder / f"{slug}.toml").is_file():
                return path
        near = get_close_matches(slug, self.slugs(), 1)
        hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(self.slugs())}"
        raise ConfigError(f"there is no destination `{slug}` in the catalogue", hint=hint)


def read_spec(path: Path) -> Spec:
    """A catalogue file. Raises `ConfigError` with file and line."""
    file = f"catalog/{path.name}"
    try:
        text = path.read_text()
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=file) from None
    try:
        spec = msgspec.convert(table, Spec)
    except msgspec.ValidationError as error:
        at, message, hint = explain(str(error), Spec)
        raise ConfigError(message, file=file, line=locate(text, at), hint=hint) from None
    if not spec.actions:
        raise ConfigError("a destination needs at least one action", file=file)
    return spec


def catalog(own: Path | None = None) -> Catalog:
    """The catalogue, with the private destinations in folder `own` where it exists."""
    return Catalog(own)
