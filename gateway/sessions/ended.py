"""Which sessions have ended within the life of an access token, known without asking the database.

A thread reads the newest ends twice a second. When that has not worked for two seconds, nobody can tell any more
whether a session has ended, and `trustworthy` says so. It is a thread because a reading takes several turns of an event
loop, which a busy loop stretches to seconds; a thread has its turn every few milliseconds.

An end carries the clock of the process that wrote it. Each reading therefore looks back over a whole token life, but
only counts there, second by second; ids are read from the first second on whose count has changed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, select

from gateway.db import Database
from gateway.schema import sessions

Clock = Callable[[], float]

INTERVAL = 0.5  # seconds between two readings
PATIENCE = 2.0  # seconds without one after which nothing is certain
TIME_LIMIT = 5.0  # seconds for one statement
MARGIN = 60  # seconds on top of a token's life, for ends that were committed late
CAPACITY = 500_000  # ends remembered; more are not to be believed, and then nothing is certain

LATELY = sessions.c.ended_at >= bindparam("since")
COUNTS = select(sessions.c.ended_at, func.count()).where(LATELY).group_by(sessions.c.ended_at)
IDS = select(sessions.c.id).where(LATELY).limit(CAPACITY + 1)

logger = logging.getLogger(__name__)


class EndedSessions:
    """The ends, in two generations: the older is dropped as a whole when all of its tokens are dead.

    Clocks of two processes may differ by as much as a token lives: an end is looked for that far back, and remembered
    for two lives, since a token of a fast clock lives that much longer here.

    The reading thread and the event loop share the two sets without a lock. Both add, nobody removes, and who wants
    all of them copies, which is one step for the interpreter; a set does not lose additions of two threads. The
    generations turn by one assignment, and what is added to the younger set meanwhile is dropped a generation later,
    which is soon enough.
    """

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
        self._engine = db.reader(TIME_LIMIT)
        self._clock = clock
        self._steady = steady
        self._interval = interval
        self._overlap = token_life + MARGIN
        self._memory = 2 * token_life + MARGIN
        self._ends: tuple[set[UUID], set[UUID]] = (set(), set())  # the younger, the older
        self._counts: Mapping[int, int] = {}  # ends in each second, as of the last reading
        self._turned_at = clock()
        self._read_until = clock() - self._memory  # epoch seconds
        self._known_at: float | None = None  # steady time
        self._failing = False
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()

    def has(self, session_id: UUID | str) -> bool:
        """Whether this session has ended, as far as anybody has told us."""
        key = UUID(session_id) if isinstance(session_id, str) else session_id
        young, old = self._ends
        return key in young or key in old

    def __len__(self) -> int:
        young, old = self._ends
        return len(young) + len(old)

    def version(self) -> tuple[float, int, int]:
        """Another one whenever `all` would give another answer."""
        young, old = self._ends
        return self._turned_at, len(young), len(old)

    def all(self) -> set[UUID]:
        """A copy of what is remembered."""
        young, old = self._ends
        return young.copy() | old.copy()

    def trustworthy(self) -> bool:
        """Whether an end of two seconds ago would be known. If not, whoever would let somebody pass must not."""
        if self._known_at is None or len(self) > CAPACITY:
            return False
        return self._steady() - self._known_at <= PATIENCE

    def add(self, session_ids: Iterable[UUID]) -> None:
        """Know of ends at once that this process itself has committed."""
        self._ends[0].update(session_ids)

    async def start(self) -> None:
        """Read once, then go on reading. Does not fail: what it cannot read makes it not trustworthy."""
        first, self._ending = threading.Event(), threading.Event()
        stops = (self._ending, asyncio.get_running_loop())
        self._thread = threading.Thread(target=self._run, args=(first, *stops), name="ended-sessions", daemon=True)
        self._thread.start()
        await asyncio.to_thread(first.wait, TIME_LIMIT)

    async def stop(self) -> None:
        """End the thread and its connection. A reading under way may finish; one that hangs is left to itself."""
        if self._thread is not None:
            self._ending.set()
            await asyncio.to_thread(self._thread.join, TIME_LIMIT)
            self._thread = None

    def _run(self, first: threading.Event, ending: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while True:
                self._read()
                first.set()
                if ending.wait(self._interval) or loop.is_closed():  # an application that is mounted may never stop
                    return
        finally:
            self._engine.dispose()

    def _read(self) -> None:
        """Learn of the ends since the last time. What goes wrong is logged once and tried again."""
        began, now = self._steady(), self._clock()
        self._turn(now)
        since = int(max(min(now, self._read_until) - self._overlap, now - self._memory))
        try:
            with self._engine.connect() as connection:
                self._counts = self._learn(connection, since)
        except Exception as error:
            if not self._failing:
                logger.warning("ended_sessions_unreadable", extra={"fields": {"error": type(error).__name__}})
            self._failing = True
        else:
            self._failing = False
            self._read_until, self._known_at = now, began

    def _learn(self, connection: Connection, since: int) -> Mapping[int, int]:
        """Remember the ends since this second; how many there are in each. A session ends once, and its row stays for
        a day: a second whose count is the same holds nothing new."""
        counts: dict[int, int] = dict(connection.execute(COUNTS, {"since": since}).all())
        changed = [at for at, count in counts.items() if self._counts.get(at) != count]
        if changed:
            self._ends[0].update(connection.scalars(IDS, {"since": min(changed)}).all())
        return counts

    def _turn(self, now: float) -> None:
        if now - self._turned_at >= self._memory:
            self._ends, self._turned_at = (set(), self._ends[0]), now
