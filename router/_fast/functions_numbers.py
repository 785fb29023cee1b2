"""Functions of numbers, and conversions between types."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from typing import Any

from router._fast.function_table import function, is_finite, is_number, number_that_fits, text_of

number_function = partial(function, group="Numbers")
type_function = partial(function, group="Types")


@type_function("exists(value)", "Is there a value, other than null?", "exists(userId)", False)
def exists(value: Any) -> bool:
    return value is not None


@type_function(
    "typeof(value)",
    '`"string"`, `"number"`, `"bool"`, `"list"`, `"object"` or `"null"`.',
    "typeof([1])",
    "list",
)
def typeof(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "list" if isinstance(value, list) else "object"


@type_function("string(value)", "As text; lists and objects as JSON.", "string(1.50)", "1.5")
def string(value: Any) -> Any:
    return text_of(value)


@type_function(
    "number(value)",
    "As a number, from text or a boolean; null where it is none.",
    'number(" 12.50 ")',
    12.5,
)
def number(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if is_number(value):
        return value
    if not isinstance(value, str):
        return None
    text = value.strip()
    # float() takes the digits of every script, and underscores between them.
    if "_" in text or not text.isascii():
        return None
    try:
        found = float(text)
    except ValueError:
        return None
    if not math.isfinite(found):
        return None
    return int(found) if found.is_integer() and "." not in value and abs(found) < 2**53 else found


@type_function("int(value)", "As a whole number, cut off towards zero.", 'int("12.9")', 12)
def int_(value: Any) -> Any:
    found = number(value)
    if not is_finite(found):
        return None
    return number_that_fits(int(found))


@type_function(
    "bool(value)",
    'As a boolean. Numbers other than 0 are true, and so are "true", "yes", "on", "1"; "false", '
    '"no", "off", "0" and the empty text are false, others null.',
    'bool("Yes")',
    True,
)
def bool_(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if is_number(value):
        return value != 0
    if isinstance(value, str):
        lowered = value.strip().lower()
        if lowered in ("true", "yes", "1", "on"):
            return True
        if lowered in ("false", "no", "0", "off", ""):
            return False
    return None


@number_function(
    "round(number, digits)",
    "Rounded half away from zero, to 0 digits behind the point or as many as given, up to 15.",
    "round(2.345, 2)",
    2.35,
    least=1,
)
def round_(value: Any, digits: Any = 0) -> Any:
    if not is_number(value) or not is_number(digits) or not is_finite(value):
        return None
    places = int(max(0, min(digits, 15)))
    if abs(value) >= 2**52:
        return value if places else number_that_fits(int(value))
    # By its decimal digits, which is what people round: 2.345 as a double is a little less.
    exact = Decimal(repr(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return float(exact) if places else int(exact)


@number_function("floor(number)", "The next whole number below.", "floor(-1.5)", -2)
def floor(value: Any) -> Any:
    return number_that_fits(math.floor(value)) if is_finite(value) else None


@number_function("ceil(number)", "The next whole number above.", "ceil(1.2)", 2)
def ceil(value: Any) -> Any:
    return number_that_fits(math.ceil(value)) if is_finite(value) else None


@number_function("abs(number)", "Without its sign.", "abs(-2)", 2)
def abs_(value: Any) -> Any:
    return number_that_fits(abs(value)) if is_number(value) else None


def _numbers(values: tuple[Any, ...]) -> list[Any]:
    items = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    return [item for item in items if is_number(item)]


@number_function(
    "min(values…)",
    "The least number, of the arguments or of a list; others are passed over.",
    "min(3, 1, 2)",
    1,
    least=1,
    most=None,
)
def min_(*values: Any) -> Any:
    return min(_numbers(values), default=None)


@number_function("max(values…)", "The greatest number.", "max([3, 1])", 3, least=1, most=None)
def max_(*values: Any) -> Any:
    return max(_numbers(values), default=None)


@number_function("sum(values…)", "The numbers added up.", "sum([1, 2, 3])", 6, least=1, most=None)
def sum_(*values: Any) -> Any:
    try:
        return number_that_fits(sum(_numbers(values)))
    except OverflowError:  # a whole number too large for a double
        return None


@type_function(
    "as_type(value, type)",
    "The value as `text`, `number`, `integer`, `boolean`, `time` (a text or a number) or `object`; "
    "null where it is of a kind that is not converted, as a list to text. A list of one is its item.",
    'as_type("12", "number")',
    12,
)
def as_type(value: Any, name: Any) -> Any:
    """The conversions are Ajv's (`coerceTypes: "array"`), by which Segment's fields are checked."""
    if isinstance(value, list) and len(value) == 1 and name != "object":
        value = value[0]
    if name == "object":
        return value if isinstance(value, dict) else None
    if isinstance(value, dict | list) or value is None:
        return None
    if name == "text":
        return text_of(value)
    if name == "time":
        return value if is_number(value) or (isinstance(value, str) and value) else None
    if name == "boolean":
        return {"true": True, "false": False, 1: True, 0: False}.get(value)
    found = number(value)
    if name == "integer" and found is not None:
        return number_that_fits(int(found)) if float(found).is_integer() else None
    return found if name == "number" else None
