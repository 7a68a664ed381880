"""Natural batching: those who ask while a statement is under way share the next one.

    ask() ─┐                       ┌─► one statement ─► commit ─► an answer each
    ask() ─┼─► waiting, in order ──┤                                    │
    ask() ─┘                       └─◄───── whoever asked meanwhile ◄───┘

There is no timer: who comes alone goes alone, at once. Sharing makes one statement and one commit serve many; it never
makes one see another's outcome.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from sqlalchemy import exc

from .db import is_outage
from .errors import Unavailable

LIMIT = 256  # of those who share a statement
TRY_AGAIN = frozenset({"40P01", "40001"})  # deadlock, serialisation: nothing was done

logger = logging.getLogger(__name__)

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Batches(Generic[Asked, Answer]):
    """Asks for many at once. `answer` has an answer for each, in their order."""

    def __init__(
        self,
        name: str,
        answer: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer]]],
        *,
        apart: Callable[[Asked], Hashable] | None = None,
        limit: int = LIMIT,
        repeatable: bool = True,
    ) -> None:
        """`name` is what the log calls it. Those for whom `apart` is the same never share a statement. What is
        `repeatable` may be asked a second time when nobody knows whether the first was carried out."""
        self._name = name
        self._answer = answer
        self._apart = apart
        self._limit = limit
        self._repeatable = repeatable
        self._waiting: deque[tuple[Asked, asyncio.Future[Answer]]] = deque()
        self._runner: asyncio.Task[None] | None = None

    async def ask(self, one: Asked) -> Answer:
        """Unavailable when the database did not say."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((one, answer))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name=self._name)
        return await answer

    async def close(self) -> None:
        """Wait until everybody who has asked is answered."""
        while self._runner is not None:
            await asyncio.wait([self._runner])

    async def _run(self) -> None:
        try:
            while batch := self._take():
                await self._serve(batch)
        finally:
            self._runner = None

    def _take(self) -> list[tuple[Asked, asyncio.Future[Answer]]]:
        """The next batch: in order, without those who must be apart or have gone away meanwhile."""
        taken: list[tuple[Asked, asyncio.Future[Answer]]] = []
        later: list[tuple[Asked, asyncio.Future[Answer]]] = []
        present: set[Hashable] = set()
        while self._waiting and len(taken) < self._limit:
            waiting = self._waiting.popleft()
            if waiting[1].done():
                continue
            key = self._apart(waiting[0]) if self._apart else waiting[1]
            (later if key in present else taken).append(waiting)
            present.add(key)
        self._waiting.extendleft(reversed(later))
        return taken

    async def _serve(self, batch: Sequence[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._answer_twice([one for one, _ in batch])
        except Exception as error:
            if len(batch) > 1 and not is_outage(error):
                for waiting in batch:  # one of them is to blame, and its neighbours shall not notice
                    await self._serve([waiting])
                return
            fields = {"error": type(error).__name__, "of": len(batch)}
            logger.warning(f"{self._name}_failed", extra={"fields": fields})
            for _, future in batch:
                if not future.done():
                    future.set_exception(Unavailable(f"{self._name}: {type(error).__name__}"))
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def _answer_twice(self, asked: Sequence[Asked]) -> Sequence[Answer]:
        try:
            return await self._answer(asked)
        except exc.DBAPIError as error:
            if not (self._repeatable and passing(error)):
                raise
        return await self._answer(asked)


def passing(error: exc.DBAPIError) -> bool:
    """Worth a second try: a lost race, or a connection that had gone stale."""
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in TRY_AGAIN
