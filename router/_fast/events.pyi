from typing import Any

from router._fast.document import Document

class Event:
    offset: int
    source: str
    kind: int
    flags: int
    raw: bytes
    time_ms: int
    def __init__(
        self, offset: int, source: str, kind: int, flags: int, raw: bytes, time_ms: int = 0
    ) -> None: ...
    @property
    def doc(self) -> Document: ...
    @property
    def data(self) -> dict[str, Any]: ...
    @property
    def message_id(self) -> str: ...

def unpack_events(payload: bytes, offset: int, time_ms: int) -> list[Event]: ...
