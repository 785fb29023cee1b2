"""Functions that hash and encode."""

from __future__ import annotations

import base64 as _base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urlencode

import orjson

from router._fast.function_table import bytes_of, function, text_of

code_function = partial(function, group="Hashes and encodings")

_EMPTY = {
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha1": "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "md5": "d41d8cd98f00b204e9800998ecf8427e",
    "sha512": "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
}


def _digest(name: str) -> Callable[[Any], Any]:
    def digest(value: Any) -> Any:
        data = bytes_of(value)
        return None if data is None else hashlib.new(name, data).hexdigest()

    return digest


for _name, _gives in _EMPTY.items():
    code_function(
        f"{_name}(value)", f"{_name.upper()} of the text, in hexadecimal.", f'{_name}("")', _gives
    )(_digest(_name))


def _hmac(name: str) -> Callable[[Any, Any], Any]:
    def keyed(value: Any, key: Any) -> Any:
        data, secret = bytes_of(value), bytes_of(key)
        if data is None or secret is None:
            return None
        return hmac.new(secret, data, name).hexdigest()

    return keyed


# Test case 2 of RFC 2202 and RFC 4231.
for _name, _gives in {
    "sha256": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    "sha1": "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
    "sha512": "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
    "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
}.items():
    code_function(
        f"hmac_{_name}(value, key)",
        f"HMAC with {_name.upper()} of the text, in hexadecimal.",
        f'hmac_{_name}("what do ya want for nothing?", "Jefe")',
        _gives,
    )(_hmac(_name))


@code_function("base64(value)", "The text in base64.", 'base64("ab?>")', "YWI/Pg==")
def base64(value: Any) -> Any:
    data = bytes_of(value)
    return None if data is None else _base64.b64encode(data).decode()


@code_function(
    "base64url(value)",
    "The text in base64 as URLs take it, without padding (RFC 4648, section 5).",
    'base64url("ab?>")',
    "YWI_Pg",
)
def base64url(value: Any) -> Any:
    data = bytes_of(value)
    return None if data is None else _base64.urlsafe_b64encode(data).decode().rstrip("=")


@code_function(
    "base64_decode(text)",
    "The text that base64 of either kind holds; null where it holds none.",
    'base64_decode("YWI_Pg")',
    "ab?>",
)
def base64_decode(text: Any) -> Any:
    if not isinstance(text, str) or not text.isascii():
        return None
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return _base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


@code_function(
    "url_encode(value)", "Safe as a part of a URL.", 'url_encode("a b&c/d")', "a%20b%26c%2Fd"
)
def url_encode(value: Any) -> Any:
    data = bytes_of(value)
    return None if data is None else quote(data, safe="")


@code_function("url_decode(text)", "What a part of a URL says.", 'url_decode("a%20b%26c")', "a b&c")
def url_decode(text: Any) -> Any:
    return unquote(text) if isinstance(text, str) else None


@code_function(
    "url_query(object)",
    "The members as a query or a form's body; nulls left out.",
    'url_query({q: "a b", page: 2})',
    "q=a+b&page=2",
)
def url_query(value: Any) -> Any:
    if not isinstance(value, dict):
        return None
    pairs = ((bytes_of(key) or b"", bytes_of(item)) for key, item in value.items())
    return urlencode([(key, item) for key, item in pairs if item is not None])


@code_function(
    "json_encode(value)", "As JSON text.", "json_encode({a: [1, true]})", '{"a":[1,true]}'
)
def json_encode(value: Any) -> Any:
    if value is None:
        return None
    return text_of(value) if not isinstance(value, str) else _json_text(value)


def _json_text(text: str) -> str | None:
    try:
        return orjson.dumps(text).decode()
    except TypeError:  # a lone surrogate
        return None


@code_function(
    "json_decode(text)",
    "The value of JSON text; null where it is none.",
    "json_decode('{\"a\": [1]}')",
    {"a": [1]},
)
def json_decode(text: Any) -> Any:
    if not isinstance(text, str):
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
