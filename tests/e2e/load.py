"""Senders for long runs: events at a steady pace, and which of them were acknowledged."""

from __future__ import annotations

import http.client
import json
import threading
import time

from tests.e2e.harness import KEY

_BATCH = 20


class PacedSender(threading.Thread):
    """Sends `pace` events a second in batches of 20 until `stop`."""

    def __init__(self, port: int, pace: int) -> None:
        super().__init__(daemon=True)
        self._port, self._pace = port, pace
        self._stopping = False
        self.acknowledged: set[str] = set()

    def run(self) -> None:
        number, begun = 0, time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while not self._stopping:
            ids = [f"s-{number + i}" for i in range(_BATCH)]
            batch = [{"type": "track", "event": "E", "userId": f"u{number % 97}",
                      "messageId": id_, "properties": {"n": number}} for id_ in ids]  # fmt: skip
            number += _BATCH
            try:
                connection.request(
                    "POST", "/v1/batch", json.dumps({"batch": batch, "writeKey": KEY})
                )
                if connection.getresponse().read() == b'{"success":true}':
                    self.acknowledged.update(ids)
            except (OSError, http.client.HTTPException):
                connection.close()
            time.sleep(max(0.0, begun + number / self._pace - time.monotonic()))

    def stop(self) -> None:
        self._stopping = True
        self.join(15)
