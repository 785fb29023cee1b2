"""`extends`, `like` and `part_of`: what a catalogue file does not say again. Works on its tables."""

from __future__ import annotations

from typing import Any

from router.errors import ConfigError

Table = dict[str, Any]

_MERGED = ("settings", "actions", "headers")


def inherited(table: Table, base: Table | None) -> Table:
    """The file with everything that it takes from elsewhere. Raises `ConfigError`."""
    whole = _extended(table, base) if base is not None else dict(table)
    actions = whole.get("actions")
    if isinstance(actions, dict):
        done: dict[str, Table] = {}
        for name in actions:
            _resolve(name, actions, done, ())
        whole["actions"] = {name: done[name] for name in actions}
    return whole


def _extended(table: Table, base: Table) -> Table:
    """`base` with the file's own parts: settings, actions and headers each by name, and of an action
    each key; the file's responses stand before those of the base, its tests alone."""
    whole = {**base, **table}
    for key in _MERGED:
        both = base.get(key), table.get(key)
        if isinstance(both[0], dict) and isinstance(both[1], dict):
            merged = {**both[0], **both[1]}
            if key == "actions":
                merged = {
                    name: {**both[0].get(name, {}), **action}
                    if isinstance(action, dict)
                    else action
                    for name, action in merged.items()
                }
            whole[key] = merged
    whole["responses"] = [*table.get("responses", []), *base.get("responses", [])]
    whole["tests"] = [*base.get("tests", []), *table.get("tests", [])]
    return whole


def _resolve(name: str, actions: Table, done: dict[str, Table], on_the_way: tuple[str, ...]) -> Any:
    if name in done:
        return done[name]
    if name in on_the_way:
        raise ConfigError(f"`actions.{name}` takes from itself: {' > '.join(on_the_way)}")
    action = actions[name]
    if not isinstance(action, dict):
        done[name] = action
        return action
    for key in ("like", "part_of"):
        other = action.get(key)
        if other is None:
            continue
        if other not in actions:
            known = ", ".join(each for each in actions if each != name)
            raise ConfigError(f"`actions.{name}.{key}`: there is no action `{other}`",
                              hint=f"known: {known}")  # fmt: skip
        source = _resolve(other, actions, done, (*on_the_way, name))
        action = _like(source, action) if key == "like" else _part(source, action)
    done[name] = action
    return action


def _like(source: Table, action: Table) -> Table:
    """All that `action` does not give. Of a field that both have, a bare expression changes the
    default alone."""
    passed_on = {key: value for key, value in source.items() if key not in ("label", "help")}
    whole = {**passed_on, **action}
    mine, theirs = action.get("fields"), source.get("fields")
    if isinstance(mine, dict) and isinstance(theirs, dict):
        own = {name.removesuffix("!"): (name, each) for name, each in mine.items()}
        fields: Table = {}
        for name, theirs_of_it in theirs.items():
            given, each = own.pop(name.removesuffix("!"), (name, theirs_of_it))
            if isinstance(each, str):
                bare = isinstance(theirs_of_it, str)
                each = each if bare else {**theirs_of_it, "default": each}
                given = name if name.endswith("!") else given
            fields[given] = each
        whole["fields"] = fields | dict(own.values())
    return whole


def _part(source: Table, action: Table) -> Table:
    if "when" in action or "fields" in action:
        raise ConfigError(
            "`part_of`: a further request has neither `when` nor `fields` of its own",
            hint="a condition goes under `if`",
        )
    return {**action, "when": source.get("when", ""), "fields": source.get("fields", {}),
            "missing": source.get("missing", "dead_letter")}  # fmt: skip
