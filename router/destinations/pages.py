"""docs/destinations/<slug>.md: a destination's page, written from its file.

`python -m router.destinations.pages [SLUG…]` writes them, and catalog.md; a test keeps them equal.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson

from router.destinations.catalog import Entry, catalog
from router.destinations.fields import value_tree
from router.destinations.settings import choice_values
from router.destinations.spec import Action, Field, Setting, Spec
from router.destinations.unparse import unparse

DOCS = Path(__file__).parents[2] / "docs" / "destinations"
_MARK = "<!-- Written by `python -m router.destinations.pages`. -->"
_VERIFIED = {
    "vectors": "compared with requests recorded of Segment's or RudderStack's integration",
    "emulator": "run against a server",
    "documented": "written from the vendor's documentation alone, not run against the service",
    "own": "the router's own",
}


def page(slug: str, spec: Spec) -> str:
    """The page, as Markdown."""
    parts = [f"# {spec.name}\n\n{_MARK}\n\n{spec.description}\n\n", _facts(slug, spec)]
    if spec.notes:
        parts.append(f"\n{spec.notes.strip()}\n")
    parts += [_settings(spec.settings), _actions(spec), _better(spec)]
    return "".join(parts)


def _facts(slug: str, spec: Spec) -> str:
    lines = [f'- `destination = "{slug}"`, {spec.category or "no category"}']
    if spec.docs:
        lines.append(f"- [the vendor's documentation]({spec.docs})")
    lines.append(f"- verified: {spec.verified}, {_VERIFIED[spec.verified]}")
    rate = f"{spec.limits.rate:g} requests a second, " if spec.limits.rate else ""
    lines.append(f"- at most {rate}{spec.limits.concurrency} at a time")
    if spec.code or spec.sink or any(action.code for action in spec.actions.values()):
        lines.append("- partly Python")
    return "\n".join(lines) + "\n"


def _settings(settings: dict[str, Setting]) -> str:
    if not settings:
        return ""
    rows = [
        f"| `{name}` | {_kind(one)} | {_default(one)} | {_cell(one.help or one.label)} |\n"
        for name, one in settings.items()
    ]
    return "\n## Settings\n\n| key | type | default | |\n| --- | --- | --- | --- |\n" + "".join(
        rows
    )


def _kind(setting: Setting) -> str:
    if setting.choices:
        return _cell(" or ".join(f"`{value}`" for value in choice_values(setting.choices)))
    return setting.type


def _default(setting: Setting) -> str:
    if setting.required and setting.default is None:
        return "required"
    if setting.default in (None, "", [], {}):
        return ""
    return f"`{orjson.dumps(setting.default).decode()}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _actions(spec: Spec) -> str:
    parts = ["\n## Actions\n"]
    for name, action in spec.actions.items():
        parts.append(f"\n### `{name}`\n\n{_action(action)}")
        if action.fields and not action.part_of:
            parts.append("\n| field | type | default | |\n| --- | --- | --- | --- |\n")
            parts += [_field(key, field) for key, field in action.fields.items()]
    return "".join(parts)


def _action(action: Action) -> str:
    lines = [text for text in (action.label, action.help) if text]
    if action.part_of:
        condition = f", where `{action.if_}`" if action.if_ else ""
        lines.append(f"A further request of `{action.part_of}`{condition}.")
    elif action.when:
        condition = f", and `{action.if_}`" if action.if_ else ""
        lines.append(f"Triggered by `{action.when}`{condition}.")
    else:
        lines.append("Not triggered until a mapping says when.")
    if action.batch is not None:
        lines.append(f"Up to {action.batch.events} a request.")
    if action.steps:
        names = ", ".join(f"`{step.name}`" for step in action.steps)
        lines.append(f"Takes several requests: {names}.")
    return "\n".join(lines) + "\n"


def _field(name: str, field: Field | str) -> str:
    one = Field(default=field) if isinstance(field, str) else field
    required = name.endswith("!") or one.required
    kind = f"list of {one.type}" if one.multiple else one.type
    default = _expression(one.default)
    label = f"`{name.removesuffix('!')}`{' (required)' if required else ''}"
    return f"| {label} | {kind} | {default} | {_cell(one.help or one.label)} |\n"


def _expression(default: Any) -> str:
    if default in (None, ""):
        return ""
    text = default if isinstance(default, str) else unparse(value_tree(default, "default"))
    fence = "``" if "`" in text else "`"
    space = " " if fence == "``" else ""
    return f"{fence}{space}{_cell(text)}{space}{fence}"


def _better(spec: Spec) -> str:
    reasons = list(dict.fromkeys(better.because for better in spec.conformance.better))
    if not reasons:
        return ""
    return "\n## Where it differs from Segment's\n\n" + "".join(f"- {each}\n" for each in reasons)


def overview(entries: list[Entry]) -> str:
    """catalog.md: all destinations by category."""
    lines = [f"# The catalogue\n\n{_MARK}\n\n"]
    with_code = sum(entry.code for entry in entries)
    lines.append(
        f"{len(entries)} destinations, {with_code} of them with Python. What `verified` means stands on "
        "each page; [how to add one](README.md).\n"
    )
    for category in sorted({entry.category for entry in entries}):
        lines.append(
            f"\n## {category[:1].upper()}{category[1:]}\n\n| | | verified |\n| --- | --- | --- |\n"
        )
        lines += [
            f"| [{entry.name}]({entry.slug}.md) | {_cell(entry.description)} | {entry.verified} |\n"
            for entry in entries
            if entry.category == category
        ]
    return "".join(lines)


def main(slugs: list[str]) -> None:
    """Write the pages of `slugs`, or of all, and the overview."""
    known = catalog()
    for slug in slugs or known.slugs():
        (DOCS / f"{slug}.md").write_text(page(slug, known.spec(slug)))
    (DOCS / "catalog.md").write_text(overview(known.entries()))


if __name__ == "__main__":
    main(sys.argv[1:])
