"""Filters of a destination: what to drop, sample, take away and change before an event is mapped.

    [[filters]]
    do = "drop_properties"
    if = 'type = "identify"'
    paths = ["traits.email", "traits.cards.number"]

They run in the order they stand in. A path is written as in expressions; a list on its way means
each of its items (`rename` moves single values). As in Segment's destination filters, `set` and
`rename` write only where the object to write in is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, get_args

from router._fast.expr import Expr, compile
from router._fast.functions import text_of
from router._fast.parse import parse
from router.destinations.sampling import uniform, uniform_tsub
from router.errors import ConfigError, ExpressionError
from router.workspace.models import Do, Filter

Steps = tuple[str, ...]
Settings = Mapping[str, Any]
Step = Callable[[dict[str, Any], Settings | None], dict[str, Any] | None]
"""An event to the same or a changed one, or None where it is dropped."""


_USES: dict[str, tuple[str, ...]] = {
    "drop": (),
    "only": (),
    "sample": ("percent", "path", "hash"),
    "drop_properties": ("paths",),
    "allow_properties": ("paths",),
    "hash_properties": ("paths",),
    "mask_properties": ("paths", "keep"),
    "rename": ("names",),
    "set": ("values",),
}
_NEEDS = {"percent", "paths", "names", "values"}
_KEYS = ("percent", "path", "hash", "paths", "keep", "names", "values")


class Filters:
    """The filters of one destination. `failed` counts events dropped because one could not run."""

    def __init__(self, steps: list[tuple[Expr | None, Step]]) -> None:
        self._steps = steps
        self.failed = 0

    def __bool__(self) -> bool:
        return bool(self._steps)

    def apply(
        self, event: dict[str, Any], settings: Settings | None = None
    ) -> dict[str, Any] | None:
        """The event as the destination may see it, None where it may not.

        `event` stays as it is; what is not changed is shared with it. An event that a filter
        cannot be run on is dropped.
        """
        found = event
        try:
            for condition, step in self._steps:
                if condition is None or condition.test(found, settings):
                    after = step(found, settings)
                    if after is None:
                        return None
                    found = after
        except Exception:
            self.failed += 1
            return None
        return found


def compile_filters(filters: list[Filter]) -> Filters:
    """Compile in order. Raises `ConfigError` that names the filter, counting from 0, and its key."""
    return Filters([_compiled(each, f"filters[{i}]") for i, each in enumerate(filters)])


def _compiled(one: Filter, where: str) -> tuple[Expr | None, Step]:
    if one.do not in _USES:
        raise ConfigError(f"`{where}.do`: there is no `{one.do}`", hint=", ".join(get_args(Do)))
    _check_keys(one, where)
    condition = _expression(one.if_, f"{where}.if") if one.if_ else None
    if one.do == "only":
        if condition is None:
            raise ConfigError(
                f"`{where}.if` is missing", hint="`only` keeps events for which it is true"
            )
        return None, _only(condition)
    return condition, _BUILD[one.do](one, where)


def _check_keys(one: Filter, where: str) -> None:
    without = Filter(do=one.do)
    for key in _KEYS:
        value = getattr(one, key)
        if key not in _USES[one.do] and value != getattr(without, key):
            raise ConfigError(f"`{where}.{key}` has no meaning where `do` is `{one.do}`")
        if key in _USES[one.do] and key in _NEEDS and value in (None, [], {}):
            raise ConfigError(f"`{where}.{key}` is missing", hint=f"`{one.do}` needs it")


def _expression(text: str, where: str) -> Expr:
    try:
        return compile(text)
    except ExpressionError as error:
        raise ConfigError(
            f"`{where}`, column {error.column}: {error.message}", hint=error.hint
        ) from None


def _steps_of(text: str, where: str) -> Steps:
    """The members a path names, outermost first."""
    try:
        tree = parse(text)
    except ExpressionError as error:
        raise ConfigError(
            f"`{where}`, column {error.column}: {error.message}",
            hint="a character that is special stands behind a backslash",
        ) from None
    if tree[0] != "path" or tree[1] != "$" or not tree[2]:
        raise ConfigError(
            f"`{where}`: `{text}` is no path of the event", hint="write it as `properties.email`"
        )
    return tuple(str(step) for step in tree[2])


def _all_steps(one: Filter, where: str) -> list[Steps]:
    return [_steps_of(text, f"{where}.paths[{i}]") for i, text in enumerate(one.paths)]


def _drop(_one: Filter, _where: str) -> Step:
    return lambda event, settings: None


def _only(condition: Expr) -> Step:
    return lambda event, settings: event if condition.test(event, settings) else None


def _sample(one: Filter, where: str) -> Step:
    share, steps = (one.percent or 0) / 100, _steps_of(one.path or "messageId", f"{where}.path")
    number = uniform_tsub if one.hash == "tsub" else uniform

    def step(event: dict[str, Any], _: Settings | None) -> dict[str, Any] | None:
        if share <= 0 or share >= 1:
            return event if share else None
        value = value_at(event, steps)
        if value is _MISSING:
            value = event.get("messageId")
        return event if number(value) < share else None

    return step


def _drop_properties(one: Filter, where: str) -> Step:
    parents: dict[Steps, set[str]] = {}
    for steps in _all_steps(one, where):
        parents.setdefault(steps[:-1], set()).add(steps[-1])

    def without(names: set[str]) -> Callable[[Any], Any]:
        return lambda value: _members(value, lambda key: key not in names)

    return _changes([(steps, without(names)) for steps, names in parents.items()])


def _allow_properties(one: Filter, where: str) -> Step:
    """Only objects that a path names a member of are changed. What leads to another path stays."""
    paths = _all_steps(one, where)
    parents = {steps[:-1] for steps in paths}

    def only(parent: Steps) -> Callable[[Any], Any]:
        depth = len(parent)
        names = {steps[depth] for steps in paths if steps[:depth] == parent and len(steps) > depth}
        return lambda value: _members(value, lambda key: key in names)

    return _changes([(parent, only(parent)) for parent in sorted(parents)])


def _members(value: Any, wanted: Callable[[str], bool]) -> Any:
    """The object with the wanted members, of a list each item; itself where it has no other."""
    if isinstance(value, list):
        return _each(value, lambda item: _members(item, wanted))
    if not isinstance(value, dict) or all(wanted(key) for key in value):
        return value
    return {key: item for key, item in value.items() if wanted(key)}


def _hash_properties(one: Filter, where: str) -> Step:
    def hashed(value: Any) -> Any:
        if isinstance(value, list):
            return _each(value, hashed)
        text = text_of(value)
        return None if text is None else hashlib.sha256(text.encode()).hexdigest()

    return _changes([(steps, hashed) for steps in _all_steps(one, where)])


def _mask_properties(one: Filter, where: str) -> Step:
    keep = one.keep

    def masked(value: Any) -> Any:
        if isinstance(value, list):
            return _each(value, masked)
        text = text_of(value)
        if text is None:
            return None
        hidden = len(text) if len(text) <= keep else len(text) - keep
        return "*" * hidden + text[hidden:]

    return _changes([(steps, masked) for steps in _all_steps(one, where)])


def _rename(one: Filter, where: str) -> Step:
    pairs = []
    for old_text, new_text in one.names.items():
        old = _steps_of(old_text, f"{where}.names")
        new = _steps_of(new_text, f"{where}.names.{old_text}")
        if new[: len(old)] == old:
            raise ConfigError(f"`{where}.names`: `{new_text}` is within `{old_text}` itself")
        pairs.append((old, new))

    def step(event: dict[str, Any], _: Settings | None) -> dict[str, Any]:
        found: Any = event
        moves = [
            (old, new, value_at(event, old))
            for old, new in pairs
            if isinstance(value_at(event, new[:-1]), dict)
        ]
        moves = [move for move in moves if move[2] is not _MISSING]
        for old, _new, _value in moves:
            found = changed(found, old[:-1], _without_member(old[-1]))
        for _old, new, value in moves:
            found = changed(found, new[:-1], _with_member(new[-1], value))
        return found  # type: ignore[no-any-return]

    return step


def _set(one: Filter, where: str) -> Step:
    table = [
        (_steps_of(path, f"{where}.values"), _expression(text, f"{where}.values.{path}"), text)
        for path, text in one.values.items()
    ]
    plan = [(steps, expression, text.strip() == "null") for steps, expression, text in table]

    def step(event: dict[str, Any], settings: Settings | None) -> dict[str, Any]:
        found: Any = event
        for steps, expression, null in plan:
            value = expression.eval(event, settings)
            if value is not None or null:
                found = changed(found, steps[:-1], _with_member(steps[-1], value))
        return found  # type: ignore[no-any-return]

    return step


_BUILD: dict[str, Callable[[Filter, str], Step]] = {
    "drop": _drop,
    "sample": _sample,
    "drop_properties": _drop_properties,
    "allow_properties": _allow_properties,
    "hash_properties": _hash_properties,
    "mask_properties": _mask_properties,
    "rename": _rename,
    "set": _set,
}


def _changes(changes: list[tuple[Steps, Callable[[Any], Any]]]) -> Step:
    def step(event: dict[str, Any], _: Settings | None) -> dict[str, Any]:
        found: Any = event
        for steps, change in changes:
            found = changed(found, steps, change)
        return found  # type: ignore[no-any-return]

    return step


_MISSING: Any = object()


def value_at(value: Any, steps: Steps) -> Any:
    """The value at a path, `_MISSING` where there is none. In lists a step is an item's number."""
    for step in steps:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return _MISSING
    return value


def changed(value: Any, steps: Steps, change: Callable[[Any], Any]) -> Any:
    """`value` with what `change` makes of the values at a path; itself where nothing changed.

    Objects and lists on the way are copied, everything else is shared. A step that is no number
    goes into each item of a list.
    """
    if not steps:
        return change(value)
    step = steps[0]
    if isinstance(value, dict):
        return _replaced(value, step, steps, change) if step in value else value
    if not isinstance(value, list):
        return value
    if not step.isdecimal():
        return _each(value, lambda item: changed(item, steps, change))
    return _replaced(value, int(step), steps, change) if int(step) < len(value) else value


def _replaced(value: Any, key: Any, steps: Steps, change: Callable[[Any], Any]) -> Any:
    new = changed(value[key], steps[1:], change)
    if new is value[key]:
        return value
    copy = value.copy()
    copy[key] = new
    return copy


def _each(items: list[Any], change: Callable[[Any], Any]) -> list[Any]:
    found = [change(item) for item in items]
    return items if all(new is old for new, old in zip(found, items, strict=True)) else found


def _without_member(name: str) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        return _members(value, lambda key: key != name) if isinstance(value, dict) else value

    return change


def _with_member(name: str, member: Any) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        if isinstance(value, list):
            return _each(value, change)
        return {**value, name: member} if isinstance(value, dict) else value

    return change
