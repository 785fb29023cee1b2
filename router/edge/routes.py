"""Which path means what: Segment's long and short forms, batches and pixels, RudderStack's."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from router.event import KINDS

FROM_EVENT = -1
"""As a route's kind: the event's own `type` decides."""


class Action(Enum):
    """What is done with a request."""

    single = auto()
    batch = auto()
    pixel = auto()
    telemetry = auto()
    settings = auto()
    source_config = auto()
    script = auto()
    about = auto()


class Route(NamedTuple):
    """`kind` is an index into `KINDS` where the path implies the call."""

    action: Action
    methods: frozenset[bytes]
    kind: int = FROM_EVENT


_POST = frozenset({b"POST"})
_GET = frozenset({b"GET", b"HEAD"})


def _exact() -> dict[bytes, Route]:
    routes: dict[bytes, Route] = {}
    for kind, name in enumerate(KINDS):
        for form in (name, name[0]):
            for prefix in ("/v1/", "/"):
                routes[f"{prefix}{form}".encode()] = Route(Action.single, _POST, kind)
        for pixel in (f"/v1/pixel/{name}", f"/pixel/v1/{name}"):
            routes[pixel.encode()] = Route(Action.pixel, _GET, kind)
    for form in ("batch", "b", "import"):
        for prefix in ("/v1/", "/", "/beacon/v1/"):
            routes[f"{prefix}{form}".encode()] = Route(Action.batch, _POST)
    for name in ("merge", "audiencelist", "extract"):
        routes[f"/v1/{name}".encode()] = Route(Action.single, _POST)
    routes[b"/v1/m"] = routes[b"/m"] = Route(Action.telemetry, _POST)
    routes[b"/sourceConfig"] = Route(Action.source_config, _GET)
    for path in (b"/", b"/health", b"/version", b"/robots.txt"):
        routes[path] = Route(Action.about, _GET)
    return routes


_EXACT = _exact()
_SETTINGS = Route(Action.settings, _GET)
_SCRIPT = Route(Action.script, _GET)


def find_route(path: bytes) -> Route | None:
    """The route of a path without its query; a trailing slash changes nothing."""
    route = _EXACT.get(path)
    if route is None and len(path) > 1 and path.endswith(b"/"):
        path = path.rstrip(b"/")
        route = _EXACT.get(path)
    if route is not None:
        return route
    if settings_key(path) is not None:
        return _SETTINGS
    if path.startswith((b"/analytics.js/v1/", b"/analytics-next/", b"/next-integrations/")):
        return _SCRIPT
    return None


def event_routes() -> dict[bytes, tuple[bool, int]]:
    """Every path that takes events by POST: whether in a batch, and of which kind."""
    return {
        path: (route.action is Action.batch, route.kind)
        for path, route in _EXACT.items()
        if route.action in (Action.batch, Action.single)
    }


def settings_key(path: bytes) -> bytes | None:
    """The write key in `/v1/projects/<key>/settings`, with or without `/v1`."""
    parts = path.strip(b"/").split(b"/")
    if parts[:1] == [b"v1"]:
        parts = parts[1:]
    if len(parts) == 3 and parts[0] == b"projects" and parts[2] == b"settings":
        return parts[1]
    return None
