"""Functions that bring what people type into one form."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from router._fast.countries import CALLING_CODES, country_of
from router._fast.function_table import function, text_of

person_function = partial(function, group="People and places")

_TRUNK = {"BY": "80", "HU": "06", "KZ": "8", "RU": "8", "TM": "8"}
"""What is dialled before a number within the country, where it is not `0`; `1` where the calling
code is 1."""
_NO_TRUNK = frozenset({"BJ", "CG", "CI", "GA", "IT", "SM", "VA"})
"""Where a `0` in front belongs to the number."""


@person_function(
    "normalise_email(text)",
    "Trimmed, in lower case; null where it is not one `@` between two texts without spaces.",
    'normalise_email(" Ann@Example.COM ")',
    "ann@example.com",
    names=("normalize_email",),
)
def normalise_email(value: Any) -> Any:
    if not isinstance(value, str):
        return None
    text = value.strip().lower()
    return text if re.fullmatch(r"[^@\s]+@[^@\s]+", text) else None


@person_function(
    "normalise_phone(text)",
    "`+` (if it has one) and digits only; null where there is none.",
    'normalise_phone("(020) 7946-0018")',
    "02079460018",
    names=("normalize_phone",),
)
def normalise_phone(value: Any) -> Any:
    text = text_of(value)
    if text is None:
        return None
    digits = re.sub(r"[^0-9]", "", text)
    return ("+" if text.strip().startswith("+") else "") + digits if digits else None


@person_function(
    "e164(text, country)",
    "A telephone number as E.164 has it. Without `+`, `00` or, in North America, `011` in front it "
    "is one of the country, given by code or name; null where it cannot be told or has not 7 to 15 "
    "digits.",
    'e164("(020) 7946-0018", "GB")',
    "+442079460018",
    least=1,
)
def e164(value: Any, country: Any = None) -> Any:
    found = normalise_phone(re.sub(r"\(0\)", "", value) if isinstance(value, str) else value)
    if found is None:
        return None
    code = country_of(country) if isinstance(country, str) else None
    calling = CALLING_CODES.get(code or "")
    if found.startswith("+"):
        digits = found[1:]
    elif found.startswith("00"):
        digits = found[2:]
    elif calling == "1" and found.startswith("011"):
        digits = found[3:]
    elif calling is not None and code is not None:
        digits = calling + _national(found, code, calling)
    else:
        return None
    return f"+{digits}" if 7 <= len(digits) <= 15 and digits[0] != "0" else None


def _national(digits: str, code: str, calling: str) -> str:
    """Without what is dialled in front within the country."""
    if code in _NO_TRUNK:
        return digits
    trunk = "1" if calling == "1" else _TRUNK.get(code, "0")
    # A number of ten digits, as they are there, may itself begin with the trunk's.
    if trunk in ("1", "8") and len(digits) != 11:
        return digits
    return digits.removeprefix(trunk)


@person_function(
    "country_code(value)",
    "The ISO 3166-1 alpha-2 code of a country, by that code, its alpha-3 code or its English name; "
    "null where there is none.",
    'country_code("united kingdom")',
    "GB",
    names=("country",),
)
def country_code(value: Any) -> Any:
    return country_of(value) if isinstance(value, str) else None


@person_function(
    "calling_code(country)",
    "The calling code of a country, by code or name.",
    'calling_code("India")',
    "91",
)
def calling_code(value: Any) -> Any:
    return CALLING_CODES.get(country_of(value) or "") if isinstance(value, str) else None
