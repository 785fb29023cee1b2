"""What SDKs read before they send anything: Segment's settings, RudderStack's source config."""

from __future__ import annotations

from typing import Any

from router.edge.auth import SourceState
from router.edge.message import Request, Response, as_json
from router.workspace.models import Server


def api_host(request: Request, server: Server) -> tuple[str, str]:
    """(host with /v1 and without a scheme, scheme): the public URL, else as the SDK came here."""
    if server.public_url:
        scheme, _, host = server.public_url.partition("://")
        return f"{host.rstrip('/')}/v1", scheme
    host = request.headers.get(b"host", b"127.0.0.1").decode("latin-1")
    scheme = request.headers.get(b"x-forwarded-proto", b"http").decode("latin-1")
    return f"{host}/v1", "https" if scheme == "https" else "http"


def segment_settings(source: SourceState, request: Request, server: Server) -> Response:
    """`/v1/projects/<key>/settings`; no member may be null (analytics-kotlin does not take it)."""
    host, scheme = api_host(request, server)
    enabled: dict[str, Any] = {"__default": {"enabled": True, "integrations": {}}}
    return as_json({
        "integrations": {
            "Segment.io": {"apiKey": source.key, "apiHost": host, "protocol": scheme}
        },
        "plan": {"track": enabled, "identify": {"__default": {"enabled": True}},
                 "group": {"__default": {"enabled": True}}},
        "edgeFunction": {},
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "remotePlugins": [],
        "legacyVideoPluginsEnabled": False,
    })  # fmt: skip


def rudder_config(source: SourceState) -> Response:
    """`/sourceConfig`: no device-mode destinations, so that everything is sent here."""
    return as_json({
        "source": {
            "id": source.id, "name": source.id, "writeKey": source.key, "enabled": True,
            "workspaceId": "event-router", "config": {}, "destinations": [],
        }
    })  # fmt: skip
