"""`${NAME}` and `${file:/path}` in workspace strings, so that no secret has to stand in a file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_REFERENCE = re.compile(r"\$(\$\{)|\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

Report = Callable[[tuple[str, ...], str, str], None]
"""Called with the key's path, what is wrong, and a hint."""


def expand(
    value: Any,
    report: Report,
    path: tuple[str, ...] = (),
    environ: Mapping[str, str] = os.environ,
) -> Any:
    """`value` with every reference in its strings replaced; `$${` stands for a literal `${`."""
    if isinstance(value, dict):
        return {key: expand(item, report, (*path, key), environ) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, report, path, environ) for item in value]
    if isinstance(value, str) and "${" in value:
        return _REFERENCE.sub(lambda match: _resolve(match, report, path, environ), value)
    return value


def _resolve(
    match: re.Match[str], report: Report, path: tuple[str, ...], environ: Mapping[str, str]
) -> str:
    if match[1]:
        return "${"
    name = match[2].strip()
    if name.startswith("file:"):
        return _read_secret(name.removeprefix("file:"), report, path)
    if not _NAME.match(name):
        report(
            path,
            f"`${{{name}}}` is neither an environment variable nor a file",
            "write ${NAME}, ${file:/path}, or $${ for a literal ${",
        )
        return ""
    if name not in environ:
        report(path, f"environment variable {name} is not set", f"set {name}, or write the value")
        return ""
    return environ[name]


def _read_secret(file: str, report: Report, path: tuple[str, ...]) -> str:
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        report(
            path, f"cannot read {file}: {reason}", "give the router's user access, or fix the path"
        )
        return ""
