"""An action's fields: its default mappings, what an instance says in their place, and their types."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import orjson

from router._fast.expr import Expr, compile_tree
from router._fast.parse import Node
from router.destinations.mapping_kit import mapping_tree, step_into
from router.destinations.spec import Field
from router.destinations.trees import NULL, folded, parse_at
from router.errors import ConfigError

_SEGMENT = "`mapping` is Segment's own: a text in it is a text. Expressions go under `fields`"


class Fields:
    """The fields of one action of one instance, as trees over the event."""

    def __init__(
        self,
        fields: Mapping[str, Field | str],
        overrides: Mapping[str, Any],
        mapping: Mapping[str, Any] | None,
        settings: Mapping[str, Any],
        where: str,
    ) -> None:
        """`mapping`, in Segment's JSON, stands in place of all defaults, and what it has that the
        action does not take is passed over; `overrides` are expressions, or tables in Segment's JSON,
        each in place of one."""
        known = {name.removesuffix("!"): _field(name, field) for name, field in fields.items()}
        for name in overrides:
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
                raise ConfigError(f"`{where}`: the action has no field `{name}`", hint=hint)
        self.trees: dict[str, Node] = {}
        for name, field in known.items():
            given = overrides.get(name)
            place = f"{where}.{name}"
            if given is not None:
                tree = value_tree(given, place)
            elif mapping is not None:
                tree = mapping_tree(mapping.get(name), place)
            else:
                tree = value_tree(field.default, place)
            self.trees[name] = folded(_typed(tree, field), settings)
        self.required = [name for name, field in known.items() if field.required]
        self._settings = settings
        self.complete = self._complete()

    def _complete(self) -> Expr | None:
        """True of an event that has all that is required; None where nothing is."""
        tests: list[Node] = [
            ("compare", "!=", self.trees[name], NULL)
            for name in self.required
            if self.trees[name][0] != "literal" or self.trees[name][1] is None
        ]
        return compile_tree(("and", tests)) if tests else None

    def lacking(self, doc: Any, now_ms: int | None) -> str:
        """The first required field without a value."""
        for name in self.required:
            if compile_tree(self.trees[name]).eval_doc(doc, self._settings, now_ms) is None:
                return name
        return ""


def _field(name: str, field: Field | str) -> Field:
    if isinstance(field, str):
        return Field(default=field, required=name.endswith("!"))
    if name.endswith("!") and not field.required:
        return Field(**{key: getattr(field, key) for key in field.__struct_fields__}
                     | {"required": True})  # fmt: skip
    return field


def value_tree(value: Any, where: str) -> Node:
    """An expression, or a value of Segment's mapping JSON."""
    if isinstance(value, str):
        return parse_at(value, where) if value else NULL
    return mapping_tree(value, where)


def segment_mapping(given: Any, where: str) -> dict[str, Any] | None:
    """A whole mapping in Segment's JSON: a table, or its text. None where none is given."""
    if given in ("", None):
        return None
    if isinstance(given, str):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError as error:
            raise ConfigError(f"`{where}` is not JSON: {error}", hint=_SEGMENT) from None
    if not isinstance(given, dict):
        raise ConfigError(f"`{where}` has to be a JSON object", hint=_SEGMENT)
    return given


def _call(name: str, *arguments: Node) -> Node:
    return ("call", name, list(arguments), 0)


def _typed(tree: Node, field: Field) -> Node:
    """The value in the field's type."""
    if field.multiple:
        item: Node = ("path", "item", [])
        inner = _members(_converted(item, field.type), field)
        several = _call("list", tree)
        if inner == item or (field.type == "object" and not field.members and _objects(tree)):
            return several
        return _call("map", several, inner)
    return _members(_converted(tree, field.type), field)


def _objects(tree: Node) -> bool:
    """Is it a list of objects wherever it is one, so that none has to be converted?"""
    if tree[0] == "call" and tree[1] == "map":
        return bool(tree[2][1][0] == "object")
    if tree[0] == "call" and tree[1] == "if":
        return all(_objects(part) or part == NULL for part in tree[2][1:])
    return False


def _converted(tree: Node, kind: str) -> Node:
    if kind == "any" or tree == NULL:
        return tree
    if (kind, tree[0]) in (("object", "object"), ("text", "template")):
        return tree
    if tree[0] == "??":
        return ("??", [_converted(part, kind) for part in tree[1]])
    if tree[0] == "call" and tree[1] == "if":
        return _call("if", tree[2][0], *(_converted(part, kind) for part in tree[2][1:]))
    return _call("as_type", tree, ("literal", kind))


def _members(tree: Node, field: Field) -> Node:
    if not field.members or tree == NULL:
        return tree
    names = [name.removesuffix("!") for name in field.members]
    if tree[0] == "object":
        tree = ("object", [(key, part) for key, part in tree[1] if key in names])
    else:
        tree = _call("pick", tree, *(("literal", name) for name in names))
    needed = [step_into(tree, [name[:-1]]) for name in field.members if name.endswith("!")]
    if not needed:
        return tree
    return _call("if", ("and", [("compare", "!=", each, NULL) for each in needed]), tree, NULL)
