"""Runs recorded cases through what `router destinations transform` is made of."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import orjson

from router.destinations import Compiled, NotApplicable, catalog, compile_destination
from router.destinations.examples import exchange, show
from router.destinations.preview import mappings_of
from router.destinations.settings import choice_values
from router.destinations.spec import Setting, Spec
from router.errors import RouterError
from router.event import restore_event
from router.workspace.models import Destination
from tests.conformance.compare import contained_difference, requests_difference

VECTORS = Path(__file__).parents[3] / "shared" / "vectors"
NOW_MS = 1705320000000
"""2024-01-15T12:00:00Z, the clock of the recordings."""

Compare = Callable[..., str]


class Result(msgspec.Struct):
    """What became of one case. `outcome`: matched, better, differs, skipped."""

    case: str
    outcome: str
    reason: str = ""


class Column(msgspec.Struct):
    """The results of one destination against one kind of vectors."""

    slug: str
    kind: str
    results: list[Result] = []

    def count(self) -> Counter[str]:
        return Counter(result.outcome for result in self.results)

    @property
    def share(self) -> float | None:
        """Matched and better, of all that were not skipped."""
        count = self.count()
        tried = count.total() - count["skipped"]
        return (count["matched"] + count["better"]) / tried if tried else None


@cache
def segment_files() -> dict[str, Path]:
    """By Segment's slug, without its `actions-` and `-cloud`."""
    found = {}
    for path in sorted((VECTORS / "segment-requests").glob("[!_]*.json")):
        slug = json.loads(path.read_text())["slug"]
        found[slug] = path
    return found


def segment_file(slug: str, spec: Spec) -> Path | None:
    files = segment_files()
    names = (spec.conformance.segment, f"actions-{slug}", f"actions-{slug}-cloud", slug,
             f"{slug}-actions")  # fmt: skip
    return next((files[name] for name in names if name in files), None)


@cache
def segment_events() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / "segment-requests/_events.json").read_text())
    return found


def instance_settings(spec: Spec, given: dict[str, Any]) -> dict[str, Any]:
    """The recorded settings that the destination has, and a sample for what it needs besides."""
    names = {alias: name for name, one in spec.settings.items() for alias in (name, *one.aliases)}
    settings = {names[name]: value for name, value in given.items() if name in names}
    settings |= spec.conformance.settings
    for name, one in spec.settings.items():
        if one.required and name not in settings and one.default is None:
            settings[name] = sample(name, one)
    return settings


def sample(name: str, setting: Setting) -> Any:
    """A value of the setting's type."""
    if setting.choices:
        return choice_values(setting.choices)[0]
    plain: dict[str, Any] = {"number": 1, "boolean": False, "list": ["a"], "map": {"a": "b"},
                             "url": "https://example.com"}  # fmt: skip
    return plain.get(setting.type, f"sample_{name}")


def compiled(
    slug: str, spec: Spec, settings: dict[str, Any], mappings: Any, token: str
) -> Compiled:
    given, presets = mappings_of(mappings)
    instance = Destination(destination=slug, settings=settings, mappings=given, presets=presets)
    one = compile_destination(spec, slug, instance)
    one.assume_token(token)
    return one


def sent(one: Compiled, events: list[Any]) -> list[dict[str, Any]]:
    """The requests for events together, those left out that are not applicable."""
    made = []
    for number, event in enumerate(events):
        restored = restore_event(orjson.dumps(event), number, "vectors", 0)
        with suppress(NotApplicable):
            one.map(restored)
            made.append(restored)
    return [show(each) for each in asyncio.run(exchange(one, made, NOW_MS)).requests]


def judged(spec: Spec, case: str, wanted: list[Any], found: list[Any], compare: Compare) -> Result:
    """Matched, better where only what is better on purpose differs, or what differs."""
    ignore = list(spec.conformance.ignore)
    reason = compare(wanted, found, ignore)
    if not reason:
        return Result(case, "matched")
    because: list[str] = []
    rows: list[str] = []
    for better in spec.conformance.better:
        if not fnmatchcase(case, better.cases):
            continue
        if not better.paths and not better.rows:
            return Result(case, "better", better.because)
        ignore += better.paths
        rows = better.rows or rows
        because.append(better.because)
    if because and not (reason := compare(wanted, found, ignore, rows)):
        return Result(case, "better", "; ".join(because))
    return Result(case, "differs", reason)


def segment_columns(slug: str) -> list[Column]:
    """With Segment's own subscriptions and mappings, and with our defaults."""
    spec = catalog().spec(slug)
    path = segment_file(slug, spec)
    if path is None:
        return []
    file = json.loads(path.read_text())
    return [
        Column(slug, "segment's mappings", list(_engine_results(slug, spec, file))),
        Column(slug, "our defaults", list(_default_results(slug, spec, file))),
    ]


def _token(file: dict[str, Any]) -> str:
    return (file.get("auth") or {}).get("accessToken") or "access-token"


def _engine_results(slug: str, spec: Spec, file: dict[str, Any]) -> Iterator[Result]:
    settings = instance_settings(spec, file["settings"])
    made: dict[str, Compiled] = {}
    for case in file["cases"]:
        if case["action"] not in spec.actions:
            yield Result(case["id"], "skipped", f"there is no action {case['action']}")
            continue
        subscription = file["subscriptions"][case["subscription"]]
        mapping = {**subscription["mapping"], **case.get("mapping_overrides", {})}
        key = json.dumps([case["subscription"], mapping])
        try:
            if key not in made:
                mappings = [{**subscription, "mapping": mapping}]
                made[key] = compiled(slug, spec, settings, mappings, _token(file))
            found = sent(made[key], [segment_events()[name] for name in case["events"]])
        except RouterError as error:
            yield Result(case["id"], "differs", str(error))
            continue
        result = judged(spec, case["id"], case["expect"]["requests"], found, requests_difference)
        if result.outcome == "differs" and found and _only_of_a_type(case["expect"]):
            reason = "an event goes without a value that is not of its field's type, not unsent"
            result = Result(case["id"], "better", reason)
        yield result


def _only_of_a_type(expect: dict[str, Any]) -> bool:
    """Was the event refused only for values of other types than their fields'?"""
    message = (expect.get("error") or {}).get("message", "")
    sentences = [each for each in re.split(r"\.\s+|\.$", message) if each]
    return bool(sentences) and all(re.search(r" must be .* but it was ", s) for s in sentences)


def _default_results(slug: str, spec: Spec, file: dict[str, Any]) -> Iterator[Result]:
    """A case counts where its mapping is wholly a default and something is sent: it has to be among
    what we send for the same event."""
    try:
        settings = instance_settings(spec, file["settings"])
        one = compiled(slug, spec, settings, {}, _token(file))
    except RouterError as error:
        yield Result(slug, "differs", str(error))
        return
    for case in file["cases"]:
        subscription = file["subscriptions"][case["subscription"]]
        if subscription["filled_required_fields"] or case.get("mapping_overrides"):
            continue
        if case["kind"] != "single" or not case["expect"]["requests"]:
            continue
        if subscription["from"] != "preset" and any(
            each["from"] == "preset" for each in file["subscriptions"]
        ):
            continue
        found = sent(one, [segment_events()[name] for name in case["events"]])
        yield judged(spec, case["id"], case["expect"]["requests"], found, contained_difference)
