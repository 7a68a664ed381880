"""The queue of refreshes: those that arrive while a statement is under way share the next one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, overload
from uuid import UUID

from gateway.batches import LIMIT, Batches, unchanged
from gateway.db import Database

from .rotation import Outcome, Policy, Presentation
from .rotation_sql import rotate

Clock = Callable[[], float]
Made = TypeVar("Made")


class RefreshToken(Protocol):
    """A decoded refresh token."""

    @property
    def session_id(self) -> UUID: ...
    @property
    def counter(self) -> int: ...


class Rotations:
    """Presents refresh tokens to the database. What it answers is committed.

    A session is in a statement once. Of a second try after one whose outcome is unknown: if the first was carried out
    after all, presenting the same tokens again is answered by the grace.
    """

    def __init__(self, db: Database, policy: Policy, clock: Clock = time.time, *, batch: int = LIMIT) -> None:
        self._db = db
        self._policy = policy
        self._clock = clock
        self._batches: Batches[Presentation, Outcome] = Batches(
            "refresh", self._present, apart=lambda presented: presented.session_id, limit=batch
        )

    @overload
    async def rotate(self, presented: RefreshToken, client_id: str = "gateway") -> Outcome: ...
    @overload
    async def rotate(self, presented: RefreshToken, client_id: str, then: Callable[[Outcome], Made]) -> Made: ...
    async def rotate(
        self, presented: RefreshToken, client_id: str = "gateway", then: Callable[[Outcome], Any] = unchanged
    ) -> Any:
        """What came of it, or what `then` makes of that (`Batches.ask`). Unavailable when the database did not say;
        presenting it again is then safe."""
        return await self._batches.ask(Presentation(presented.session_id, presented.counter, client_id), then)

    async def close(self) -> None:
        """Wait until everything that has been asked is answered."""
        await self._batches.close()

    async def _present(self, presented: Sequence[Presentation]) -> list[Outcome]:
        now = int(self._clock())
        outcomes = await rotate(self._db, presented, now, self._policy)
        return [outcomes[one.session_id] for one in presented]
