"""Functions of texts."""

from __future__ import annotations

import re
from functools import lru_cache, partial
from typing import Any

from router._fast.function_table import MOST_CHARS, function, part_of, text_of
from router._fast.globs import glob_matches, glob_pattern
from router._fast.patterns import Pattern
from router.errors import PatternError

text_function = partial(function, group="Text")


def _prepared_glob(literals: list[Any]) -> Any:
    """The regular expression of a literal glob, which runs a dozen times as fast."""
    pattern = glob_pattern(literals[1]) if isinstance(literals[1], str) else None
    if pattern is None:
        return None
    try:
        search = Pattern(pattern).search
    except PatternError:  # too many steps
        return None
    return lambda text, _: isinstance(text, str) and search(text)


@text_function(
    "match(text, glob)",
    "Does the whole text fit the glob? `*` any run, `?` one character, `[a-z]`, `[^a-z]`, `\\x` the "
    "character x. A malformed glob fits nothing.",
    'match("Button Clicked", "Button *")',
    True,
    prepare=_prepared_glob,
)
def match(text: Any, glob: Any) -> bool:
    return isinstance(text, str) and isinstance(glob, str) and glob_matches(glob, text)


@lru_cache(256)
def _pattern(text: str) -> Pattern | None:
    try:
        return Pattern(text)
    except PatternError:
        return None


def _prepared(literals: list[Any]) -> Any:
    if not isinstance(literals[1], str):
        return None
    try:
        search = Pattern(literals[1]).search
    except PatternError as error:
        raise ValueError(f"this pattern: {error}") from None
    return lambda text, _: isinstance(text, str) and search(text)


@text_function(
    "matches(text, pattern)",
    "Does the regular expression match anywhere in the text? ECMA-262's, without look-around and "
    "back references: it takes time in proportion to the text. `^` and `$` hold it to the whole.",
    'matches("ORD-1234", "^ORD-[0-9]+$")',
    True,
    prepare=_prepared,
)
def matches(text: Any, pattern: Any) -> bool:
    if not isinstance(text, str) or not isinstance(pattern, str):
        return False
    compiled = _pattern(pattern)
    return compiled is not None and compiled.search(text)


@text_function(
    "starts_with(text, part)",
    "Does the text begin with the part?",
    'starts_with("order", "or")',
    True,
    names=("startswith",),
)
def starts_with(text: Any, part: Any) -> bool:
    return isinstance(text, str) and isinstance(part, str) and text.startswith(part)


@text_function(
    "ends_with(text, part)",
    "Does the text end with the part?",
    'ends_with("a@segment.com", ".com")',
    True,
    names=("endswith",),
)
def ends_with(text: Any, part: Any) -> bool:
    return isinstance(text, str) and isinstance(part, str) and text.endswith(part)


@text_function("lowercase(text)", "In lower case.", 'lowercase("ABC")', "abc", names=("lower",))
def lowercase(text: Any) -> Any:
    return text.lower() if isinstance(text, str) else None


@text_function("uppercase(text)", "In upper case.", 'uppercase("abc")', "ABC", names=("upper",))
def uppercase(text: Any) -> Any:
    return text.upper() if isinstance(text, str) else None


@text_function(
    "capitalize(text)", "The first letter in upper case.", 'capitalize("order now")', "Order now"
)
def capitalize(text: Any) -> Any:
    return text[:1].upper() + text[1:] if isinstance(text, str) else None


@text_function(
    "snakecase(text)",
    "Words in lower case with `_` between them. Words end at spaces, `-`, `_`, `.` and before "
    "capitals.",
    'snakecase("Order Completed")',
    "order_completed",
    names=("snake",),
)
def snakecase(text: Any) -> Any:
    return "_".join(_words(text)).lower() if isinstance(text, str) else None


@text_function(
    "kebabcase(text)",
    "Words in lower case with `-` between them.",
    'kebabcase("test string")',
    "test-string",
    names=("kebab",),
)
def kebabcase(text: Any) -> Any:
    return "-".join(_words(text)).lower() if isinstance(text, str) else None


@text_function(
    "titlecase(text)",
    "Each word with a capital, and spaces between them.",
    'titlecase("test_string")',
    "Test String",
)
def titlecase(text: Any) -> Any:
    if not isinstance(text, str):
        return None
    return " ".join(word[:1].upper() + word[1:].lower() for word in _words(text))


@text_function(
    "camelcase(text)",
    "Words joined, each but the first with a capital.",
    'camelcase("order completed")',
    "orderCompleted",
    names=("camel",),
)
def camelcase(text: Any) -> Any:
    if not isinstance(text, str):
        return None
    words = [word.lower() for word in _words(text)]
    return "".join(words[:1] + [word[:1].upper() + word[1:] for word in words[1:]])


def _words(text: str) -> list[str]:
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", text)
    return [word for word in re.split(r"[\s_\-.]+", spaced) if word]


@text_function("trim(text)", "Without white space at both ends.", 'trim("  a b ")', "a b")
def trim(text: Any) -> Any:
    return text.strip() if isinstance(text, str) else None


@text_function(
    "replace(text, old, new, options)",
    "Every `old` replaced by `new`; no patterns. Options: `i` in any case, `1` only the first. Null "
    "where that has more than a million characters.",
    'replace("a-b-c", "-", "+")',
    "a+b+c",
    least=3,
)
def replace(text: Any, old: Any, new: Any, options: Any = "") -> Any:
    if not (isinstance(text, str) and isinstance(old, str) and isinstance(new, str) and old):
        return text
    count = 1 if isinstance(options, str) and "1" in options else -1
    any_case = isinstance(options, str) and "i" in options
    most = text.lower().count(old.lower()) if any_case else text.count(old)
    if len(new) > len(old) and len(text) + most * (len(new) - len(old)) > MOST_CHARS:
        return None
    if any_case:
        return re.sub(re.escape(old), lambda _: new, text, count=max(count, 0), flags=re.IGNORECASE)
    return text.replace(old, new, count)


@text_function("split(text, separator)", "A list of the parts.", 'split("a,b", ",")', ["a", "b"])
def split(text: Any, separator: Any) -> Any:
    if not (isinstance(text, str) and isinstance(separator, str) and separator):
        return None
    return text.split(separator)


@text_function(
    "join(list, separator)",
    "The items as text, with the separator between them; nulls left out. Null where that has more "
    "than a million characters.",
    'join(["a", 1, null], ", ")',
    "a, 1",
)
def join(items: Any, separator: Any) -> Any:
    if not (isinstance(items, list) and isinstance(separator, str)):
        return None
    if len(items) * len(separator) > MOST_CHARS:
        return None
    return separator.join(text for item in items if (text := text_of(item)) is not None)


@text_function(
    "substring(text, start, length)",
    "Characters from `start` (0 is the first; below 0 counts from the end), at most `length`.",
    'substring("abcdef", 1, 3)',
    "bcd",
    least=2,
)
def substring(text: Any, start: Any, length: Any = None) -> Any:
    return part_of(text, start, length) if isinstance(text, str) else None


@text_function(
    "concat(values…)",
    "All values as text, one after the other; null adds nothing.",
    'concat("a", 1, null, true)',
    "a1true",
    least=1,
    most=None,
)
def concat(*values: Any) -> str:
    return "".join(text for value in values if (text := text_of(value)) is not None)


@text_function(
    "length(value)",
    "Items of a list, bytes of a text in UTF-8; 0 for null, null for others.",
    'length("ア")',
    3,
)
def length(value: Any) -> Any:
    if value is None:
        return 0
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    return len(value) if isinstance(value, list) else None
