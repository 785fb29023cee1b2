"""The workspace's sources as the edge uses them: by write key, each with its counts."""

from __future__ import annotations

from router.metrics import ACCEPTED, DUPLICATES
from router.workspace.models import Source, Workspace

_CLIENT = {"auto": -1, "browser": 1, "mobile": 1, "server": 0}


class LiveSource:
    """A source and what it has counted since the metrics were last brought up to date."""

    __slots__ = ("accepted", "client", "duplicates", "enabled", "id", "name", "raw_id", "strict")

    def __init__(self, id_: str, source: Source) -> None:
        self.id, self.raw_id, self.name = id_, id_.encode(), source.name
        self.enabled, self.strict = source.enabled, source.strict
        self.client = _CLIENT[source.kind]
        """1: runs on the person's device, 0: does not, -1: its library tells."""
        self.accepted = self.duplicates = 0

    def measure(self) -> None:
        if self.accepted:
            ACCEPTED.labels(self.id).inc(self.accepted)
        if self.duplicates:
            DUPLICATES.labels(self.id).inc(self.duplicates)
        self.accepted = self.duplicates = 0


def index_sources(workspace: Workspace) -> dict[bytes, LiveSource]:
    """Sources by write key."""
    return {
        source.write_key.encode(): LiveSource(id_, source)
        for id_, source in workspace.sources.items()
    }
