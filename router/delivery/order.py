"""Keeps each user's rows in the log's order to one destination, through retries as well.

A user has rows in flight in one batch at most. What comes meanwhile waits in memory for a few rows,
then on disk; where an earlier row is in the retry store, all later ones wait on disk, so that the
cursor moves on. Nobody else's rows wait. Above a limit of waiting rows a user's further ones are
sent without order and counted: one hot user may hold up neither memory nor disk.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from hashlib import blake2b

from router.delivery.batch import Batch, Batcher
from router.destinations.request import Row
from router.event import Event
from router.metrics import UNORDERED
from router.store import Store

_log = logging.getLogger(__name__)
_IN_MEMORY = 32


def user_of(event: Event) -> bytes:
    """Whose event it is, as 8 bytes: `userId`, else `anonymousId`; empty without either."""
    doc = event.doc
    user = doc.get("userId") or doc.get("anonymousId")
    if not user:
        return b""
    return blake2b(str(user).encode("utf-8", "surrogatepass"), digest_size=8).digest()


class _Lane:
    """One user's rows: in batches, in memory behind those, in the retry store, held on disk."""

    __slots__ = ("batch", "flying", "held", "retrying", "waiting")

    def __init__(self) -> None:
        self.batch: Batch | None = None
        self.flying = 0
        self.retrying = 0
        self.held = 0
        self.waiting: deque[Row] = deque()


class Order:
    """The lanes of one ordered destination.

    `together`: rows of one user may share a request, since its answer speaks of all of them; where
    answers tell rows apart, only one at a time may fly. `keep` moves a row to the disk (held).
    """

    def __init__(
        self, destination: str, batcher: Batcher, store: Store, keep: Callable[[Row], None],
        *, together: bool, limit: int,
    ) -> None:  # fmt: skip
        self._destination, self._batcher, self._store = destination, batcher, store
        self._keep, self._together, self._limit = keep, together, limit
        self._lanes: dict[bytes, _Lane] = {}
        self.releasing: set[bytes] = set()
        """Users whose held rows may go on."""
        self.waiting = 0
        """Rows in memory behind others of their user."""
        self._unordered = UNORDERED.labels(destination)
        for user, (retrying, held) in store.users(destination).items():
            lane = self._lanes[user] = _Lane()
            lane.retrying, lane.held = retrying, held
            if not retrying:
                self.releasing.add(user)

    def offer(self, row: Row, now: float) -> None:
        """A new row: to a batch, or behind what its user still has on the way."""
        lane = self._lanes.get(row.user)
        if lane is None:
            lane = self._lanes[row.user] = _Lane()
            self._fly(lane, row, now)
        elif not (lane.waiting or lane.held or lane.retrying) and self._joins(lane, row):
            self._fly(lane, row, now)
        elif not lane.held and not lane.retrying and len(lane.waiting) < _IN_MEMORY:
            lane.waiting.append(row)
            self.waiting += 1
        elif lane.held < self._limit:
            self._hold(lane, row)
        else:
            self._unordered.inc()
            row.user = b""
            self._batcher.add(row, now)

    def again(self, row: Row, now: float) -> None:
        """A row whose retry is due."""
        lane = self._lanes.get(row.user)
        if lane is None:
            lane = self._lanes[row.user] = _Lane()
        else:
            lane.retrying = max(lane.retrying - 1, 0)
        self._fly(lane, row, now)

    def held_elsewhere(self, user: bytes) -> None:
        """A row of `user` was put on disk to wait for its turn."""
        lane = self._lanes.get(user)
        if lane is None:
            lane = self._lanes[user] = _Lane()
        lane.held += 1
        if not lane.flying and not lane.retrying and not lane.waiting:
            self.releasing.add(user)

    def _joins(self, lane: _Lane, row: Row) -> bool:
        """May the row share the request that its user's last one is in?"""
        batch = lane.batch
        return self._together and batch is not None and self._batcher.fits(batch, row)

    def _fly(self, lane: _Lane, row: Row, now: float) -> None:
        lane.batch = self._batcher.add(row, now)
        lane.flying += 1

    def _hold(self, lane: _Lane, row: Row) -> None:
        lane.held += 1
        self._keep(row)

    def failed(self, row: Row) -> bool:
        """A row that flew has to be tried later. True: an earlier one of its user has to as well,
        so it goes behind that one instead of to the retries."""
        lane = self._lanes[row.user]
        lane.flying -= 1
        behind = lane.retrying > 0
        if behind:
            lane.held += 1
        else:
            lane.retrying += 1
            while lane.waiting:
                self.waiting -= 1
                self._hold(lane, lane.waiting.popleft())
        return behind

    def done(self, row: Row, now: float) -> None:
        """A row that flew is delivered or dead: its user's next goes on."""
        lane = self._lanes[row.user]
        lane.flying -= 1
        if lane.flying or lane.retrying:
            return
        self._next(row.user, lane, now)

    def gave_up(self, user: bytes, now: float) -> None:
        """A retry of `user` is settled without flying again."""
        lane = self._lanes[user]
        lane.retrying -= 1
        if not lane.flying and lane.retrying <= 0:
            self._next(user, lane, now)

    def _next(self, user: bytes, lane: _Lane, now: float) -> None:
        self._start(lane, now)
        if lane.flying:
            return
        if lane.held:
            self.releasing.add(user)
        else:
            del self._lanes[user]

    def _start(self, lane: _Lane, now: float) -> None:
        """Let the first of the rows in memory fly, and those that may share its request."""
        lane.batch = None
        while lane.waiting and (lane.batch is None or self._joins(lane, lane.waiting[0])):
            self.waiting -= 1
            self._fly(lane, lane.waiting.popleft(), now)

    def release(self, user: bytes, rows: list[Row], gone: int, now: float) -> None:
        """`rows` of `user` come back from the disk, `gone` others were dropped from it."""
        lane = self._lanes[user]
        lane.held -= len(rows) + gone
        lane.waiting.extend(rows)
        self.waiting += len(rows)
        self._start(lane, now)
        if rows or lane.held <= 0:
            self.releasing.discard(user)
        if not rows and lane.held <= 0:
            del self._lanes[user]

    @property
    def release_rows(self) -> int:
        """How many held rows of one user may fly at once."""
        return _IN_MEMORY if self._together else 1

    def divide(self, rows: list[Row]) -> list[list[Row]]:
        """A batch to be split: its halves, without the rows of the second whose user has rows in
        the first; those go behind them."""
        middle = (len(rows) + 1) // 2
        first = rows[:middle]
        ahead = {row.user for row in first if row.user}
        second = []
        deferred: dict[bytes, list[Row]] = {}
        for row in rows[middle:]:
            if row.user and row.user in ahead:
                deferred.setdefault(row.user, []).append(row)
            else:
                second.append(row)
        for user, behind in deferred.items():
            lane = self._lanes[user]
            lane.flying -= len(behind)
            lane.waiting.extendleft(reversed(behind))
            self.waiting += len(behind)
        return [half for half in (first, second) if half]
