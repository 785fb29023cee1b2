from typing import Final

from router._fast.envelope_scan import Body
from router._fast.envelope_scan import InvalidBody as InvalidBody
from router._fast.envelope_scan import mend_surrogates as mend_surrogates
from router._fast.seen import Seen

CODES: Final[frozenset[str]]

Rejection = tuple[int, str, str, str, bytes]

class Envelope(Body):
    def accept(
        self,
        source: bytes,
        received_ms: int,
        seen: Seen,
        kind: int = -1,
        ip: bytes = b"",
        client: int = -1,
        event_bytes: int = 32768,
        depth: int = 100,
        message_id_chars: int = 100,
    ) -> tuple[bytes | None, int, int, list[Rejection]]: ...
    def rejections(self, code: str, field: str, message: str) -> list[Rejection]: ...

def parse_time(text: bytes) -> int | None: ...
def format_time(ms: int) -> str: ...
