"""Sends what one request made beforehand cannot: steps, code, and requests that need a token."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from router._fast.expr import MissingField
from router.destinations.http import Answer, Http
from router.destinations.oauth import TokenRefused
from router.destinations.outcome import Outcome, Reply, Verdict
from router.destinations.request import Request, Row
from router.destinations.steps import CompiledStep

if TYPE_CHECKING:
    from router.destinations.compiled import Compiled

_ANSWER_CHARS = 2000


async def send(compiled: Compiled, rows: list[Row], http: Http, now_ms: int | None) -> Reply:
    """A verdict for each of the rows of one batch. What `http` raises goes through."""
    action = compiled.actions[rows[0].action]
    proved = _Proved(compiled, http, int(time.time() * 1000) if now_ms is None else now_ms)
    try:
        if action.code is not None:
            proved.rows = rows
            values = [orjson.loads(row.body) for row in rows]
            return Reply(await action.code(values, compiled.settings, proved))
        if not action.steps:
            reply, _ = await proved.send(rows, compiled.request(rows, proved.now_ms))
            return reply
        return await _walk(compiled, action.steps, rows, proved)
    except TokenRefused as error:
        outcome = Outcome.reauth if error.final else Outcome.retry
        return Reply([Verdict(outcome, compiled.redact(str(error)))] * len(rows))


class _Proved:
    """The HTTP client, with the destination's token where it needs one."""

    def __init__(self, compiled: Compiled, http: Http, now_ms: int) -> None:
        self.now_ms = now_ms
        self._compiled, self._http = compiled, http
        self.rows: list[Row] = []

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        """For code: the request as it is, with the destination's headers and proof."""
        request = Request(method, url, dict(headers), body)
        return await self.ask(self._compiled.finished(request, self.now_ms))

    def verdict(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        return self._compiled.judge(self.rows[:1], status, headers, body).verdicts[0]

    async def ask(self, request: Request) -> Answer:
        """The answer; where the token was refused, that to the request with a new one."""
        tokens = self._compiled.tokens
        if tokens is None:
            return await self._ask(request)
        token = await tokens.get(self._http)
        request.headers |= tokens.header(token)
        answer = await self._ask(request)
        if answer.status == 401:
            request.headers |= tokens.header(await tokens.renew(self._http, token))
            answer = await self._ask(request)
        return answer

    async def _ask(self, request: Request) -> Answer:
        return Answer(
            *await self._http.request(request.method, request.url, request.headers, request.body)
        )

    async def send(self, rows: list[Row], request: Request) -> tuple[Reply, bytes]:
        """Ask, and judge. The reply, and the answer's body."""
        answer = await self.ask(request)
        reply = self._compiled.judge(rows, answer.status, answer.headers, answer.body)
        reply.status = answer.status
        if any(verdict.outcome is not Outcome.delivered for verdict in reply.verdicts):
            text = answer.body[: 4 * _ANSWER_CHARS].decode(errors="replace")
            reply.answer = self._compiled.redact(text)[:_ANSWER_CHARS]
        return reply, answer.body


async def _walk(
    compiled: Compiled, steps: list[CompiledStep], rows: list[Row], proved: _Proved
) -> Reply:
    """The steps for each of the rows, which are one where there are steps."""
    verdicts: list[Verdict] = []
    last = Reply(verdicts)
    for row in rows:
        last = await _walk_row(compiled, steps, row, proved)
        verdicts += last.verdicts
    return Reply(verdicts, last.retry_after, last.status, last.answer)


async def _walk_row(
    compiled: Compiled, steps: list[CompiledStep], row: Row, proved: _Proved
) -> Reply:
    taken: dict[str, Any] = {}
    seen = {"row": orjson.loads(row.body), "steps": taken}
    reply = Reply([Verdict(Outcome.delivered)])
    query, more = compiled.proof(proved.now_ms)
    for step in steps:
        if not step.applies(seen, proved.now_ms):
            taken[step.step.name] = None
            continue
        try:
            request = step.request(seen, query, more, proved.now_ms)
        except MissingField as error:
            return Reply([Verdict(Outcome.dropped, f"{error.field} is required")])
        known, value = step.remembered(request)
        if not known:
            asked = compiled.finished(
                Request(request.method, request.url, dict(request.headers), request.body),
                proved.now_ms,
            )
            reply, body = await proved.send([row], asked)
            if step.is_missing(reply.status):
                value = None
            elif reply.verdicts[0].outcome is not Outcome.delivered:
                return reply
            else:
                value = step.taken(body)
            step.remember(request, value)
        if value is None and step.step.or_drop:
            return Reply([Verdict(Outcome.dropped, step.step.or_drop)])
        taken[step.step.name] = value
    return Reply([Verdict(Outcome.delivered)], reply.retry_after, reply.status)
