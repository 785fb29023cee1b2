"""A catalogue file as typed structs. docs/destinations/format.md tells what each part is for."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from router.destinations.outcome import Outcome


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the structs: a key that is not known is an error."""


class Choice(Part, frozen=True):
    """A choice that is shown under another name than its value."""

    value: str
    label: str = ""


class Setting(Part, frozen=True):
    """One setting of an instance; the form, the docs and the validation come from it."""

    type: Literal["text", "secret", "url", "number", "boolean", "choice", "list", "map"] = "text"
    label: str = ""
    help: str = ""
    required: bool = False
    default: Any = None
    choices: list[str | Choice] = []
    pattern: str = ""
    """A regular expression that the whole of a text has to match."""
    when: str = ""
    """An expression over `settings`: the setting is shown, and required, only where it is true."""
    aliases: list[str] = []
    """Other names it is known by, e.g. in exported configurations of other routers."""


class OAuth(Part, frozen=True):
    """OAuth 2 (RFC 6749): a token is fetched, kept, refreshed before it ends and after a refusal,
    and sent as Bearer. Values are expressions over `settings`."""

    token_url: str
    grant: Literal["client_credentials", "refresh_token", "password"] = "client_credentials"
    client_id: str = ""
    client_secret: str = ""
    client_auth: Literal["body", "basic"] = "body"
    """Where the client's id and secret go."""
    refresh_token: str = ""
    scope: str = ""
    body: dict[str, str] = {}
    """Further members of the token request."""
    token: str = "access_token"
    """Over the token endpoint's answer: the token."""
    expires: str = "expires_in"
    """Over the answer: for how many seconds it holds."""
    header: str = "Authorization"
    prefix: str = "Bearer "


class Aws(Part, frozen=True):
    """AWS Signature Version 4. Values are expressions over `settings`."""

    service: str
    region: str
    access_key_id: str
    secret_access_key: str
    session_token: str = "null"


class Auth(Part, frozen=True):
    """How a request proves who sends it. Every value is an expression over `settings`."""

    basic: list[str] = []
    """User and password."""
    bearer: str = ""
    headers: dict[str, str] = {}
    query: dict[str, str] = {}
    body: dict[str, str] = {}
    """Members added to a JSON or form body that is an object."""
    oauth: OAuth | None = None
    aws: Aws | None = None
    when: str = ""
    """An expression over `settings`: this way of proving is used only where it is true."""


class Signature(Part, frozen=True):
    """A header with an HMAC of the body."""

    header: str
    key: str
    """An expression; no signature where it is null."""
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    signs: str = "body"
    """An expression over `body`, `method`, `url`, `path` and `time` (seconds since 1970) for what is
    signed. `time` is the value that a header or query gets by `now()`."""


class Limits(Part, frozen=True):
    """What the vendor takes. `rate` in requests a second, `timeout` in seconds."""

    rate: Annotated[float, Meta(gt=0)] | None = None
    concurrency: Annotated[int, Meta(ge=1)] = 4
    timeout: Annotated[float, Meta(gt=0)] = 15.0
    reset_header: str = ""
    """A header of a throttled answer that tells when to go on, in seconds from now or since 1970,
    where the vendor sends no Retry-After."""


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
    """An expression for a list of items, each about one row. For the n-th item about the n-th row,
    leave `at` empty and let `failed` tell."""
    at: str = ""
    """An expression over an item: the row's index, or with `match` a key; or a list of them."""
    match: str = ""
    """An expression over a row: the key that `at` speaks of."""
    failed: str = ""
    """An expression over an item: it is about a failure where this is true; all are where it is
    not given."""
    verdict: Outcome = Outcome.dropped
    """What becomes of the rows that `each` names; `then` is for all others."""
    retry: str = ""
    """An expression over an item: the row is tried again where it is true."""


class Batching(Part, frozen=True):
    """When a batch is sent. `seconds` after its first row at the latest."""

    events: Annotated[int, Meta(ge=1)] = 1
    bytes: Annotated[int, Meta(ge=1)] = 1_000_000
    seconds: Annotated[float, Meta(ge=0)] = 0.0


class Field(Part, frozen=True):
    """One value that an action takes, and where it comes from unless an instance says otherwise.

    A name that ends in `!` is required: an event without it is not sent. A bare text in place of the
    table is its `default`.
    """

    default: Any = None
    """An expression over the event and `settings`, or a table in Segment's mapping JSON."""
    type: Literal["any", "text", "number", "integer", "boolean", "time", "object"] = "any"
    """A value of another type is converted, or taken for missing where it cannot be."""
    multiple: bool = False
    """A list of such values; a single value becomes a list of one."""
    members: list[str] = []
    """Of an object, or of each object of a list: the members that are taken, no others. One whose
    name ends in `!` has to be there."""
    choices: list[str | Choice] = []
    required: bool = False
    label: str = ""
    help: str = ""


class Step(Part, frozen=True):
    """One request of an action that needs several. Expressions see the event, `fields`, `settings`,
    and `steps.<name>`: what the steps before it took from their answers."""

    name: str
    if_: str = msgspec.field(default="", name="if")
    """The step is done only where this is true."""
    url: str = ""
    path: str = ""
    method: str = "POST"
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    format: Literal["json", "form", "query", "ndjson", "text", "multipart", "none"] = "json"
    body: dict[str, Any] | str = ""
    """A table of expressions, which may hold tables, or one expression."""
    take: str = ""
    """An expression over the answer: what later steps see."""
    missing: list[int | str] = []
    """Statuses that are no failure: nothing was found."""
    or_drop: str = ""
    """Where nothing is taken the row is dropped, for this reason."""
    cache: Annotated[float, Meta(ge=0)] = 0.0
    """For so many seconds the answer to the same request is taken from memory."""
    cache_missing: Annotated[float, Meta(ge=0)] = 0.0
    """The same where nothing was found."""


class Action(Part, frozen=True):
    """One kind of call. Expressions see the event, `fields` and `settings`."""

    label: str = ""
    help: str = ""
    when: str = ""
    """Which events trigger it; an instance may say otherwise. Empty: none does until an instance
    gives one."""
    if_: str = msgspec.field(default="", name="if")
    """What has to be true besides, whoever wrote the trigger."""
    like: str = ""
    """An action from which everything is taken that is not given here; of `fields`, each."""
    part_of: str = ""
    """An action of which this is a further request: `when` and `fields` are that one's, and where
    that one is mapped or switched off, so is this."""
    fields: dict[str, Field | str] = {}
    """What it takes, and the default mapping."""
    each: str = ""
    """An expression for a list: a row for each `item` of it, none where it is null."""
    row: dict[str, Any] | str = ""
    """The row: a table of expressions, one expression, or "$" for the event's own bytes. Empty: an
    object of all fields, or the event where there are none."""
    missing: Literal["dead_letter", "skip"] = "dead_letter"
    """What becomes of an event that lacks a required field; "skip" counts it as not applicable."""
    url: str = ""
    """In place of the destination's."""
    path: str = ""
    method: str = "POST"
    """Or an expression that begins with `settings.` or `fields.`."""
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    more_headers: str = ""
    """An expression for an object of further headers."""
    format: Literal["json", "form", "query", "ndjson", "text", "multipart", "none"] = "json"
    """How the rows are written: JSON; a form; the query of the URL, without a body; JSON lines;
    lines of text; multipart/form-data; or not at all."""
    body: dict[str, Any] = {}
    """What stands around the rows: expressions, in tables if need be. The one that is `rows` is the
    list of rows, `row` the only row. Empty: the list itself, or the row where there is no batching."""
    batch: Batching | None = None
    key: str = ""
    """An expression; only rows for which it gives the same share a batch. What `path`, `url`, `query`,
    `headers` and `body` read of an event counts as well, without being named here."""
    idempotency: str = ""
    """A header that tells one request from another: the messageId, or of a batch a hash of all."""
    steps: list[Step] = []
    """In place of one request: several, in order, one event at a time."""
    code: str = ""
    """`package.module:function` that sends the rows, in place of a request."""


class Test(Part, frozen=True):
    """An example that runs: events in, requests out; or an answer, and what it means."""

    does: str
    settings: dict[str, Any] = {}
    mappings: dict[str, Any] = {}
    """As in an instance."""
    events: str = "[]"
    """A JSON list of events."""
    sends: str = "[]"
    """A JSON list of the requests: method (POST), url, headers (those to check), body."""
    drops: str = ""
    """In place of `sends`: the reason for which nothing is sent."""
    reply: str = ""
    """A JSON object: the answer's `status`, `headers` and `body`."""
    replies: str = ""
    """A JSON list of answers, one a request, for an action with steps; then 200 and `{}`."""
    gives: list[str] = []
    """Each row's outcome after `reply` or `replies`, with `: reason` where it has one."""


class Better(Part, frozen=True):
    """Where requests differ from Segment's on purpose."""

    because: str
    cases: str = "*"
    """Which recorded cases: a glob of their ids, e.g. "amplitude/identifyUser/*"."""
    paths: list[str] = []
    """Parts of requests that are not compared, e.g. "body.events.*.insert_id", "url.query.v",
    "headers.x-api-version"; neither these nor `rows` given: the whole case."""
    rows: list[str] = []
    """Two paths, to a recorded request's rows and to ours: they are compared in place of bodies."""


class Conformance(Part, frozen=True):
    """How recorded requests are compared with this destination's."""

    segment: str = ""
    """Segment's slug, where it is not ours with `actions-` before or `-cloud` behind it."""
    rudder: str = ""
    """RudderStack's name of it."""
    settings: dict[str, Any] = {}
    """Settings in addition to the recorded ones."""
    ignore: list[str] = []
    """Parts that are not compared: marks of the sender, such as a library's name."""
    better: list[Better] = []


class Spec(Part, frozen=True):
    """One destination."""

    name: str
    docs: str = ""
    category: str = ""
    description: str = ""
    notes: str = ""
    """Markdown for its page: what to know, and where it differs from Segment's on purpose."""
    verified: Literal["vectors", "emulator", "documented", "own"] = "documented"
    """Against requests recorded of Segment's, a server, or the vendor's documentation alone."""
    extends: str = ""
    """In a workspace: a built-in destination, or its own slug, whose parts are taken where this
    file gives none."""
    integrations: list[str] = []
    """Other names under which an event's `integrations` may speak of it."""
    sink: str = ""
    """`package.module:function` that makes the sink, in place of `url` and requests: for what is no
    HTTP."""
    code: str = ""
    """`package.module:function` that sends the rows of every action: a coroutine function of rows,
    settings and an HTTP client that returns a verdict a row."""
    url: str = ""
    """An expression for the base of every action's URL."""
    settings: dict[str, Setting] = {}
    auth: Auth | list[Auth] = Auth()
    """One way of proving who sends, or several, of which the first counts whose `when` is true."""
    headers: dict[str, str] = {}
    more_headers: str = ""
    """An expression for an object of further headers."""
    compress: str = ""
    """An expression: bodies are gzipped where it is true."""
    sign: list[Signature] = []
    limits: Limits = Limits()
    ordered: bool = False
    """One user's events have to arrive in order, as an identify before what follows it."""
    responses: list[Rule] = []
    actions: dict[str, Action] = {}
    conformance: Conformance = Conformance()
    tests: list[Test] = []
