"""Functions of lists and objects."""

from __future__ import annotations

from functools import partial
from typing import Any

from router._fast.function_table import function, is_number, part_of, text_of

list_function = partial(function, group="Lists")
object_function = partial(function, group="Objects")


@list_function("first(list)", "The first item.", "first([1, 2])", 1)
def first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


@list_function("last(list)", "The last item.", "last([1, 2])", 2)
def last(value: Any) -> Any:
    return value[-1] if isinstance(value, list) and value else None


@list_function(
    "slice(list, start, length)",
    "Items from `start` (0 is the first; below 0 counts from the end), at most `length`.",
    "slice([1, 2, 3, 4], 1, 2)",
    [2, 3],
    least=2,
)
def slice_(value: Any, start: Any, length: Any = None) -> Any:
    return part_of(value, start, length) if isinstance(value, list) else None


@list_function("reverse(list)", "The items from the last to the first.", "reverse([1, 2])", [2, 1])
def reverse(value: Any) -> Any:
    return value[::-1] if isinstance(value, list) else None


@list_function(
    "unique(list)",
    "Each item once, where it comes first.",
    'unique([1, "1", 1.0, [2], [2]])',
    [1, "1", [2]],
)
def unique(value: Any) -> Any:
    if not isinstance(value, list):
        return None
    try:
        found: dict[Any, Any] = {}
        for item in value:
            found.setdefault(_identity(item), item)
    except RecursionError:
        return None
    return list(found.values())


def _identity(value: Any) -> Any:
    """Equal for values that `=` finds equal."""
    if isinstance(value, dict):
        return "object", frozenset((key, _identity(item)) for key, item in value.items())
    if isinstance(value, list):
        return "list", tuple(_identity(item) for item in value)
    return "number" if is_number(value) else type(value).__name__, value


@list_function(
    "sort(list, member)",
    "Numbers by size, then texts by their characters, then the rest as it came. With a member's "
    "name, objects by that member.",
    'sort([3, "b", 1, "a"])',
    [1, 3, "a", "b"],
    least=1,
)
def sort(value: Any, member: Any = None) -> Any:
    if not isinstance(value, list):
        return None

    def key(item: Any) -> tuple[int, float, str]:
        if isinstance(member, str):
            item = item.get(member) if isinstance(item, dict) else None
        if is_number(item) and item == item:
            return 0, item, ""
        return (1, 0, item) if isinstance(item, str) else (2, 0, "")

    return sorted(value, key=key)


@list_function(
    "flat(list)",
    "Lists within the list taken apart, one level; null items left out.",
    "flat([1, [2, [3]], null])",
    [1, 2, [3]],
)
def flat(value: Any) -> Any:
    if not isinstance(value, list):
        return None
    found: list[Any] = []
    for item in value:
        if isinstance(item, list):
            found += item
        elif item is not None:
            found.append(item)
    return found


@list_function(
    "compact(value)",
    "A list without nulls, or an object without members that are null.",
    "compact([1, null, 2])",
    [1, 2],
)
def compact(value: Any) -> Any:
    if isinstance(value, list):
        return [item for item in value if item is not None]
    if not isinstance(value, dict):
        return None
    return {key: item for key, item in value.items() if item is not None}


@object_function(
    "object(name, value, …)",
    "An object with these members; null ones left out. For names that are expressions.",
    'object("a", 1, "b", null)',
    {"a": 1},
    least=2,
    most=None,
)
def object_(*parts: Any) -> dict[str, Any]:
    pairs = zip(parts[::2], parts[1::2], strict=False)
    return {text_of(key) or "": value for key, value in pairs if value is not None}


@object_function(
    "get(object, name)",
    "The member of that name, where the name is an expression too. Of a list, the item of that "
    "number.",
    'get({a: 1}, "a")',
    1,
)
def get(value: Any, name: Any) -> Any:
    if isinstance(value, list) and type(name) is int:
        return value[name] if 0 <= name < len(value) else None
    return value.get(name) if isinstance(value, dict) and isinstance(name, str) else None


@object_function("keys(object)", "The members' names.", "keys({a: 1, b: 2})", ["a", "b"])
def keys_(value: Any) -> Any:
    return list(value) if isinstance(value, dict) else None


@object_function("values(object)", "The members' values.", "values({a: 1, b: 2})", [1, 2])
def values_(value: Any) -> Any:
    return list(value.values()) if isinstance(value, dict) else None


@object_function(
    "merge(objects…)",
    "One object of all; the last wins. Values that are no objects are passed over.",
    "merge({a: 1, b: 1}, {b: 2})",
    {"a": 1, "b": 2},
    least=1,
    most=None,
)
def merge(*values: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for value in values:
        if isinstance(value, dict):
            found.update(value)
    return found


@object_function(
    "pick(object, names…)",
    "Only these members; a list of names may be given.",
    'pick({a: 1, b: 2}, "a", "c")',
    {"a": 1},
    least=1,
    most=None,
)
def pick(value: Any, *names: Any) -> Any:
    if not isinstance(value, dict):
        return None
    return {key: value[key] for key in _names(names) if key in value}


@object_function(
    "omit(object, names…)",
    "Without these members; a list of names may be given.",
    'omit({a: 1, b: 2}, "a")',
    {"b": 2},
    least=1,
    most=None,
)
def omit(value: Any, *names: Any) -> Any:
    if not isinstance(value, dict):
        return None
    left_out = set(_names(names))
    return {key: item for key, item in value.items() if key not in left_out}


def _names(names: tuple[Any, ...]) -> list[str]:
    items = names[0] if len(names) == 1 and isinstance(names[0], list) else names
    return [name for name in items if isinstance(name, str)]


@object_function(
    "rename(object, old, new, …)",
    "With members under other names.",
    'rename({a: 1, b: 2}, "a", "x")',
    {"x": 1, "b": 2},
    least=1,
    most=None,
)
def rename(value: Any, *names: Any) -> Any:
    if not isinstance(value, dict):
        return None
    texts = [name if isinstance(name, str) else "" for name in names]
    table = dict(zip(texts[::2], texts[1::2], strict=False))
    return {table.get(key, key): item for key, item in value.items()}


@object_function(
    "flatten(object, separator, lists)",
    "Nested members under names joined by a point, or the separator; lists stay, or are taken apart "
    "too where `lists` is true. Of a list, what `flat` gives.",
    "flatten({a: {b: 1, c: [2]}})",
    {"a.b": 1, "a.c": [2]},
    least=1,
)
def flatten(value: Any, separator: Any = ".", lists: Any = False) -> Any:
    if isinstance(value, list):
        return flat(value)
    if not isinstance(value, dict) or not isinstance(separator, str):
        return None
    found: dict[str, Any] = {}
    kinds = (dict, list) if lists is True else (dict,)
    # A member stands where it would in depth-first order: what is taken apart is put in front.
    waiting = [*reversed(value.items())]
    while waiting:
        name, inner = waiting.pop()
        if not (isinstance(inner, kinds) and inner):
            found[name] = inner
            continue
        pairs = inner.items() if isinstance(inner, dict) else enumerate(inner)
        waiting += reversed([(f"{name}{separator}{key}", item) for key, item in pairs])
    return found


@list_function(
    "list(value)",
    "A list as it is, and anything else as its only item; null for null.",
    'list("a")',
    ["a"],
)
def list_(value: Any) -> Any:
    return value if isinstance(value, list) or value is None else [value]


@list_function(
    "numbered(list)",
    "Each item with its number, from 0: `{number, item}`.",
    'numbered(["a"])',
    [{"number": 0, "item": "a"}],
)
def numbered(value: Any) -> Any:
    if not isinstance(value, list):
        return None
    return [{"number": number, "item": item} for number, item in enumerate(value)]


@object_function(
    "filled(value)",
    "The value; null where it is an object, a list or a text with nothing in it.",
    "filled({a: 1})",
    {"a": 1},
)
def filled(value: Any) -> Any:
    return None if isinstance(value, dict | list | str) and not value else value


@object_function(
    "json_members(object, names…)",
    "With members that are lists or objects as their JSON, for vendors that take flat ones only; those "
    "named stay.",
    "json_members({a: 1, b: [2]})",
    {"a": 1, "b": "[2]"},
    least=1,
    most=None,
)
def json_members(value: Any, *names: Any) -> Any:
    if not isinstance(value, dict):
        return None
    kept = set(_names(names))
    return {
        key: text_of(item) if isinstance(item, dict | list) and key not in kept else item
        for key, item in value.items()
    }
