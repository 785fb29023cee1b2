"""Methods and paths of the tracking API, each with and without `/v1` and a trailing slash."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from router import __version__
from router.edge.cors import preflight
from router.edge.intake import BATCH, Intake
from router.edge.message import SUCCESS, Request, Respond, Response, as_json, overload, refusal
from router.edge.pixel import GIF, pixel_body
from router.edge.settings import project_settings, source_config, unknown_key
from router.event import KIND_OF

_log = logging.getLogger(__name__)
_BATCHES = ("batch", "b", "import")
_SHORT = {"t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias"}
_NAME = "Event Router"


def _posts() -> dict[bytes, int]:
    """Path to kind of call."""
    kinds = {name: BATCH for name in _BATCHES} | KIND_OF
    kinds |= {short: KIND_OF[name] for short, name in _SHORT.items()}
    paths = {f"{prefix}/{name}": kind for name, kind in kinds.items() for prefix in ("/v1", "")}
    paths |= {f"/beacon/v1/{name}": kind for name, kind in kinds.items()}
    return {f"{path}{end}".encode(): kind for path, kind in paths.items() for end in ("", "/")}


_POSTS = _posts()
_PIXELS = {
    f"{prefix}/{name}".encode(): kind
    for name, kind in KIND_OF.items()
    for prefix in ("/v1/pixel", "/pixel/v1", "/pixel")
}
_PAGES = {
    b"": Response(200, _NAME.encode() + b"\n", content_type=b"text/plain"),
    b"/robots.txt": Response(200, b"User-agent: *\nDisallow: /\n", content_type=b"text/plain"),
    b"/health": as_json({"status": "ok"}),
    b"/version": as_json({"name": _NAME, "version": __version__}),
}
_METRICS = (b"/v1/m", b"/m")
_UNKNOWN = refusal("unknown_path", "this is no path of the tracking API: see docs/tracking-api.md")
_NOT_FOUND = refusal("unknown_path", "there is no such page", status=404)


class Routes:
    """Hands each request to who answers it."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self.public_url = ""

    def handle(self, request: Request, respond: Respond) -> None:
        """Answer `request`. An error of ours is a 503, so that the SDK keeps its events."""
        try:
            self._dispatch(request, respond)
        except Exception:
            _log.exception("a request failed")
            respond(overload("an internal error, see the router's log", 5))

    def _dispatch(self, request: Request, respond: Respond) -> None:
        path, _, query = request.target.partition(b"?")
        if request.method == b"POST":
            kind = _POSTS.get(path)
            if kind is None:
                kind = _POSTS.get(path := _normal(path))
            if kind is not None:
                self._intake.take(request, respond, kind, query)
            else:
                respond(SUCCESS if path in _METRICS else _UNKNOWN)
        elif request.method in (b"GET", b"HEAD"):
            respond = _without_body(respond) if request.method == b"HEAD" else respond
            self._get(request, respond, _normal(path), query)
        elif request.method == b"OPTIONS":
            respond(preflight(request))
        else:
            respond(refusal("unknown_method", "the tracking API has POST, GET and OPTIONS"))

    def _get(self, request: Request, respond: Respond, path: bytes, query: bytes) -> None:
        kind = _PIXELS.get(path)
        if kind is not None:
            pixel = Request(
                request.method, request.target, _without_encoding(request.headers),
                pixel_body(query), request.peer,
            )  # fmt: skip
            self._intake.take(pixel, _as_gif(respond), kind, query)
        elif path == b"/sourceConfig":
            respond(source_config(request, self._intake.sources, query))
        elif path.endswith(b"/settings"):
            respond(self._settings(request, path))
        elif page := _PAGES.get(path):
            respond(page)
        elif path in _POSTS:
            respond(refusal("unknown_method", "events are sent by POST"))
        else:
            respond(_NOT_FOUND)

    def _settings(self, request: Request, path: bytes) -> Response:
        parts = path.removeprefix(b"/v1").split(b"/")
        if len(parts) != 4 or parts[:2] != [b"", b"projects"]:
            return _NOT_FOUND
        key = parts[2]
        source = self._intake.sources.get(key)
        if source is None:
            return unknown_key()
        return project_settings(request, source, key, self.public_url)


def _normal(path: bytes) -> bytes:
    """Without a trailing slash, doubled slashes, and the host of an absolute target."""
    if not path.startswith(b"/"):
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    while b"//" in path:
        path = path.replace(b"//", b"/")
    return path.rstrip(b"/")


def _without_encoding(headers: dict[bytes, bytes]) -> dict[bytes, bytes]:
    return {name: value for name, value in headers.items() if name != b"content-encoding"}


def _as_gif(respond: Callable[[Response], None]) -> Respond:
    """A picture whatever happened: there is nobody to read anything else."""
    return lambda _: respond(GIF)


def _without_body(respond: Respond) -> Respond:
    return lambda response: respond(msgspec.structs.replace(response, body=b""))
