"""Which of a destination's actions run for an instance, when, and on which fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from router._fast.fql_actions import parse_actions
from router._fast.parse import Node
from router.destinations.fields import Fields, segment_mapping
from router.destinations.spec import Action, Spec
from router.destinations.trees import at_place, folded, parse_at
from router.errors import ConfigError, ExpressionError
from router.workspace.models import Destination
from router.workspace.models import Mapping as Given

NEVER: Node = ("literal", False)


class Subscription(msgspec.Struct):
    """One action as an instance runs it. `name` is the mapping's, of a further request its own; `of`
    is the catalogue's name of the action."""

    name: str
    of: str
    action: Action
    when: Node
    fields: Fields


def subscriptions(
    spec: Spec, instance: Destination, settings: Mapping[str, Any]
) -> Iterator[Subscription]:
    """In the order of the file, what the instance adds last. Raises `ConfigError`."""
    given = dict(instance.mappings)
    for name, action in spec.actions.items():
        if action.part_of:
            continue
        own = given.pop(name, None)
        if own is not None and own.action not in ("", name):
            raise ConfigError(
                f"`mappings.{name}.action`: `{name}` is an action itself", hint="take another name"
            )
        if own is None and not instance.presets:
            continue
        yield from _mapped(spec, name, name, own or Given(), settings)
    for name, more in given.items():
        if more.action not in spec.actions:
            place = f"mappings.{name}.action" if more.action else f"mappings.{name}"
            raise ConfigError(f"`{place}`: {_unknown(more.action or name, spec)}")
        yield from _mapped(spec, name, more.action, more, settings)


def _unknown(name: str, spec: Spec) -> str:
    near = get_close_matches(name, spec.actions, 1)
    hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(spec.actions)}"
    return f"there is no action `{name}` ({hint})"


def _mapped(
    spec: Spec, name: str, action_name: str, given: Given, settings: Mapping[str, Any]
) -> Iterator[Subscription]:
    """The action and its further requests."""
    action = spec.actions[action_name]
    where = f"mappings.{name}" if given != Given() else f"actions.{name}"
    when = _trigger(given, action, where) if given.enabled else NEVER
    tree = folded(when, settings)
    mapping = segment_mapping(given.mapping, f"{where}.mapping")
    fields = Fields(action.fields, given.fields, mapping, settings, f"{where}.fields")
    for part_name, part in spec.actions.items():
        if part_name == action_name:
            yield Subscription(name, action_name, action, tree, fields)
        elif part.part_of == action_name:
            label = part_name if name == action_name else f"{name}.{part_name}"
            yield Subscription(label, part_name, part, tree, fields)


def _trigger(given: Given, action: Action, where: str) -> Node:
    if given.subscribe and given.when:
        raise ConfigError(f"`{where}`: `when` and `subscribe` say the same", hint="keep one")
    if not given.subscribe:
        text = given.when or action.when
        return parse_at(text, f"{where}.when") if text else NEVER
    try:
        return parse_actions(given.subscribe)
    except ExpressionError as error:
        raise at_place(error, f"{where}.subscribe") from None
