"""docs/expressions.md: the language, and the functions from their table.

`python -m router._fast.expr_reference` prints it; a test keeps the page equal to it, and runs every
example in it.
"""

from __future__ import annotations

from typing import Any

import orjson

from router._fast.functions import GROUPS, SPECIAL, TABLE, Function

EVENT: dict[str, Any] = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "m-1",
    "anonymousId": "a-1",
    "timestamp": "2026-01-02T03:04:05.678Z",
    "context": {"library": {"name": "analytics.js"}, "ip": "203.0.113.7"},
    "properties": {
        "total": 42.5,
        "currency": "eur",
        "tags": ["new", "sale"],
        "products": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}],
        "item 1": {"price.net": 9},
    },
}
"""The event that the page's examples read."""

NOW_MS = 1_767_323_045_678

VALUES: list[tuple[str, Any]] = [
    ("properties.total", 42.5),
    ("properties.products[0].sku", "A"),
    ("properties.item\\ 1.price\\.net", 9),
    ('properties["item 1"]["price.net"]', 9),
    ("properties.missing.deeper", None),
    ("userId ?? anonymousId", "a-1"),
    ("`${event}: ${properties.total}`", "Order Completed: 42.5"),
    ("properties.total * 100", 4250),
    ("{id: messageId, user: userId, tags: properties.tags}", {"id": "m-1", "tags": ["new", "sale"]}),
    ("map(properties.products, {id: item.sku, n: item.quantity})",
     [{"id": "A", "n": 2}, {"id": "B", "n": 1}]),
    ("sum(map(properties.products, item.quantity))", 3),
]  # fmt: skip

CONDITIONS: list[tuple[str, Any]] = [
    ('type = "track" and match(event, "Order *")', True),
    ("properties.total >= 50 or 'sale' in properties.tags", True),
    ("event in ['Order Completed', 'Order Refunded']", True),
    ("!contains(context.library.name, 'js')", False),
    ('userId = null', True),
    ('properties.total = "42.5"', False),
    ('properties.total', False),
]  # fmt: skip

_LANGUAGE = """\
# Expressions

<!-- Written by `python -m router._fast.expr_reference`. -->

One language serves the filters and mappings of destinations, audiences and tracking plans. Segment's
FQL is a part of it and is taken as it stands. An expression is compiled when its file is read; an
error names its column. Evaluation never fails: what makes no sense is null, or false in a condition.

The examples read this event:

```json
{event}
```

| expression | gives |
| --- | --- |
{values}

## Values

| | |
| --- | --- |
| text | `"…"` or `'…'`. There are no escapes in it: a text that holds the one quote is written in the other. |
| number | `12`, `0.5`, `-3`. |
| `true` `false` `null` | |
| list, object | `[a, b]`, `{{name: a, "other name": b}}`. Members that are null are left out; two of one name are an error. |
| path | `properties.total`: members of the event, one in another. `[0]` or `.0` is an item of a list, `["any name"]` a member. A character other than letters, digits, `_` and `-` in a name stands behind a backslash, a dot too. What is not there is null; a path that begins with what looks like a misspelt member of every event, as `property.total`, has a hint. |
| `$` | The whole event. |
| `settings.…` | In destinations: the instance's settings. A member of the event so called is `$.settings`. |
| `item` | In `map` and `filter`: the item of the list. An error elsewhere; a member of the event so called is `$.item`. |
| `` `…${{a}}…` `` | Text with values in it; null adds nothing. |

## Operators

Those that bind closest come first; brackets group.

| | |
| --- | --- |
| `!a` `-a` | not, and negation. `!` of anything but true is true. |
| `*` `/` `%` | Of numbers. By 0 it is null. What `%` gives has the sign of its left side. |
| `+` `-` | Of numbers; `+` joins where one side is text. A dash within a name belongs to it: write `a - b` with spaces. |
| `a ?? b` | `a`, or `b` where `a` is null. |
| `=` `!=` | Values of different types differ: `1` is not `"1"`, and not `true`. Lists and objects are equal by content. |
| `<` `<=` `>` `>=` | Of numbers; false for anything else. |
| `a in b` | Is `a` equal to an item of the list `b`? |
| `not a` | Like `!`, around a whole comparison: `not a = b`. |
| `a and b` | Both are true. Null and everything else that is not `true` counts as false. |
| `a or b` | One is true. |

A condition holds only where its value is `true` itself:

| condition | holds |
| --- | --- |
{conditions}

## Limits

An expression has at most 100,000 characters, brackets 50 deep and 200 operators of one kind in a row
(`and` and `or` without limit). `matches` and `match` take time in proportion to the text times the
pattern at most. `map` in `map` over one list takes its length squared: that is for you to avoid.

## Functions

Arguments of a type that a function has no use for give null, or false for a test.
"""

_SEGMENT = """\

## Segment's own dialects

**Destination filters** (FQL) mean here what Segment documents. Its browser library differs from
that documentation, and is not followed, in these: a missing value equals null; `typeof` says `bool`,
`list` and `null`; `length` counts UTF-8 bytes and is 0 for null; `in` takes a path on its right; the
order of members does not matter to `=`; functions may stand in functions.

**Compiled filters** (the `ir` of a routing rule) are read too.

**Actions** (`subscribe`) look like FQL and differ: an `and` and an `or` in one group make the group
what the last of them says, and `!contains(…)`, `!match(…)` and `!= number` are false where the value
is missing or of another type. They are compiled as a dialect of their own, in which a value alone is
an error. A condition on a field that Segment does not know, which it ignores, is evaluated here, and
so are brackets in brackets, with which it never matches.
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    text = _cell(text)
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _rows(examples: list[tuple[str, Any]]) -> str:
    return "\n".join(f"| {_code(text)} | {_code(_json(gives))} |" for text, gives in examples)


def _aliases(entry: Function) -> list[str]:
    if entry.call is None:
        return []
    return [name for name, other in TABLE.items() if other.call is entry.call][1:]


def _functions(group: str) -> list[str]:
    seen: dict[str, Function] = {}
    for entry in [*TABLE.values(), *SPECIAL.values()]:
        if entry.group == group:
            seen.setdefault(entry.help, entry)
    lines = [f"\n### {group}\n", "| function | gives | for example |", "| --- | --- | --- |"]
    for entry in sorted(seen.values()):
        also = "".join(f" Also `{name}`." for name in _aliases(entry))
        example = f"{_code(entry.example)} is {_code(_json(entry.gives))}"
        lines.append(f"| {_code(entry.usage)} | {_cell(entry.help)}{also} | {example} |")
    return lines


def reference() -> str:
    """The page, in Markdown."""
    event = orjson.dumps(EVENT, option=orjson.OPT_INDENT_2).decode()
    head = _LANGUAGE.format(event=event, values=_rows(VALUES), conditions=_rows(CONDITIONS))
    functions = [line for group in GROUPS for line in _functions(group)]
    return head + "\n".join(functions) + "\n" + _SEGMENT


if __name__ == "__main__":
    print(reference(), end="")
