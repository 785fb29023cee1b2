"""What an expression may have meant: roots that no event has, and that look like ones it has."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from router._fast.parse import paths

MEMBERS = (
    "type", "event", "userId", "anonymousId", "properties", "traits", "context", "messageId",
    "timestamp", "sentAt", "receivedAt", "originalTimestamp", "integrations", "name", "category",
    "groupId", "previousId", "version", "channel", "projectId", "writeKey", "_metadata",
)  # fmt: skip
"""An event's own, of the tracking API."""

_MOST = 50
"""Names looked up: the rest of a long expression is taken as it is."""


def hints(tree: tuple[Any, ...]) -> list[str]:
    """A line for each name that is likely misspelt, by name; an event may have any other member."""
    roots = sorted({path.partition(".")[0] for path in paths(tree)} - {*MEMBERS, "$"})
    found = []
    for name in roots[:_MOST]:
        near = get_close_matches(name, (*MEMBERS, "settings"), 1, 0.75) if len(name) < 30 else []
        if near:
            found.append(f"`{name}` is no member of an event: did you mean `{near[0]}`?")
    return found
