"""OAuth 2 access tokens (RFC 6749): fetched when needed, refreshed before they end, one fetch at a time.

A vendor may give a new refresh token with each access token and take the old one back, so a new one
is written to the data folder before the token it came with is used.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import orjson

from router._fast.expr import Expr
from router._fast.expr import compile as compile_expression
from router._fast.functions import text_of
from router.destinations.encode import form_bytes
from router.destinations.http import Http
from router.destinations.spec import OAuth

_AHEAD_SECONDS = 300.0
_UNSAID_SECONDS = 3600.0


class Token(msgspec.Struct):
    """What the token endpoint gave. `until` is in seconds since 1970."""

    access: str
    until: float
    refresh: str = ""
    configured: str = ""
    """A hash of the settings it was got with: others make it void."""


class TokenStore:
    """Tokens by destination id, in memory and, where there is a folder, in files only their owner
    may read."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._tokens: dict[str, Token] = {}

    def get(self, id_: str) -> Token | None:
        if id_ not in self._tokens and self._folder is not None:
            try:
                data = (self._folder / f"{id_}.json").read_bytes()
                self._tokens[id_] = msgspec.json.decode(data, type=Token)
            except (OSError, msgspec.DecodeError):
                return None
        return self._tokens.get(id_)

    def put(self, id_: str, token: Token) -> None:
        """Keep it. Raises `OSError` where it cannot be written."""
        if self._folder is not None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._folder / f"{id_}.json"
            part = path.with_suffix(".part")
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.encode(token))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        self._tokens[id_] = token


class TokenRefused(Exception):
    """The token endpoint gave no token. `final`: not for now, but until the settings change."""

    def __init__(self, reason: str, final: bool) -> None:
        super().__init__(reason)
        self.final = final


class Tokens:
    """The access tokens of one destination."""

    def __init__(
        self, spec: OAuth, id_: str, settings: Mapping[str, Any], store: TokenStore
    ) -> None:
        self.spec, self._id, self._settings, self._store = spec, id_, settings, store
        self._lock = asyncio.Lock()
        self.assumed = ""
        """A token that is taken as it is."""
        texts = {name: getattr(spec, name) for name in
                 ("token_url", "client_id", "client_secret", "refresh_token", "scope")}  # fmt: skip
        self._values = {name: self._value(text) for name, text in texts.items() if text}
        self._body = {name: self._value(text) for name, text in spec.body.items()}
        self._token, self._expires = _optional(spec.token), _optional(spec.expires)
        self._configured = hash_of([*self._values.values(), *self._body.values()])

    def _value(self, text: str) -> str:
        return text_of(compile_expression(text).eval({}, self._settings)) or ""

    def header(self, token: str) -> dict[str, str]:
        return {self.spec.header: f"{self.spec.prefix}{token}"}

    async def get(self, http: Http) -> str:
        """A token that holds for some time. Raises `TokenRefused`."""
        return await self._current(http, "")

    async def renew(self, http: Http, refused: str) -> str:
        """A token other than `refused`. Raises `TokenRefused`."""
        return await self._current(http, refused)

    async def _current(self, http: Http, refused: str) -> str:
        if self.assumed:
            return self.assumed
        async with self._lock:
            known = self._store.get(self._id)
            if known is not None and known.configured != self._configured:
                known = None
            if known is not None and known.access != refused and known.until > time.time():
                return known.access
            token = await self._fetch(http, known.refresh if known is not None else "")
            self._store.put(self._id, token)
            return token.access

    async def _fetch(self, http: Http, refresh: str) -> Token:
        members = self._members(refresh)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        client, secret = self._values.get("client_id", ""), self._values.get("client_secret", "")
        if self.spec.client_auth == "basic":
            pair = b64encode(f"{client}:{secret}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        else:
            members |= {"client_id": client, "client_secret": secret}
        body = form_bytes({name: text for name, text in members.items() if text})
        url = self._values["token_url"]
        status, _, answer = await http.request("POST", url, headers, body)
        return self._read(status, answer, refresh)

    def _members(self, refresh: str) -> dict[str, str]:
        members = {"grant_type": self.spec.grant, "scope": self._values.get("scope", "")}
        if self.spec.grant == "refresh_token":
            members["refresh_token"] = refresh or self._values.get("refresh_token", "")
        return members | self._body

    def _read(self, status: int, body: bytes, refresh: str) -> Token:
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        found = answer if isinstance(answer, dict) else {}
        access = self._token.eval(found) if self._token is not None else None
        if status // 100 != 2 or not isinstance(access, str) or not access:
            reason = text_of(found.get("error_description") or found.get("error")) or ""
            # A second refresh at once is refused for now (Salesforce); the next one succeeds.
            final = status in (400, 401, 403) and "already being processed" not in reason
            raise TokenRefused(f"no access token: {status} {reason}".strip()[:300], final)
        seconds = self._expires.eval(found) if self._expires is not None else None
        holds = float(seconds) if isinstance(seconds, int | float) else _UNSAID_SECONDS
        until = time.time() + holds - min(_AHEAD_SECONDS, holds / 2)
        return Token(access, until, text_of(found.get("refresh_token")) or refresh,
                     self._configured)  # fmt: skip


def hash_of(values: list[str]) -> str:
    """Tells one set of values from another without holding them."""
    return hashlib.sha256("\0".join(values).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _optional(text: str) -> Expr | None:
    return compile_expression(text) if text else None
