"""The formats of JSON Schema draft-07 (section 7.3), each a pattern and, where that cannot say all, a
function. date, time and date-time are in schema_formats.h.
"""

from __future__ import annotations

import base64
import binascii
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import idna
import orjson

from router._fast.patterns import Pattern
from router._fast.patterns_parse import parse
from router.errors import PatternError


class Format(NamedTuple):
    pattern: Pattern | None
    check: Callable[[str], bool] | None


_HEX = "[0-9A-Fa-f]"
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"({_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET})"
_H16 = f"{_HEX}{{1,4}}"
_LS32 = f"({_H16}:{_H16}|{_IPV4})"
_IPV6 = "(" + "|".join(
    [f"({_H16}:){{6}}{_LS32}", f"::({_H16}:){{5}}{_LS32}"]
    + [f"(({_H16}:){{0,{n}}}{_H16})?::({_H16}:){{{4 - n}}}{_LS32}" for n in range(5)]
    + [f"(({_H16}:){{0,5}}{_H16})?::{_H16}", f"(({_H16}:){{0,6}}{_H16})?::"]
) + ")"  # fmt: skip
"""IPv6address of RFC 3986, section 3.2.2."""

_LABEL = "[0-9A-Za-z]([0-9A-Za-z-]{0,61}[0-9A-Za-z])?"
_ATOM = r"0-9A-Za-z!#$%&'*+/=?^_`{|}~\-"
_WIDE = r"\u0080-\uD7FF\uE000-\u{10FFFF}"
_UCS = (
    r"\u00A0-\uD7FF\uF900-\uFDCF\uFDF0-\uFFEF\u{10000}-\u{1FFFD}\u{20000}-\u{2FFFD}"
    r"\u{30000}-\u{DFFFD}\u{E1000}-\u{EFFFD}"
)
_PRIVATE = r"\uE000-\uF8FF\u{F0000}-\u{FFFFD}\u{100000}-\u{10FFFD}"


def _email(extra: str) -> str:
    atom = f"[{_ATOM}{extra}]+"
    local = rf'({atom}(\.{atom})*|"([ !#-\[\]-~{extra}]|\\[ -~])*")'
    label = f"[0-9A-Za-z{extra}]([0-9A-Za-z{extra}-]{{0,61}}[0-9A-Za-z{extra}])?"
    address = rf"(\[{_IPV4}\]|\[IPv6:{_IPV6}\])"
    return rf"^{local}@({label}(\.{label})*|{address})$"


def _uri(extra: str, private: str, relative: bool) -> str:
    """URI or, with `relative`, URI-reference of RFC 3986 (RFC 3987 with `extra` characters)."""
    plain = rf"0-9A-Za-z._~!$&'()*+,;=\-{extra}"
    percent = f"%{_HEX}{{2}}"
    char = f"([{plain}:@]|{percent})"
    host = rf"(\[({_IPV6}|[vV]{_HEX}+\.[0-9A-Za-z._~!$&'()*+,;=:\-]+)\]|([{plain}]|{percent})*)"
    authority = f"(([{plain}:]|{percent})*@)?{host}(:[0-9]*)?"
    rooted = f"(//{authority}(/{char}*)*|/({char}+(/{char}*)*)?"
    tail = f"(\\?([{plain}:@/?{private}]|{percent})*)?(#([{plain}:@/?]|{percent})*)?$"
    absolute = f"[A-Za-z][A-Za-z0-9+.\\-]*:{rooted}|{char}+(/{char}*)*)?"
    if not relative:
        return f"^{absolute}{tail}"
    first = f"([{plain}@]|{percent})+"
    return f"^({absolute}|{rooted}|{first}(/{char}*)*)?){tail}"


_VARIABLE = (
    rf"([0-9A-Za-z_]|%{_HEX}{{2}})+(\.([0-9A-Za-z_]|%{_HEX}{{2}})+)*(:[1-9][0-9]{{0,3}}|\*)?"
)
_TEMPLATE = (
    rf"^([!#$&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~{_UCS}{_PRIVATE}]|%{_HEX}{{2}}"
    rf"|\{{[+#./;?&=,!@|]?{_VARIABLE}(,{_VARIABLE})*\}})*$"
)
"""RFC 6570, section 2; the apostrophe is a literal by its erratum 6937."""

_POINTER = "(/([^~/]|~[01])*)*"


def _is_hostname(text: str) -> bool:
    return len(text) <= 253 and all(
        _is_idn_label(label) for label in text.split(".") if label[:4].lower() == "xn--"
    )


def _is_idn_hostname(text: str) -> bool:
    for dot in "。．｡":
        text = text.replace(dot, ".")
    labels = text.split(".")
    if len(text) > 253 or not all(map(_is_idn_label, labels)):
        return False
    if all(unicodedata.bidirectional(char) not in ("R", "AL", "AN") for char in text):
        return True
    try:
        return all(idna.check_bidi(label, check_ltr=True) for label in labels)
    except UnicodeError:
        return False


def _is_idn_label(label: str) -> bool:
    """RFC 5891: a label that may be registered, in its Unicode or its ASCII form."""
    if not label or len(label) > 253:
        return False
    try:
        if label.isascii():
            if label[:4].lower() != "xn--":
                return bool(_ASCII_LABEL.search(label))
            idna.ulabel(label.lower())
            return len(label) <= 63
        return len(idna.alabel(label)) <= 63
    except UnicodeError:
        return False


_ASCII_LABEL = Pattern(f"^{_LABEL}$")


def _is_regex(text: str) -> bool:
    try:
        parse(text)
    except PatternError:
        return False
    return True


def is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def is_json(text: str | bytes) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


_PATTERNS = {
    "email": _email(""),
    "idn-email": _email(_WIDE),
    "hostname": rf"^{_LABEL}(\.{_LABEL})*$",
    "ipv4": f"^{_IPV4}$",
    "ipv6": f"^{_IPV6}$",
    "uri": _uri("", "", False),
    "uri-reference": _uri("", "", True),
    "iri": _uri(_UCS, _PRIVATE, False),
    "iri-reference": _uri(_UCS, _PRIVATE, True),
    "uri-template": _TEMPLATE,
    "json-pointer": f"^{_POINTER}$",
    "relative-json-pointer": f"^(0|[1-9][0-9]*)(#|{_POINTER})$",
    "uuid": f"^{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}$",
}
"""uuid is of a later draft (RFC 4122); plans use it, and draft-07 allows for more formats."""

_CHECKS: dict[str, Callable[[str], bool]] = {
    "hostname": _is_hostname,
    "idn-hostname": _is_idn_hostname,
    "regex": _is_regex,
}

_made: dict[str, Format] = {}


def find_format(name: str) -> Format | None:
    """The format of that name, made when first asked for; None for one not known."""
    if name not in _made and (name in _PATTERNS or name in _CHECKS):
        pattern = Pattern(_PATTERNS[name]) if name in _PATTERNS else None
        _made[name] = Format(pattern, _CHECKS.get(name))
    return _made.get(name)
