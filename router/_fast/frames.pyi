from collections.abc import Callable
from typing import Final

from router._fast.events import Event
from router.errors import Unavailable

_Bytes = bytes

MAGIC: Final[int]
HEAD_BYTES: Final[int]

class Waiter: ...

Done = Callable[[int, Unavailable | None], None] | Waiter

class Record:
    offset: int
    count: int
    time_ms: int
    payload: bytes
    events: list[Event] | None
    def __init__(
        self, offset: int, count: int, time_ms: int, payload: bytes, done: Done | None = None
    ) -> None: ...

class Queue:
    waiting: list[Record]
    room: int
    bytes: int
    def __init__(self, first: Callable[[], None]) -> None: ...
    def put(self, block: _Bytes, count: int, time_ms: int, done: Done | None) -> bool: ...
    def take(self) -> list[Record]: ...

def frame_group(records: list[Record], offset: int) -> tuple[list[bytes], int]: ...
def tell(records: list[Record], error: Unavailable | None) -> None: ...
def read_frames(
    data: _Bytes, at: int, expected: int, limit: int, max_bytes: int
) -> tuple[list[Record], int, int]: ...
