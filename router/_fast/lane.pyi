from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from router._fast.envelope import Envelope
from router._fast.frames import Queue, Waiter
from router._fast.seen import Seen

class Tally:
    name: bytes
    client: int
    enabled: bool
    accepted: int
    duplicates: int

class Slot(Waiter):
    line: Line
    data: bytes | None
    origin: bytes
    keep_alive: bool
    version: str
    def __init__(self, line: Line, origin: bytes, keep_alive: bool, version: str) -> None: ...
    def respond(self, response: Any) -> None: ...

class Line:
    lane: Lane
    transport: Any
    slots: deque[Slot]
    peer: bytes
    idle: bool
    last: bool
    since: float
    def __init__(self, lane: Lane, slots: deque[Slot]) -> None: ...
    def data_received(self, data: bytes) -> None: ...

class Lane:
    open: bool
    success: bytes
    now: float
    answered: int
    received: int
    retried: int
    def __init__(
        self,
        envelope: Envelope,
        seen: Seen,
        queue: Queue,
        intake: Any,
        usual_answer: Any,
        routes: dict[bytes, tuple[bool, int]],
        key_of_header: Callable[[bytes], bytes],
    ) -> None: ...
    def configure(self, sources: Mapping[bytes, Tally], limits: Any, proxied: bool) -> None: ...
