"""The functions of expressions: name, arguments, what each gives. docs/expressions.md is made of it.

Every function is total: arguments of a type it has no use for give null (or false for a test), never
an exception. None has side effects, and none takes longer than in proportion to its input times its
pattern.
"""

from __future__ import annotations

import base64 as _base64
import hashlib
import hmac
import math
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from router._fast.envelope import format_time, parse_time


class Function(NamedTuple):
    """`most` is None where any number of arguments is taken."""

    call: Callable[..., Any]
    least: int
    most: int | None
    usage: str
    help: str


TABLE: dict[str, Function] = {}


def _function(usage: str, help_: str, *names: str, least: int | None = None,
              most: int | None = -1) -> Callable[[Callable[..., Any]], Callable[..., Any]]:  # fmt: skip
    """Enter a function under the name in `usage`, and under further `names`."""
    name, _, rest = usage.partition("(")
    count = len([part for part in rest.rstrip(")").split(",") if part.strip()])

    def enter(call: Callable[..., Any]) -> Callable[..., Any]:
        for each in (name, *names):
            TABLE[each] = Function(
                call, count if least is None else least, count if most == -1 else most,
                usage.replace(name, each, 1), help_,
            )  # fmt: skip
        return call

    return enter


def text_of(value: Any) -> str | None:
    """A value as text: strings as they are, numbers and booleans as JSON, the rest as JSON too."""
    if isinstance(value, str):
        return value
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    try:
        return orjson.dumps(value).decode()
    except (TypeError, orjson.JSONEncodeError):
        return str(value)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@_function(
    "contains(text, part)", "Does the text contain the part? Case counts. In a list: is it an item?"
)
def contains(text: Any, part: Any) -> bool:
    if isinstance(text, list):
        return any(type(item) is type(part) and item == part for item in text)
    return isinstance(text, str) and isinstance(part, str) and part in text


_CLASSES: dict[str, list[Any] | None] = {}


def _compile_glob(pattern: str) -> list[Any] | None:
    """`*`, None for `?`, a character, or (negated, ranges); None where the pattern is malformed."""
    found: list[Any] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if not found or found[-1] != "*":
                found.append("*")
        elif char == "?":
            found.append(None)
        elif char == "\\":
            if at == len(pattern):
                return None
            found.append(("=", pattern[at]))
            at += 1
        elif char == "[":
            end = pattern.find("]", at + 1)
            if end < 0:
                return None
            body = pattern[at:end]
            negated = body.startswith("^")
            ranges = re.findall(r"(.)-(.)|(.)", body[negated:], re.DOTALL)
            if not ranges:
                return None
            found.append((negated, [(a or c, b or c) for a, b, c in ranges]))
            at = end + 1
        else:
            found.append(("=", char))
    return found


def _fits(part: Any, char: str) -> bool:
    if part is None:
        return True
    if part[0] == "=":
        return bool(part[1] == char)
    inside = any(low <= char <= high for low, high in part[1])
    return inside is not bool(part[0])


@_function("match(text, glob)", "Does the whole text fit the glob? `*` any run, `?` one character, "
           "`[a-z]`, `[^a-z]`, `\\x` the character x.")  # fmt: skip
def match(text: Any, glob: Any) -> bool:
    if not isinstance(text, str) or not isinstance(glob, str):
        return False
    if glob not in _CLASSES:
        if len(_CLASSES) > 1000:
            _CLASSES.clear()
        _CLASSES[glob] = _compile_glob(glob)
    pattern = _CLASSES[glob]
    if pattern is None:
        return False
    at = place = 0
    star, resume = -1, 0
    # Only the last `*` is ever gone back to: length of text times length of glob at most.
    while at < len(text):
        part = pattern[place] if place < len(pattern) else "end"
        if part == "*":
            star, resume = place, at
            place += 1
        elif part != "end" and _fits(part, text[at]):
            at += 1
            place += 1
        elif star >= 0:
            resume += 1
            at, place = resume, star + 1
        else:
            return False
    return all(part == "*" for part in pattern[place:])


@_function("starts_with(text, part)", "Does the text begin with the part?", "startswith")
def starts_with(text: Any, part: Any) -> bool:
    return isinstance(text, str) and isinstance(part, str) and text.startswith(part)


@_function("ends_with(text, part)", "Does the text end with the part?", "endswith")
def ends_with(text: Any, part: Any) -> bool:
    return isinstance(text, str) and isinstance(part, str) and text.endswith(part)


@_function("exists(value)", "Is there a value, other than null?")
def exists(value: Any) -> bool:
    return value is not None


@_function("lowercase(text)", "In lower case.", "lower")
def lowercase(text: Any) -> Any:
    return text.lower() if isinstance(text, str) else None


@_function("uppercase(text)", "In upper case.", "upper")
def uppercase(text: Any) -> Any:
    return text.upper() if isinstance(text, str) else None


@_function("snakecase(text)", "Spaces and dashes become `_`, capitals begin a word.", "snake")
def snakecase(text: Any) -> Any:
    return "_".join(_words(text)).lower() if isinstance(text, str) else None


@_function("kebabcase(text)", "Like snakecase, with `-`.", "kebab")
def kebabcase(text: Any) -> Any:
    return "-".join(_words(text)).lower() if isinstance(text, str) else None


@_function("titlecase(text)", "Each word with a capital: `test string` becomes `Test String`.")
def titlecase(text: Any) -> Any:
    if not isinstance(text, str):
        return None
    return " ".join(word[:1].upper() + word[1:].lower() for word in _words(text))


@_function("camelcase(text)", "Words joined, each but the first with a capital.")
def camelcase(text: Any) -> Any:
    if not isinstance(text, str):
        return None
    words = [word.lower() for word in _words(text)]
    return "".join(words[:1] + [word[:1].upper() + word[1:] for word in words[1:]])


def _words(text: str) -> list[str]:
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text)
    return [word for word in re.split(r"[\s_\-.]+", spaced) if word]


@_function("trim(text)", "Without white space at both ends.")
def trim(text: Any) -> Any:
    return text.strip() if isinstance(text, str) else None


@_function("replace(text, old, new)", "Every `old` replaced by `new`; no patterns.")
def replace(text: Any, old: Any, new: Any) -> Any:
    if not (isinstance(text, str) and isinstance(old, str) and isinstance(new, str) and old):
        return text
    return text.replace(old, new)


@_function("split(text, separator)", "A list of the parts.")
def split(text: Any, separator: Any) -> Any:
    if not (isinstance(text, str) and isinstance(separator, str) and separator):
        return None
    return text.split(separator)


@_function("join(list, separator)", "The items as text, with the separator between them.")
def join(items: Any, separator: Any) -> Any:
    if not (isinstance(items, list) and isinstance(separator, str)):
        return None
    return separator.join(text for item in items if (text := text_of(item)) is not None)


@_function("substring(text, start, length)", "Characters from `start` (0 is the first; below 0 from "
           "the end), at most `length`.", least=2)  # fmt: skip
def substring(text: Any, start: Any, length: Any = None) -> Any:
    if not isinstance(text, str) or not is_number(start):
        return None
    begin = int(start) if start >= 0 else max(len(text) + int(start), 0)
    return text[begin:] if not is_number(length) else text[begin : begin + max(int(length), 0)]


@_function("concat(values…)", "All values as text, one after the other; null adds nothing.",
           least=1, most=None)  # fmt: skip
def concat(*values: Any) -> str:
    return "".join(text for value in values if (text := text_of(value)) is not None)


@_function("length(value)", "Items of a list, bytes of a text in UTF-8; 0 for null.")
def length(value: Any) -> Any:
    if value is None:
        return 0
    if isinstance(value, str):
        return len(value.encode())
    return len(value) if isinstance(value, list) else None


@_function("typeof(value)", '"string", "number", "bool", "list", "object" or "null".')
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


@_function("string(value)", "As text.")
def string(value: Any) -> Any:
    return text_of(value)


@_function("number(value)", "As a number, from text or a boolean; null where it is none.")
def number(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if is_number(value):
        return value
    if isinstance(value, str):
        try:
            found = float(value.strip())
        except ValueError:
            return None
        if not math.isfinite(found) or "_" in value:
            return None
        return (
            int(found) if found.is_integer() and "." not in value and abs(found) < 2**53 else found
        )
    return None


@_function("int(value)", "As a whole number, cut off towards zero.")
def int_(value: Any) -> Any:
    found = number(value)
    return None if found is None else int(found)


@_function("bool(value)", 'As a boolean: "true", "yes", "1" and numbers other than 0 are true.')
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


@_function("round(number, digits)", "Rounded half away from zero.", least=1)
def round_(value: Any, digits: Any = 0) -> Any:
    if not is_number(value) or not is_number(digits):
        return None
    scale = 10 ** max(0, min(int(digits), 15))
    found = math.copysign(math.floor(abs(value) * scale + 0.5) / scale, value)
    return int(found) if not digits else found


@_function("abs(number)", "Without its sign.")
def abs_(value: Any) -> Any:
    return abs(value) if is_number(value) else None


def _numbers(values: tuple[Any, ...]) -> list[Any]:
    items = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    return [item for item in items if is_number(item)]


@_function("min(values…)", "The least number, of the arguments or of a list.", least=1, most=None)
def min_(*values: Any) -> Any:
    return min(_numbers(values), default=None)


@_function("max(values…)", "The greatest number.", least=1, most=None)
def max_(*values: Any) -> Any:
    return max(_numbers(values), default=None)


@_function("sum(values…)", "The numbers added up.", least=1, most=None)
def sum_(*values: Any) -> Any:
    return sum(_numbers(values))


def _milliseconds(value: Any) -> int | None:
    if is_number(value):
        if not math.isfinite(value):
            return None
        return int(value * 1000 if abs(value) < 1e11 else value)
    if isinstance(value, str):
        return parse_time(value.encode())
    return None


@_function("epoch_ms(time)", "Milliseconds since 1970 of an ISO time, or of an epoch number.")
def epoch_ms(value: Any) -> Any:
    return _milliseconds(value)


@_function("epoch_s(time)", "Seconds since 1970, whole.")
def epoch_s(value: Any) -> Any:
    found = _milliseconds(value)
    return None if found is None else found // 1000


@_function("iso(time)", "As `2026-01-02T03:04:05.678Z`.")
def iso(value: Any) -> Any:
    found = _milliseconds(value)
    return None if found is None else format_time(found)


@_function("date_format(time, format)", "By strftime's directives, in UTC.")
def date_format(value: Any, format_: Any) -> Any:
    found = _milliseconds(value)
    if found is None or not isinstance(format_, str) or len(format_) > 200:
        return None
    try:
        return time.strftime(format_, time.gmtime(found / 1000))
    except (ValueError, OverflowError, OSError):
        return None


def _digest(name: str) -> Callable[[Any], Any]:
    def digest(value: Any) -> Any:
        text = text_of(value)
        return None if text is None else hashlib.new(name, text.encode()).hexdigest()

    return digest


for _name in ("sha256", "sha1", "md5", "sha512"):
    _function(f"{_name}(value)", f"{_name.upper()} of the text, in hex.")(_digest(_name))


@_function("hmac_sha256(value, key)", "HMAC-SHA256 of the text, in hex.")
def hmac_sha256(value: Any, key: Any) -> Any:
    text, secret = text_of(value), text_of(key)
    if text is None or secret is None:
        return None
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


@_function("base64(value)", "The text in base64.")
def base64(value: Any) -> Any:
    text = text_of(value)
    return None if text is None else _base64.b64encode(text.encode()).decode()


@_function("url_encode(value)", "Safe as a part of a URL.")
def url_encode(value: Any) -> Any:
    text = text_of(value)
    return None if text is None else quote(text, safe="")


@_function("json_encode(value)", "As JSON text.")
def json_encode(value: Any) -> Any:
    return None if value is None else orjson.dumps(value).decode()


@_function("json_decode(text)", "The value of JSON text; null where it is none.")
def json_decode(text: Any) -> Any:
    if not isinstance(text, str):
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


@_function("omit(object, keys…)", "Without these members.", least=1, most=None)
def omit(value: Any, *keys: Any) -> Any:
    if not isinstance(value, dict):
        return None
    return {key: item for key, item in value.items() if key not in keys}


@_function(
    "pick(object, keys…)", "Only these members; a list of keys may be given.", least=1, most=None
)
def pick(value: Any, *keys: Any) -> Any:
    if not isinstance(value, dict):
        return None
    names = keys[0] if len(keys) == 1 and isinstance(keys[0], list) else keys
    return {key: value[key] for key in names if isinstance(key, str) and key in value}


@_function("rename(object, old, new, …)", "With members under other names.", least=1, most=None)
def rename(value: Any, *names: Any) -> Any:
    if not isinstance(value, dict):
        return None
    table = dict(zip(names[::2], names[1::2], strict=False))
    return {table.get(key, key): item for key, item in value.items()}


@_function("merge(objects…)", "One object of all; the last wins.", least=1, most=None)
def merge(*values: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for value in values:
        if isinstance(value, dict):
            found.update(value)
    return found


@_function("flatten(object, separator)", "Nested members under joined names; lists stay.", least=1)
def flatten(value: Any, separator: Any = ".") -> Any:
    if not isinstance(value, dict) or not isinstance(separator, str):
        return None
    found: dict[str, Any] = {}
    waiting = [("", value)]
    while waiting:
        prefix, inner = waiting.pop()
        for key, item in inner.items():
            name = f"{prefix}{separator}{key}" if prefix else key
            if isinstance(item, dict) and item:
                waiting.append((name, item))
            else:
                found[name] = item
    return found


@_function("compact(object)", "Without members that are null.")
def compact(value: Any) -> Any:
    if not isinstance(value, dict):
        return None
    return {key: item for key, item in value.items() if item is not None}


@_function("get(object, name)", "The member of that name, where the name is an expression too.")
def get(value: Any, name: Any) -> Any:
    return value.get(name) if isinstance(value, dict) and isinstance(name, str) else None


@_function("object(name, value, …)", "An object with these members; null ones left out.",
           least=2, most=None)  # fmt: skip
def object_(*parts: Any) -> dict[str, Any]:
    pairs = zip(parts[::2], parts[1::2], strict=False)
    return {text_of(key) or "": value for key, value in pairs if value is not None}


@_function("flat(list)", "Lists within the list taken apart, one level; null items left out.")
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


@_function("keys(object)", "The members' names.")
def keys_(value: Any) -> Any:
    return list(value) if isinstance(value, dict) else None


@_function("values(object)", "The members' values.")
def values_(value: Any) -> Any:
    return list(value.values()) if isinstance(value, dict) else None


@_function("first(list)", "The first item.")
def first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None


@_function("last(list)", "The last item.")
def last(value: Any) -> Any:
    return value[-1] if isinstance(value, list) and value else None


@_function("normalise_email(text)", "Trimmed, in lower case; null where it has no `@`.",
           "normalize_email")  # fmt: skip
def normalise_email(value: Any) -> Any:
    if not isinstance(value, str):
        return None
    text = value.strip().lower()
    return text if re.fullmatch(r"[^@\s]+@[^@\s]+", text) else None


@_function("normalise_phone(text)", "`+` (if it has one) and digits only; null where there is none.",
           "normalize_phone")  # fmt: skip
def normalise_phone(value: Any) -> Any:
    text = text_of(value)
    if text is None:
        return None
    digits = re.sub(r"[^0-9]", "", text)
    return ("+" if text.strip().startswith("+") else "") + digits if digits else None


SPECIAL = {
    "if": ("if(condition, then, else)", "`then` where the condition is true, else `else`.", 2, 3),
    "coalesce": ("coalesce(values…)", "The first that is not null; the same as `??`.", 1, None),
    "map": ("map(list, expression)", "The expression for each `item`.", 2, 2),
    "filter": (
        "filter(list, condition)",
        "The items for which the condition is true of `item`.",
        2,
        2,
    ),
    "now": ("now()", "The time of evaluation, as an ISO time.", 0, 0),
}
"""Functions that do not just take values: name to (usage, help, least and most arguments)."""


def reference() -> str:
    """The function table of docs/expressions.md."""
    rows = {f.usage: f.help for f in TABLE.values()}
    rows.update({usage: help_ for usage, help_, _, _ in SPECIAL.values()})
    lines = [f"| `{usage}` | {help_} |" for usage, help_ in sorted(rows.items())]
    return "\n".join(["| function | gives |", "| --- | --- |", *lines]) + "\n"
