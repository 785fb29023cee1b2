"""How a request proves who sends it: headers, query, body, signatures. OAuth tokens: oauth.py."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from router._fast.expr import Expr
from router._fast.functions import text_of
from router.destinations.aws import Credentials, sign
from router.destinations.request import Request
from router.destinations.spec import Auth, Aws, Signature, Spec
from router.destinations.template import header_texts
from router.destinations.trees import compile_at
from router.errors import ConfigError


class Prover:
    """One instance's way of proving who it is."""

    def __init__(self, spec: Spec, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self.auth = self._chosen(spec.auth)
        self._basic = [self._compiled(text, "auth.basic") for text in self.auth.basic]
        self._bearer = self._compiled(self.auth.bearer, "auth.bearer")
        self._headers = self._table(self.auth.headers, "auth.headers")
        self._query = self._table(self.auth.query, "auth.query")
        self._body = self._table(self.auth.body, "auth.body")
        self._sign = [(one, self._compiled(one.key, "sign.key"),
                       self._compiled(one.signs, "sign.signs")) for one in spec.sign]  # fmt: skip
        self._aws = self._credentials(self.auth.aws) if self.auth.aws is not None else None

    @property
    def fixed(self) -> bool:
        """Is the proof, but for signatures, the same for every request?"""
        auth = self.auth
        tables = (auth.headers, auth.query, auth.body)
        texts = [*auth.basic, auth.bearer, *(text for table in tables for text in table.values())]
        return not any("now(" in text for text in texts)

    def _chosen(self, auth: Auth | list[Auth]) -> Auth:
        for each in auth if isinstance(auth, list) else [auth]:
            when = self._compiled(each.when, "auth.when")
            if when is None or when.test({}, self._settings):
                return each
        return Auth()

    @staticmethod
    def _compiled(text: str, where: str) -> Expr | None:
        return compile_at(text, where) if text and text != "body" else None

    def _table(self, table: Mapping[str, str], where: str) -> dict[str, Expr]:
        found = {}
        for name, text in table.items():
            expression = self._compiled(text, f"{where}.{name}")
            if expression is None:
                raise ConfigError(f"`{where}.{name}` is empty")
            found[name] = expression
        return found

    def _credentials(self, aws: Aws) -> Credentials:
        names = ("service", "region", "access_key_id", "secret_access_key", "session_token")
        return Credentials(*(
            self._text(self._compiled(getattr(aws, name), f"auth.aws.{name}"), 0) for name in names
        ))  # fmt: skip

    def _text(self, expression: Expr | None, now_ms: int) -> str:
        if expression is None:
            return ""
        return text_of(expression.eval({}, self._settings, now_ms)) or ""

    def _values(self, table: Mapping[str, Expr], now_ms: int) -> dict[str, Any]:
        found = {name: each.eval({}, self._settings, now_ms) for name, each in table.items()}
        return {name: value for name, value in found.items() if value is not None}

    def query(self, now_ms: int) -> dict[str, Any]:
        return self._values(self._query, now_ms)

    def body(self, now_ms: int) -> dict[str, Any]:
        return self._values(self._body, now_ms)

    def headers(self, now_ms: int) -> dict[str, str]:
        headers = header_texts(self._values(self._headers, now_ms))
        if self._basic:
            user, password = (self._text(each, now_ms) for each in self._basic)
            headers["Authorization"] = "Basic " + b64encode(f"{user}:{password}".encode()).decode()
        if token := self._text(self._bearer, now_ms):
            headers |= header_texts({"Authorization": f"Bearer {token}"})
        return headers

    def sign(self, request: Request, now_ms: int) -> None:
        """Add the HMACs of the request as it stands."""
        for one, key, signs in self._sign:
            if secret := self._text(key, now_ms):
                data = self._signed(signs, request, now_ms)
                digest = hmac.new(secret.encode(), data, getattr(hashlib, one.algorithm))
                request.headers[one.header] = one.prefix + _encoded(one, digest.digest())

    def _signed(self, signs: Expr | None, request: Request, now_ms: int) -> bytes:
        if signs is None:
            return request.body
        parts = urlsplit(request.url)
        seen = {
            "body": request.body.decode(errors="replace"), "method": request.method,
            "url": request.url, "path": parts.path, "query": parts.query, "time": now_ms // 1000,
        }  # fmt: skip
        return (text_of(signs.eval(seen, self._settings, now_ms)) or "").encode()

    def finish(self, request: Request, now_ms: int) -> None:
        """Add what signs the bytes that are sent."""
        if self._aws is not None:
            request.headers |= sign(
                self._aws, request.method, request.url, request.headers, request.body, now_ms
            )


def _encoded(one: Signature, digest: bytes) -> str:
    return digest.hex() if one.encoding == "hex" else b64encode(digest).decode()
