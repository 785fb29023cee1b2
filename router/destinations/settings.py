"""An instance's settings, checked and completed by its spec."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from router.destinations.spec import Choice, Setting, Spec
from router.destinations.trees import compile_at
from router.errors import ConfigError, ConfigErrors

_SHORTEST_SECRET = 4
"""What is shorter stands in every other word."""

_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "text": ((str,), "text"),
    "secret": ((str,), "text"),
    "url": ((str,), "a URL"),
    "choice": ((str,), "text"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
    "list": ((list,), "a list"),
    "map": ((dict,), "a table"),
}


def check_settings(spec: Spec, given: dict[str, Any]) -> dict[str, Any]:
    """Every setting with its value or default. Raises `ConfigErrors`, each naming its setting."""
    errors: list[ConfigError] = []
    named = {alias: key for key, one in spec.settings.items() for alias in one.aliases}
    values: dict[str, Any] = {}
    for key, value in given.items():
        name = named.get(key, key)
        setting = spec.settings.get(name)
        if setting is None:
            errors.append(_unknown(key, spec))
        elif problem := _problem(setting, value):
            hint = setting.help or setting.label
            errors.append(ConfigError(f"`settings.{key}` {problem}", hint=hint))
        else:
            values[name] = value
    missing = [name for name in spec.settings if name not in values]
    values |= {name: spec.settings[name].default for name in missing}
    for name in missing:
        setting = spec.settings[name]
        needed = setting.required and setting.default is None and name not in given
        if needed and (not setting.when or compile_at(setting.when, name).test({}, values)):
            hint = setting.help or setting.label
            errors.append(ConfigError(f"`settings.{name}` is required", hint=hint))
    if errors:
        raise ConfigErrors(errors)
    return values


def choice_values(choices: list[str | Choice]) -> list[str]:
    return [each if isinstance(each, str) else each.value for each in choices]


def _unknown(key: str, spec: Spec) -> ConfigError:
    near = get_close_matches(key, list(spec.settings), 1)
    known = ", ".join(spec.settings) or "none"
    hint = f"did you mean `{near[0]}`?" if near else f"known settings: {known}"
    return ConfigError(f"unknown setting `{key}`", hint=hint)


def _problem(setting: Setting, value: Any) -> str:
    """What is wrong with a value, or ""."""
    kinds, name = _TYPES[setting.type]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        return f"has to be {name}"
    if setting.required and value in ("", [], {}):
        return "must not be empty"
    if setting.choices and value not in (values := choice_values(setting.choices)):
        return f"has to be one of {', '.join(values)}"
    if setting.pattern and value and not re.fullmatch(setting.pattern, str(value)):
        return "is not written as it has to be"
    if setting.type == "url" and isinstance(value, str) and value:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return "has to be a URL that begins with http:// or https://"
    return ""


def secrets_of(spec: Spec, values: dict[str, Any]) -> list[str]:
    """The values that must not be shown, longest first."""
    found = [
        str(values[name]) for name, setting in spec.settings.items()
        if setting.type == "secret" and len(str(values.get(name) or "")) >= _SHORTEST_SECRET
    ]  # fmt: skip
    for name, setting in spec.settings.items():
        if setting.type == "map" and isinstance(values.get(name), dict):
            found += [str(value) for value in values[name].values() if len(str(value)) >= 8]
    return sorted(found, key=len, reverse=True)
