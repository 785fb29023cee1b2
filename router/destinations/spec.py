"""A catalogue file as typed structs. docs/destinations/format.md tells what each part is for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from router.destinations.outcome import Outcome


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the structs: a key that is not known is an error."""


class Setting(Part, frozen=True):
    """One setting of an instance; the form, the docs and the validation come from it."""

    type: Literal["text", "secret", "url", "number", "boolean", "choice", "list", "map"] = "text"
    label: str = ""
    help: str = ""
    required: bool = False
    default: Any = None
    choices: list[str] = []
    aliases: list[str] = []
    """Other names it is known by, e.g. in exported configurations of other routers."""


class Auth(Part, frozen=True):
    """How a request proves who sends it. Every value is an expression over `settings`."""

    basic: list[str] = []
    """User and password."""
    bearer: str = ""
    headers: dict[str, str] = {}
    query: dict[str, str] = {}


class Signature(Part, frozen=True):
    """A header with an HMAC of the body, in hex."""

    header: str
    key: str
    """An expression; no signature where it is null."""
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    prefix: str = ""


class Limits(Part, frozen=True):
    """What the vendor takes. `rate` in requests a second, `timeout` in seconds."""

    rate: Annotated[float, Meta(gt=0)] | None = None
    concurrency: Annotated[int, Meta(ge=1)] = 4
    timeout: Annotated[float, Meta(gt=0)] = 15.0


class Rule(Part, frozen=True):
    """What an answer means, where the usual table would be wrong. The first that fits counts."""

    status: list[int | str] = []
    """Statuses such as 400 or "5xx"; none given: any."""
    has: str = ""
    """An expression over the answer's JSON; the rule fits where it is true, or not null."""
    then: Outcome = Outcome.delivered
    because: str = ""
    """An expression for the reason, over the answer, or over the item of `each`."""
    each: str = ""
    """An expression for a list of items, each about one row."""
    at: str = ""
    """An expression over an item: the row's index."""
    verdict: Outcome = Outcome.dropped
    """What becomes of the rows that `each` names; `then` is for all others."""


class Batching(Part, frozen=True):
    """When a batch is sent. `seconds` after its first row at the latest."""

    events: Annotated[int, Meta(ge=1)] = 1
    bytes: Annotated[int, Meta(ge=1)] = 1_000_000
    seconds: Annotated[float, Meta(ge=0)] = 0.0


class Action(Part, frozen=True):
    """One kind of call. Expressions see the event, and `settings`."""

    when: str
    url: str = ""
    """In place of the destination's."""
    path: str = ""
    method: str = "POST"
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    format: Literal["json", "form", "ndjson"] = "json"
    body: dict[str, str] = {}
    """What stands around the rows: expressions over `settings`; the one that is `rows` is the list
    of rows, `row` the only row. Empty: the list itself, or the row where there is no batching."""
    batch: Batching | None = None
    key: str = ""
    """An expression; only rows for which it gives the same share a batch."""
    fields: dict[str, Any] | str = "$"
    """The row: a table of expressions, or "$" for the event's own bytes."""


class Test(Part, frozen=True):
    """An example that runs: events in, requests out; or an answer, and what it means."""

    does: str
    settings: dict[str, Any] = {}
    events: str = "[]"
    """A JSON list of events."""
    sends: str = "[]"
    """A JSON list of the requests: method (POST), url, headers (those to check), body."""
    drops: str = ""
    """In place of `sends`: the reason for which nothing is sent."""
    reply: str = ""
    """A JSON object: the answer's `status`, `headers` and `body`."""
    gives: list[str] = []
    """Each row's outcome after `reply`, with `: reason` where it has one."""


class Spec(Part, frozen=True):
    """One destination."""

    name: str
    docs: str = ""
    category: str = ""
    description: str = ""
    verified: Literal["vectors", "emulator", "documented", "own"] = "documented"
    integrations: list[str] = []
    """Other names under which an event's `integrations` may speak of it."""
    code: str = ""
    """`package.module:function` that makes the sink, in place of `url` and requests."""
    url: str = ""
    """An expression for the base of every action's URL."""
    settings: dict[str, Setting] = {}
    auth: Auth = Auth()
    headers: dict[str, str] = {}
    more_headers: str = ""
    """An expression for an object of further headers."""
    compress: str = ""
    """An expression: bodies are gzipped where it is true."""
    sign: list[Signature] = []
    limits: Limits = Limits()
    responses: list[Rule] = []
    actions: dict[str, Action] = {}
    tests: list[Test] = []
