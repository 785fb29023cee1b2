"""Which events a sample keeps: by a hash of a value, so that one value is kept always or never."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import orjson


def uniform(value: Any) -> float:
    """A number from 0 to 1, evenly spread and always the same for one value.

    The MD5 of the value's JSON is taken for random bits, read as in Campbell's random_real: the
    bits behind leading zeros count too, so that small numbers are as fine as large ones.
    """
    digest = hashlib.md5(_json_bytes(value)).digest()
    bits = int.from_bytes(digest[:8], "big")
    zeros = 64 - bits.bit_length()
    if zeros:
        bits = bits << zeros | int.from_bytes(digest[8:], "big") >> (64 - zeros)
    return math.ldexp(float(bits | 1), -64 - zeros)


def uniform_tsub(value: Any) -> float:
    """The number by which Segment's browser library (@segment/tsub) samples, for samples begun there.

    It takes the digest's hexadecimal digits for bytes, and letters for 0, so that about one value
    in eight gets a number below 1, and a sample of 90 percent keeps no more than one of 50.
    """
    digits = hashlib.md5(_json_bytes(value)).hexdigest()
    bits = _digit_bits(digits[:8])
    zeros = len(bits) - len(bits.lstrip("0"))
    if zeros:
        bits = bits[zeros:] + _digit_bits(digits[9:16] + "0")[: 64 - zeros]
    bits = bits.ljust(64, "0")
    flipped = bits[:63] + ("1" if bits[63] == "0" else "0") + bits[64:]
    return math.ldexp(float(int(flipped, 2)), -64 - zeros)


def _digit_bits(digits: str) -> str:
    return "".join(f"{int(digit) if digit.isdigit() else 0:08b}" for digit in digits)


def _json_bytes(value: Any) -> bytes:
    return javascript_json(value).encode()


def javascript_json(value: Any) -> str:
    """JSON as `JSON.stringify` writes it."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return _number(float(value))
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(k)}:{javascript_json(v)}" for k, v in value.items()) + "}"
    return "[" + ",".join(javascript_json(item) for item in value) + "]"


def _text(text: str) -> str:
    try:
        return orjson.dumps(text).decode()
    except TypeError:  # a lone surrogate
        return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if "\ud800" <= char <= "\udfff":
        return f"\\u{ord(char):04x}"
    return orjson.dumps(char).decode()[1:-1]


def _number(value: float) -> str:
    """Number::toString of ECMA-262 (6.1.6.1.20)."""
    if not math.isfinite(value):
        return "null"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction.rstrip("0")) if fraction.strip("0") else whole
    point = len(whole) + int(exponent or 0)
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    if not digits:
        return "0"
    if len(digits) <= point <= 21:
        return sign + digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = f"e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return sign + digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "") + power
