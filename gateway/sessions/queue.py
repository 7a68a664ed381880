"""The queue of refreshes: those that arrive while a statement is under way share the next one.

    rotate() ─┐                       ┌─► one statement ─► commit ─► an answer each
    rotate() ─┼─► waiting, in order ──┤                                    │
    rotate() ─┘                       └─◄───── whoever arrived meanwhile ◄─┘

There is no timer: a refresh that comes alone goes alone, at once. Sharing makes one commit serve many; it never makes
one refresh see another's outcome.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from sqlalchemy import exc

from gateway.db import Database, is_outage
from gateway.errors import Unavailable

from .rotation import Outcome, Policy, Presentation
from .rotation_sql import rotate

Clock = Callable[[], float]

BATCH = 256  # sessions in one statement
TRY_AGAIN = frozenset({"40P01", "40001"})  # deadlock, serialisation: nothing was done

logger = logging.getLogger(__name__)


class RefreshToken(Protocol):
    """A decoded refresh token."""

    @property
    def session_id(self) -> UUID: ...
    @property
    def counter(self) -> int: ...


Waiting = tuple[Presentation, asyncio.Future[Outcome]]


class Rotations:
    """Presents refresh tokens to the database. What it answers is committed."""

    def __init__(self, db: Database, policy: Policy, clock: Clock = time.time, *, batch: int = BATCH) -> None:
        self._db = db
        self._policy = policy
        self._clock = clock
        self._batch = batch
        self._waiting: deque[Waiting] = deque()
        self._runner: asyncio.Task[None] | None = None

    async def rotate(self, presented: RefreshToken, client_id: str = "gateway") -> Outcome:
        """What came of it. Unavailable when the database did not say; presenting it again is then safe."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((Presentation(presented.session_id, presented.counter, client_id), answer))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="rotations")
        return await answer

    async def close(self) -> None:
        """Wait until everything that has been asked is answered."""
        while self._runner is not None:
            await asyncio.wait([self._runner])

    async def _run(self) -> None:
        try:
            while batch := self._take():
                await self._answer(batch)
        finally:
            self._runner = None

    def _take(self) -> list[Waiting]:
        """The next batch: in order, each session once; who has gone away meanwhile is left out."""
        taken: dict[UUID, Waiting] = {}
        later: list[Waiting] = []
        while self._waiting and len(taken) < self._batch:
            presentation, answer = self._waiting.popleft()
            if answer.done():
                continue
            if presentation.session_id in taken:
                later.append((presentation, answer))
            else:
                taken[presentation.session_id] = (presentation, answer)
        self._waiting.extendleft(reversed(later))
        return list(taken.values())

    async def _answer(self, batch: Sequence[Waiting]) -> None:
        try:
            outcomes = await self._present([presentation for presentation, _ in batch])
        except Exception as error:
            if len(batch) > 1 and not is_outage(error):
                for one in batch:  # one of them is to blame, and its neighbours shall not notice
                    await self._answer([one])
                return
            logger.warning("refresh_failed", extra={"fields": {"error": type(error).__name__, "of": len(batch)}})
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(Unavailable(f"refresh: {type(error).__name__}"))
            return
        for presentation, answer in batch:
            if not answer.done():
                answer.set_result(outcomes[presentation.session_id])

    async def _present(self, presented: Sequence[Presentation]) -> dict[UUID, Outcome]:
        try:
            return await self._execute(presented)
        except exc.DBAPIError as error:
            if not passing(error):
                raise
        # If the first one was carried out after all, presenting the same tokens again is answered by the grace.
        return await self._execute(presented)

    async def _execute(self, presented: Sequence[Presentation]) -> dict[UUID, Outcome]:
        now = int(self._clock())
        async with self._db.statement() as connection:
            return await rotate(connection, presented, now, self._policy)


def passing(error: exc.DBAPIError) -> bool:
    """Worth a second try: a lost race, or a connection that had gone stale."""
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in TRY_AGAIN
