"""`python -m tests.conformance.draft SLUG`: a catalogue file begun from Segment's definition.

Settings, actions, triggers and default mappings are Segment's, written as expressions. What is left to
write by hand: url, auth, each action's path, row and batch, responses, tests. SLUG is Segment's or
ours.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from router.destinations.mapping_kit import mapping_tree
from router.destinations.unparse import unparse
from router.errors import ConfigError
from tests.conformance.run import VECTORS

TYPES = {"string": "text", "text": "text", "password": "text", "datetime": "time"}
SETTING_TYPES = {"string": "text", "text": "text", "password": "secret", "datetime": "text"}
BATCHING = {"enable_batching", "batch_size", "batch_bytes", "batch_keys"}
BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    catalogue = json.loads((VECTORS / "segment-catalog.json").read_text())
    names = {sys.argv[1], f"actions-{sys.argv[1]}", f"actions-{sys.argv[1]}-cloud"}
    found = [each for each in catalogue["destinations"]
             if each.get("slug") in names and each.get("mode") == "cloud"]  # fmt: skip
    if not found:
        raise SystemExit(f"no destination {sys.argv[1]} in {VECTORS / 'segment-catalog.json'}")
    print(draft(found[0]))


def draft(one: dict[str, Any]) -> str:
    lines = [
        f"name = {text(one['name'].removesuffix(' (Actions)'))}",
        'docs = ""',
        'category = ""',
        f"description = {text(one.get('description') or '')}",
        'verified = "vectors"',
        f"integrations = [{text(one['name'])}]",
        'url = ""',
    ]
    for url in one.get("urls") or []:
        lines.append(f"# {url}")
    lines += ["", "[auth]", f"# Segment: {one.get('auth_scheme')}"]
    for name, setting in (one.get("auth_fields") or one.get("settings") or {}).items():
        lines += _setting(name, setting or {})
    presets = [each for each in one.get("presets") or [] if each.get("type") == "automatic"]
    for name, action in one["actions"].items():
        if action:
            lines += _action(name, action, [p for p in presets if p["partnerAction"] == name])
    return "\n".join(lines)


def text(value: str) -> str:
    """A TOML string."""
    value = " ".join(str(value).split())
    return (
        f"'{value}'" if '"' in value and "'" not in value else json.dumps(value, ensure_ascii=False)
    )


def key(name: str) -> str:
    return name if BARE.match(name) else text(name)


def choices(given: list[Any]) -> str:
    values = [str(each["value"]) if isinstance(each, dict) else str(each) for each in given]
    return f"[{', '.join(map(text, values))}]"


def _setting(name: str, setting: dict[str, Any]) -> list[str]:
    kind = "choice" if setting.get("choices") else setting.get("type", "string")
    lines = ["", f"[settings.{key(name)}]", f"type = {text(SETTING_TYPES.get(kind, kind))}",
             f"label = {text(setting.get('label') or name)}"]  # fmt: skip
    if setting.get("description"):
        lines.append(f"help = {text(setting['description'])}")
    if setting.get("choices"):
        lines.append(f"choices = {choices(setting['choices'])}")
    if "default" in setting:
        lines.append(f"default = {json.dumps(setting['default'], ensure_ascii=False)}")
    if setting.get("required"):
        lines.append("required = true")
    return lines


def _action(name: str, action: dict[str, Any], presets: list[dict[str, Any]]) -> list[str]:
    first = presets[0] if presets else None
    trigger = first["subscribe"] if first else action.get("defaultSubscription") or ""
    head = f"when = {text(trigger)}" if presets else f"# when = {text(trigger)}"
    lines = ["", f"[actions.{key(name)}]", f"label = {text(action.get('title') or name)}", head,
             'path = ""']  # fmt: skip
    if action.get("has_performBatch"):
        lines.append("batch = { events = 1000, bytes = 1000000, seconds = 1.0 }")
    lines += ["", f"[actions.{key(name)}.fields]"]
    for field_name, field in (action.get("fields") or {}).items():
        if field_name in BATCHING or field_name.startswith("__"):
            continue
        default = (first or {}).get("mapping", {}).get(field_name, (field or {}).get("default"))
        lines.append(_field(field_name, field or {}, default))
    lines += ["", f"[actions.{key(name)}.row]"]
    for more in presets[1:]:
        label = re.sub(r"\W+", "_", more["name"]).strip("_").lower()
        lines += [
            "",
            f"[actions.{label}]",
            f"like = {text(name)}",
            f"when = {text(more['subscribe'])}",
        ]
        differing = {
            field: value
            for field, value in more.get("mapping", {}).items()
            if value != (first or {}).get("mapping", {}).get(field)
        }
        lines += ["", f"[actions.{label}.fields]"] if differing else []
        lines += [f"{key(field)} = {text(expression(value))}" for field, value in differing.items()]
    return lines


def expression(default: Any) -> str:
    if default is None:
        return ""
    try:
        return unparse(mapping_tree(default))
    except ConfigError as error:
        return f"# {error}"


def _field(name: str, field: dict[str, Any], default: Any) -> str:
    required = field.get("required") is True
    kind = TYPES.get(field.get("type", ""), field.get("type", "any"))
    parts = [f"default = {text(expression(default))}"] if default is not None else []
    parts.append(f"type = {text(kind)}")
    if field.get("multiple"):
        parts.append("multiple = true")
    if field.get("properties") and not field.get("additionalProperties"):
        names = [
            f"{inner}{'!' if (each or {}).get('required') is True else ''}"
            for inner, each in field["properties"].items()
        ]
        parts.append(f"members = {json.dumps(names)}")
    if field.get("choices"):
        parts.append(f"choices = {choices(field['choices'])}")
    if field.get("label"):
        parts.append(f"label = {text(field['label'])}")
    label = text(f"{name}!") if required else key(name)
    return f"{label} = {{ {', '.join(parts)} }}"


if __name__ == "__main__":
    main()
