"""What a workspace's files hold, as typed structs. The field comments are the reference's text."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]
Text = Annotated[str, Meta(min_length=1)]

KIB, MIB, GIB = 1024, 1024**2, 1024**3


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every file's struct: immutable, and a key it does not know is an error."""


class Server(Model, frozen=True):
    """`[server]`: where SDKs send. Flags of `router serve` override it."""

    host: Text = "127.0.0.1"
    port: Port = 8080
    public_url: str = ""
    """How SDKs reach the edge from outside, e.g. https://events.example.com; for their settings."""
    trusted_proxies: list[str] = []
    """Addresses or networks whose X-Forwarded-For is believed."""


class Control(Model, frozen=True):
    """`[control]`: metrics, health, API and console."""

    host: Text = "127.0.0.1"
    port: Port = 8081
    token: str = ""
    """Bearer token of the API; required where `host` is not loopback."""


class Limits(Model, frozen=True):
    """`[limits]`: what the edge refuses. Sizes in bytes, times in seconds."""

    event_bytes: Count = 32 * KIB
    body_bytes: Count = 500 * KIB
    """Largest body, as sent and after inflating."""
    batch_events: Count = 2500
    depth: Annotated[int, Meta(ge=8, le=250)] = 100
    """Deepest nesting of objects and lists in an event; at most 250, which every encoder can write."""
    message_id_chars: Count = 100
    header_bytes: Count = 16 * KIB
    header_seconds: Seconds = 10.0
    body_seconds: Seconds = 30.0
    idle_seconds: Seconds = 75.0
    connections: Count = 10_000
    inflight_bytes: Count = 64 * MIB
    """Bytes accepted and not yet durable; above it the edge answers 503."""
    rejected_bytes: Count = 64 * MIB
    """Size of the rejected-events store; the oldest file goes first."""


class Log(Model, frozen=True):
    """`[log]`: the event log on disk."""

    bytes: Count = 20 * GIB
    segment_bytes: Annotated[int, Meta(ge=MIB)] = 64 * MIB
    hours: Seconds = 168.0
    """Delivered events are kept this long for replay, if `bytes` allows."""
    on_full: Literal["refuse", "sacrifice"] = "refuse"
    """At `bytes` with events undelivered: answer 503, or give up `sacrifice`'s oldest events."""
    sacrifice: list[str] = []


class Dedup(Model, frozen=True):
    """`[dedup]`: how long a messageId is remembered, per source."""

    hours: Annotated[int, Meta(ge=0, le=720)] = 24
    """0 switches deduplication off."""


class Delivery(Model, frozen=True):
    """`[delivery]`: defaults for every destination."""

    retry_hours: Seconds = 4.0
    retry_first_seconds: Seconds = 1.0
    retry_max_seconds: Seconds = 600.0
    retry_events: Count = 250_000
    """How many rows of one destination may wait for another try."""
    on_retries_full: Literal["wait", "dead_letter"] = "wait"
    """At `retry_events`: read no further, so that the log keeps the rest, or dead-letter what fails
    now."""
    ordered_events: Count = 10_000
    """How many rows of one user may wait for an earlier one at an `ordered` destination; further
    ones are sent without order, counted."""
    queue_bytes: Annotated[int, Meta(ge=MIB)] = 64 * MIB
    """Rows mapped and not yet answered, of all destinations together; each gets an equal share."""
    stalled_seconds: Seconds = 120.0
    """Events that could be sent but are not tried for so long turn `/ready` red."""
    grace_seconds: Annotated[float, Meta(ge=0)] = 15.0
    """How long a stopping router waits for requests in flight."""
    dead_letter_bytes: Count = GIB
    """Size of one destination's dead letters; the oldest file goes first, counted."""


class Logging(Model, frozen=True):
    """`[logging]`: the process's own log on standard error."""

    format: Literal["logfmt", "json"] = "logfmt"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Model, frozen=True):
    """`router.toml`."""

    server: Server = Server()
    control: Control = Control()
    limits: Limits = Limits()
    log: Log = Log()
    dedup: Dedup = Dedup()
    delivery: Delivery = Delivery()
    logging: Logging = Logging()


class Source(Model, frozen=True):
    """`sources/<id>.toml`."""

    name: Text
    write_key: Text
    enabled: bool = True
    strict: bool = False
    """Answer 400, not 200, where an event is refused."""
    kind: Literal["auto", "browser", "mobile", "server"] = "auto"
    """Client-side sources get `context.ip` from the connection; `auto` tells by the library."""


class Batch(Model, frozen=True):
    """`[batch]` of a destination: overrides its catalogue file."""

    events: Count | None = None
    bytes: Count | None = None
    seconds: Annotated[float, Meta(ge=0)] | None = None


Do = Literal["drop", "only", "sample", "drop_properties", "allow_properties", "hash_properties",
             "mask_properties", "rename", "set"]  # fmt: skip


class Filter(Model, frozen=True):
    """`[[filters]]`: in order, before the event is mapped (docs/expressions.md)."""

    do: Do
    """What the filter does to events."""
    name: Annotated[str, Meta(max_length=64)] = ""
    """For people."""
    if_: str = msgspec.field(default="", name="if")
    """An expression; where it is not true the filter leaves the event as it is. `only` needs it."""
    percent: Annotated[float, Meta(ge=0, le=100)] | None = None
    """`sample`: how many events to keep, of 100."""
    path: str = ""
    """`sample`: events with one value here are kept or dropped together; where there is none, and
    by default, `messageId`."""
    hash: Literal["uniform", "tsub"] = "uniform"
    """`sample`: "tsub" keeps those whom Segment's browser library keeps, which are far fewer than
    `percent` says."""
    paths: list[str] = []
    """`drop_properties`, `allow_properties`, `hash_properties`, `mask_properties`: the members."""
    keep: Annotated[int, Meta(ge=0)] = 0
    """`mask_properties`: how many characters at the end stay readable."""
    names: dict[str, str] = {}
    """`rename`: from old paths to new ones."""
    values: dict[str, str] = {}
    """`set`: from paths to expressions, which all see the event as it came to the filter."""


class Mapping(Model, frozen=True):
    """`[mappings.<name>]`: changes what an action of the catalogue takes from events, or when."""

    action: str = ""
    """The action; the mapping's own name where it is not given. One action may be mapped several
    times, under several names."""
    enabled: bool = True
    when: str = ""
    """Which events trigger it, in place of the catalogue's condition."""
    fields: dict[str, Any] = {}
    """Expressions for some of the action's fields, or tables in Segment's mapping JSON."""
    subscribe: str = ""
    """A trigger in the language of Segment's Actions, in place of `when`."""
    mapping: dict[str, Any] | str = ""
    """A whole mapping as Segment exports it, in place of all defaults: a table, or its JSON."""


class Destination(Model, frozen=True):
    """`destinations/<id>.toml`."""

    destination: Text
    """The catalogue's slug."""
    name: str = ""
    sources: list[str] = msgspec.field(default_factory=lambda: ["*"])
    """Source ids, or "*" for all."""
    enabled: bool = True
    filter: str = ""
    """An expression; events for which it is not true are not sent."""
    filters: list[Filter] = []
    start: str = "now"
    """Where a destination that is new to this data folder begins to read: "earliest", "now" or a
    time such as 2026-01-31T12:00:00Z."""
    ordered: bool | None = None
    """Send one user's events in order, through retries as well; by default as the catalogue says."""
    network: Literal["any", "public"] = "any"
    """"public" keeps its requests out of loopback, link-local and private networks."""
    concurrency: Count | None = None
    batch: Batch = Batch()
    mappings: dict[str, Mapping] = {}
    presets: bool = True
    """Do what the catalogue does by default; else only what `mappings` name."""
    settings: dict[str, Any] = {}


class Workspace(Model, frozen=True):
    """All files of a workspace, read and validated as a whole."""

    settings: Settings
    sources: dict[str, Source]
    destinations: dict[str, Destination]
    digest: str
    """Of every file's content: tells one version of the workspace from another."""
