"""What SDKs read before they send: Segment's project settings, RudderStack's source config."""

from __future__ import annotations

from typing import Any

from router.edge.auth import header_key, query_key
from router.edge.message import Request, Response, as_json, refusal
from router.edge.sources import LiveSource


def project_settings(request: Request, source: LiveSource, key: bytes, public_url: str) -> Response:
    """`/v1/projects/<key>/settings`: one integration, which is this edge."""
    scheme, host = _reached_at(request, public_url)
    segment: dict[str, Any] = {"apiKey": key.decode("utf-8", "replace"), "apiHost": f"{host}/v1"}
    if scheme == "http":
        segment["protocol"] = "http"
    enabled = {"enabled": source.enabled, "integrations": {}}
    return as_json({
        "integrations": {"Segment.io": segment},
        "plan": {
            "track": {"__default": enabled},
            "identify": {"__default": {"enabled": source.enabled}},
            "group": {"__default": {"enabled": source.enabled}},
        },
        "edgeFunction": {},
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "remotePlugins": [],
        "legacyVideoPluginsEnabled": False,
    })  # fmt: skip


def source_config(request: Request, sources: dict[bytes, LiveSource], query: bytes) -> Response:
    """`/sourceConfig`: no destination is loaded in the page, all of them are the router's."""
    key = header_key(request) or query_key(query)
    source = sources.get(key) if key else None
    if source is None or key is None:
        return unknown_key()
    return as_json({"source": {
        "id": source.id,
        "name": source.name,
        "writeKey": key.decode("utf-8", "replace"),
        "enabled": source.enabled,
        "config": {},
        "destinations": [],
        "connections": [],
    }})  # fmt: skip


def unknown_key() -> Response:
    return refusal("unknown_write_key", "no source has this write key", "writeKey", status=404)


def _reached_at(request: Request, public_url: str) -> tuple[str, str]:
    """Scheme and host (with a path, if any) under which SDKs reach the edge."""
    if public_url:
        scheme, _, host = public_url.rstrip("/").rpartition("://")
        return scheme or "https", host
    scheme = request.headers.get(b"x-forwarded-proto", b"http").decode("latin-1").lower()
    return scheme, request.headers.get(b"host", b"localhost").decode("latin-1")
