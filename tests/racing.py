"""Races: two who do something at once, in processes of their own, and the many ways in which their steps can meet."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from admitted import DAY, NOW, ORIGIN, Linking, asked, broken, desk_of, identity, outcome, rows, sign_in
from listening import listen, waiter
from sqlalchemy import text

from gateway import schema
from gateway.db import Database
from gateway.flows import operate, own
from gateway.flows.admit import Admission, Desk, Newcomer
from gateway.flows.join import join, stay_apart
from gateway.flows.link import link, unlink
from gateway.flows.merge import merge, unmerge
from gateway.housekeeping import prune
from gateway.identity import Identity
from gateway.sessions import Session
from gateway.sessions.queue import Rotations
from gateway.sessions.rotation import Policy
from gateway.tokens.refresh import Presented

COMMIT = 1_000  # beyond any statement
WAITING = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""

Work = Callable[[Desk], Awaitable[Any]]


@dataclass(frozen=True)
class Race:
    """Two works, whether what comes of the two (in this order) is right, and what is true afterwards."""

    one: Work
    other: Work
    right: Callable[[Any, Any], Any]
    then: Callable[[], Awaitable[bool]] | None = None


class House:
    """One database, the processes that use it, and people who prove identities."""

    def __init__(self, url: str) -> None:
        self.databases = [Database(url), Database(url)]
        self.desk = desk_of(self.databases[0])
        self.people = 0
        self.deadlocks: list[object] = []
        for database in self.databases:
            listen(database, "handle_error", self.note)

    def note(self, context: Any) -> None:
        """Deadlocks, also those that somebody gets over."""
        if getattr(context.original_exception, "sqlstate", None) == "40P01":
            self.deadlocks.append(context.statement)

    async def close(self) -> None:
        for database in self.databases:
            await database.close()

    def somebody(self, **said: Any) -> Identity:
        """An identity that is new here, with an address that nobody else has."""
        self.people += 1
        return identity(f"subject-{self.people}", said.pop("email", f"somebody-{self.people}@example.com"), **said)

    async def signed_in(self) -> Session:
        return await sign_in(self.desk, self.somebody())

    async def two_ways_in(self) -> tuple[Session, Identity, Identity]:
        """An account with two identities; the session came through the first."""
        first, second = self.somebody(), self.somebody()
        session = await sign_in(self.desk, first)
        await link(self.desk, session.id, second, ORIGIN, NOW)
        return session, first, second

    async def offer(self) -> tuple[str, Session, Session, Identity]:
        """An offer to merge, the survivor's session, the absorbed one's, and the identity that proved that one."""
        theirs = self.somebody()
        mine, absorbed = await self.signed_in(), await sign_in(self.desk, theirs)
        return await self.ask_to_merge(mine, theirs), mine, absorbed, theirs

    async def merged(self) -> tuple[Session, Session, Identity]:
        """A survivor's session, the ended one of what it absorbed, and the identity that moved."""
        token, mine, absorbed, theirs = await self.offer()
        await merge(self.desk, token, mine.id, ORIGIN, NOW)
        return mine, absorbed, theirs

    async def ask_to_merge(self, session: Session, theirs: Identity) -> str:
        linked = await link(self.desk, session.id, theirs, ORIGIN, NOW)
        assert linked.question
        return linked.question

    async def question(self) -> tuple[str, Identity, Identity]:
        """A question: its token, the identity that is new, and the known one."""
        known = self.somebody()
        await sign_in(self.desk, known)
        new = self.somebody(email=known.email, provider="microsoft")
        return await asked(self.desk, new), new, known

    async def leaving(self) -> tuple[Session, Identity]:
        """Somebody whose account is due to be deleted; their session, which has ended."""
        who = self.somebody()
        session = await sign_in(self.desk, who)
        await own.ask_for_deletion(self.desk.database, session.account_id, ORIGIN, NOW - 8 * DAY)
        return session, who

    async def identity_id(self, who: Identity) -> uuid.UUID:
        every = await rows(self.desk.database, schema.identities)
        found: uuid.UUID = next(row.id for row in every if (row.issuer, row.subject) == (who.issuer, who.subject))
        return found

    async def account(self, session: Session) -> Any:
        """The row of a session's account."""
        return next(row for row in await rows(self.desk.database, schema.accounts) if row.id == session.account_id)

    @contextmanager
    def interruptible(self, at: int, meanwhile: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[Desk]:
        """A desk that lets something else come between once: before its statement `at`, or before it commits."""
        steps, wait = 0, waiter()

        def step(*_: Any, last: bool = False) -> None:
            nonlocal steps
            steps += 1
            if steps == at or (last and steps < at):
                steps = at
                wait(meanwhile())

        hooks: list[tuple[str, Callable[..., None]]] = [
            ("before_cursor_execute", step),
            ("commit", partial(step, last=True)),
        ]
        ends = [listen(self.databases[1], name, hook) for name, hook in hooks]
        yield desk_of(self.databases[1])
        for end in ends:
            end()


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    made = House(database_url)
    yield made
    await made.close()


async def hold_races(house: House, prepare: Callable[[House], Awaitable[Race]], steps: int = 0) -> None:
    """At once a few times; then each of the two comes between when the other is about to commit, and at some step or
    at each of the first `steps`."""
    sqlite = house.desk.database.dialect == "sqlite"  # where a transaction lets nobody come between
    for _ in range(1 if sqlite else 3):
        race = await prepare(house)
        await check(race, await at_once(house, race), "at once")
    somewhere = range(1, steps + 1) if steps else [random.randrange(1, 20)]  # noqa: S311  no secret
    for at in [COMMIT] if sqlite else [COMMIT, *somewhere]:
        for order in (1, -1):
            race = await prepare(house)
            first, second = (race.one, race.other)[::order]
            await check(race, (await interrupted(house, first, second, at))[::order], (order, at))
    assert await broken(house.desk.database) == []
    assert house.deadlocks == []


async def check(race: Race, outcomes: list[Any], how: object) -> None:
    assert race.right(*outcomes), (how, outcomes)
    assert race.then is None or await race.then(), (how, outcomes)


async def at_once(house: House, race: Race) -> list[Any]:
    async def begin(work: Work, database: Database) -> Any:
        await asyncio.sleep(random.random() / 500)  # noqa: S311  only so that each time is another
        return await outcome(work(desk_of(database)))

    pairs = zip((race.one, race.other), house.databases, strict=True)
    return await asyncio.gather(*(begin(work, database) for work, database in pairs))


async def interrupted(house: House, first: Work, second: Work, at: int) -> list[Any]:
    """The second begins before statement `at` of the first, or its commit, and gets as far as it can meanwhile."""
    begun: list[asyncio.Task[Any]] = []

    async def meanwhile() -> None:
        begun.append(asyncio.create_task(outcome(second(house.desk))))
        await blocked(house, begun[0])

    with house.interruptible(at, meanwhile) as desk:
        led = await outcome(first(desk))
    return [led, await begun[0] if begun else await outcome(second(house.desk))]


async def blocked(house: House, task: asyncio.Task[Any]) -> None:
    """Until the task has ended or waits for somebody's lock; on SQLite it waits from the start."""
    for _ in range(200):
        await asyncio.sleep(0.005)
        if task.done() or house.desk.database.dialect == "sqlite":
            return
        async with house.desk.database.read() as connection:
            if (await connection.execute(text(WAITING))).scalar():
                return


def signing_in(who: Identity, linking: Linking = "ask", **more: Any) -> Work:
    async def work(desk: Desk) -> Admission:
        return await desk_of(desk.database, linking).admit(Newcomer(who, **more), ORIGIN, NOW)

    return work


def linking(session: Session, who: Identity) -> Work:
    return lambda desk: link(desk, session.id, who, ORIGIN, NOW)


def unlinking(session: Session, identity_id: uuid.UUID) -> Work:
    async def work(desk: Desk) -> list[uuid.UUID]:
        return (await unlink(desk, session.account_id, identity_id, ORIGIN, NOW)).ended

    return work


def merging(session: Session, token: str) -> Work:
    return lambda desk: merge(desk, token, session.id, ORIGIN, NOW)


def unmerging(absorbed: Session) -> Work:
    return lambda desk: unmerge(desk.database, absorbed.account_id, NOW)


def joining(token: str, proven: Identity, replaces: Session | None = None) -> Work:
    return lambda desk: join(desk, token, Newcomer(proven, replaces=replaces.id if replaces else None), ORIGIN, NOW)


def separating(token: str) -> Work:
    return lambda desk: stay_apart(desk, token, None, ORIGIN, NOW)


def disabling(session: Session) -> Work:
    return lambda desk: operate.disable(desk.database, session.account_id, NOW)


def deleting(session: Session) -> Work:
    return lambda desk: operate.delete(desk.database, session.account_id, NOW)


def leaving(session: Session) -> Work:
    return lambda desk: own.ask_for_deletion(desk.database, session.account_id, ORIGIN, NOW)


def pruning() -> Work:
    return lambda desk: prune(desk.database, NOW)


def refreshing(*sessions: Session) -> Work:
    """All of them, in one statement."""

    async def work(desk: Desk) -> Any:
        rotations = Rotations(desk.database, Policy(), lambda: NOW)
        return await asyncio.gather(*(rotations.rotate(Presented(each.id, 0)) for each in sessions))

    return work


def kinds(*outcomes: Any) -> set[type]:
    return {type(each) for each in outcomes}
