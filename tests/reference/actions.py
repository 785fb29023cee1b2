"""A `subscribe` of Segment's Actions by its syntax tree, as plainly as can be."""

from __future__ import annotations

from typing import Any

_ROOTS = {"event-property": "properties", "event-trait": "traits", "event-context": "context"}
_NAMES = {"event-type": "type", "event": "event", "name": "name", "userId": "userId"}


def matches(condition: dict[str, Any], event: dict[str, Any]) -> bool:
    if condition["type"] == "group":
        results = [matches(child, event) for child in condition["children"]]
        return all(results) if condition["operator"] == "and" else any(results)
    value: Any = event
    if condition["type"] in _NAMES:
        value = event.get(_NAMES[condition["type"]])
    else:
        for step in [_ROOTS[condition["type"]], *steps(condition["name"])]:
            value = value.get(step) if isinstance(value, dict) else None
    return holds(value, condition["operator"], condition.get("value"))


def steps(name: str) -> list[str]:
    return [step.replace("\\ ", " ") for step in name.split(".")]


def holds(value: Any, operator: str, wanted: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = value if isinstance(value, str) else None
    match operator:
        case "=":
            return bool(value == str(wanted))
        case "!=":
            return bool(value != str(wanted))
        case "number_equals":
            return number and value == float(wanted)
        case "number_not_equals":
            return number and value != float(wanted)
        case "<":
            return number and value < float(wanted)
        case "<=":
            return number and value <= float(wanted)
        case ">":
            return number and value > float(wanted)
        case ">=":
            return number and value >= float(wanted)
        case "contains":
            return text is not None and wanted in text
        case "not_contains":
            return text is not None and wanted not in text
        case "starts_with":
            return text is not None and text.startswith(wanted)
        case "not_starts_with":
            return text is not None and not text.startswith(wanted)
        case "ends_with":
            return text is not None and text.endswith(wanted)
        case "not_ends_with":
            return text is not None and not text.endswith(wanted)
        case "exists":
            return value is not None
        case "not_exists":
            return value is None
        case "is_true":
            return value is True
        case "is_false":
            return value is False
    raise ValueError(operator)
