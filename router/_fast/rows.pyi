from array import array

from router._fast.events import Event

class Row:
    event: Event
    action: int
    key: str
    body: bytes
    part: int
    """Which of the event's rows it is."""
    attempts: int
    first_ms: int
    """When it was first tried, in milliseconds since 1970; 0: not yet."""
    stored: bytes
    """Its key in the store, where it waited there; else the cursor waits for it."""
    user: bytes
    """Whose order it keeps; empty where the destination is not ordered."""
    def __init__(
        self,
        event: Event,
        action: int,
        key: str,
        body: bytes,
        part: int = 0,
        attempts: int = 0,
        first_ms: int = 0,
        stored: bytes = b"",
        user: bytes = b"",
    ) -> None: ...

def plain_rows(
    events: list[Event], action: int, bodies: list[bytes | None] | None = None
) -> list[Row] | None: ...
def fitting(rows: list[Row], start: int, most: int, room: int) -> tuple[int, int]: ...
def settle_plain(
    rows: list[Row], left: bytearray, base: int
) -> tuple[array[int], dict[int, int]] | None: ...
def first_unsettled(left: bytearray, index: int) -> int: ...
def joined(
    bodies: list[bytes] | list[Row], before: bytes, between: bytes, after: bytes
) -> bytes: ...
