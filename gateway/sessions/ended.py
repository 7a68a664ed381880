"""Which sessions have ended within the life of an access token, known without asking the database.

A task reads the newest ends twice a second. When that has not worked for two seconds, nobody can tell any more
whether a session has ended, and `trustworthy` says so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from uuid import UUID

from sqlalchemy import select

from gateway.db import Database
from gateway.schema import sessions

Clock = Callable[[], float]

INTERVAL = 0.5  # seconds between two readings
PATIENCE = 2.0  # seconds without one after which nothing is certain
TIME_LIMIT = 5.0  # seconds for one reading
OVERLAP = 30  # seconds read again each time: clocks that differ, ends that were committed late
MARGIN = 60  # seconds that an end is remembered beyond the last token's life
CAPACITY = 500_000  # ends remembered; more are not to be believed, and then nothing is certain

logger = logging.getLogger(__name__)


class EndedSessions:
    """The ends, in two generations: the older is dropped as a whole when all of its tokens are dead."""

    def __init__(
        self,
        db: Database,
        clock: Clock = time.time,
        *,
        token_life: int = 300,
        steady: Clock = time.monotonic,
        interval: float = INTERVAL,
    ) -> None:
        """`token_life`: seconds that an access token lives."""
        self._db = db
        self._clock = clock
        self._steady = steady
        self._interval = interval
        self._life = token_life + MARGIN
        self._young: set[UUID] = set()
        self._old: set[UUID] = set()
        self._turned_at = clock()
        self._read_until = clock() - self._life  # epoch seconds
        self._known_at: float | None = None  # steady time
        self._failing = False
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()

    def has(self, session_id: UUID | str) -> bool:
        """Whether this session has ended, as far as anybody has told us."""
        key = UUID(session_id) if isinstance(session_id, str) else session_id
        return key in self._young or key in self._old

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def trustworthy(self) -> bool:
        """Whether an end of two seconds ago would be known. If not, whoever would let somebody pass must not."""
        if self._known_at is None or len(self) > CAPACITY:
            return False
        return self._steady() - self._known_at <= PATIENCE

    def add(self, session_ids: Iterable[UUID]) -> None:
        """Know of ends at once that this process itself has committed."""
        self._young.update(session_ids)

    async def start(self) -> None:
        """Read once, then go on reading. Does not fail: what it cannot read makes it not trustworthy."""
        await self.refresh()
        self._ending.clear()
        self._task = asyncio.create_task(self._run(), name="ended-sessions")

    async def stop(self) -> None:
        """Let a reading under way finish, which takes TIME_LIMIT at most: cut short, it leaves a connection behind."""
        if self._task is not None:
            self._ending.set()
            await self._task
            self._task = None

    async def refresh(self) -> None:
        """Read the ends since the last time. What goes wrong is logged once and tried again."""
        began, now = self._steady(), self._clock()
        self._turn(now)
        since = int(max(min(now, self._read_until), now - self._life)) - OVERLAP
        try:
            async with asyncio.timeout(TIME_LIMIT), self._db.read() as connection:
                query = select(sessions.c.id).where(sessions.c.ended_at >= since).limit(CAPACITY + 1)
                self._young.update((await connection.scalars(query)).all())
        except Exception as error:
            if not self._failing:
                logger.warning("ended_sessions_unreadable", extra={"fields": {"error": type(error).__name__}})
            self._failing = True
        else:
            self._failing = False
            self._read_until, self._known_at = now, began

    def _turn(self, now: float) -> None:
        if now - self._turned_at >= self._life:
            self._old, self._young, self._turned_at = self._young, set(), now

    async def _run(self) -> None:
        while not self._ending.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), self._interval)
            await self.refresh()
