"""Natural batching: those who ask while a statement is under way share the next one.

    ask() ─┐                       ┌─► one statement ─► commit ─► an answer each
    ask() ─┼─► waiting, in order ──┤                                    │
    ask() ─┘                       └─◄───── whoever asked meanwhile ◄───┘

There is no timer: who comes alone goes alone, at once. Sharing makes one statement and one commit serve many; it never
makes one see another's outcome.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from sqlalchemy import exc

from .db import is_outage
from .errors import Unavailable

LIMIT = 256  # of those who share a statement
TRY_AGAIN = frozenset({"40P01", "40001"})  # deadlock, serialisation: nothing was done

logger = logging.getLogger(__name__)

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
Made = TypeVar("Made")


def unchanged(answer: Answer) -> Answer:
    return answer


@dataclass(frozen=True, slots=True)
class Waiting(Generic[Asked, Answer]):
    """Somebody who has asked. `made` is what `then` makes of the answer."""

    asked: Asked
    made: asyncio.Future[Any]
    then: Callable[[Answer], Any]
    context: contextvars.Context  # whoever asked: the id of the request, for the log

    def give(self, answer: Answer) -> None:
        """Nothing happens for somebody who has gone away. What `then` raises is theirs alone."""
        if self.made.done():
            return
        try:
            self.made.set_result(self.context.run(self.then, answer))
        except Exception as error:
            self.made.set_exception(error)

    def fail(self, error: Exception) -> None:
        if not self.made.done():
            self.made.set_exception(error)


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
        self._waiting: deque[Waiting[Asked, Answer]] = deque()
        self._runner: asyncio.Task[None] | None = None

    @overload
    async def ask(self, one: Asked) -> Answer: ...
    @overload
    async def ask(self, one: Asked, then: Callable[[Answer], Made]) -> Made: ...
    async def ask(self, one: Asked, then: Callable[[Answer], Any] = unchanged) -> Any:
        """The answer, or what `then` makes of it. Unavailable when the database did not say.

        `then` is called for all who shared the statement, one after the other. That is for work which is quicker when
        it is not done between other things: a signature takes 30 µs where the one before has just been made, and 60
        where its tables have left the processor's cache meanwhile.
        """
        made = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(one, made, then, contextvars.copy_context()))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name=self._name)
        return await made

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

    def _take(self) -> list[Waiting[Asked, Answer]]:
        """The next batch: in order, without those who must be apart or have gone away meanwhile."""
        taken: list[Waiting[Asked, Answer]] = []
        later: list[Waiting[Asked, Answer]] = []
        present: set[Hashable] = set()
        while self._waiting and len(taken) < self._limit:
            waiting = self._waiting.popleft()
            if waiting.made.done():
                continue
            key = self._apart(waiting.asked) if self._apart else waiting.made
            (later if key in present else taken).append(waiting)
            present.add(key)
        self._waiting.extendleft(reversed(later))
        return taken

    async def _serve(self, batch: Sequence[Waiting[Asked, Answer]]) -> None:
        try:
            answers = await self._answer_twice([waiting.asked for waiting in batch])
        except Exception as error:
            if len(batch) > 1 and not is_outage(error):
                for waiting in batch:  # one of them is to blame, and its neighbours shall not notice
                    await self._serve([waiting])
                return
            fields = {"error": type(error).__name__, "of": len(batch)}
            logger.warning(f"{self._name}_failed", extra={"fields": fields})
            for waiting in batch:
                waiting.fail(Unavailable(f"{self._name}: {type(error).__name__}"))
            return
        for waiting, answer in zip(batch, answers, strict=True):
            waiting.give(answer)

    async def _answer_twice(self, asked: Sequence[Asked]) -> Sequence[Answer]:
        try:
            return await self._answer(asked)
        except exc.DBAPIError as error:
            if not (self._repeatable and passing(error)):
                raise
        return await self._answer(asked)


def passing(error: exc.DBAPIError) -> bool:
    """Worth a second try: a lost race, or a connection that had gone stale."""
    return error.connection_invalidated or lost_race(error)


def lost_race(error: BaseException) -> bool:
    """Whether PostgreSQL has taken a transaction back for another's sake: nothing was done."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) in TRY_AGAIN
