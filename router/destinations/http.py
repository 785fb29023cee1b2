"""What several requests in a row are made with: the HTTP client that delivery gives, and a recorder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from router.destinations.outcome import Verdict
from router.destinations.request import Request


class Answer(NamedTuple):
    """What a vendor answered. `headers` are found by name in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http(Protocol):
    """An HTTP client. Raises where no answer comes, which delivery takes for a failure to retry."""

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]: ...


class Client(Http, Protocol):
    """What a file's `code` gets: requests have the file's headers and proof, and an expired token is
    renewed."""

    def verdict(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        """What an answer means, by the file's rules."""
        ...


class Recorder:
    """An `Http` that sends nothing: it keeps the requests and gives the answers it was told, then
    200 and `{}`."""

    def __init__(self, answers: list[Answer] | None = None) -> None:
        self.requests: list[Request] = []
        self._answers = list(answers or [])

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        self.requests.append(Request(method, url, dict(headers), body))
        return self._answers.pop(0) if self._answers else Answer(200, {}, b"{}")
