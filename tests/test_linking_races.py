"""Races between people, their other browsers and operators: a clear winner, clear errors for the others, nothing torn.

Each pair runs at once many times, in processes of their own; and each of the two once when the other is about to commit.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
from admitted import DAY, NOW, ORIGIN, Linking, asked, broken, desk_of, identity, outcome, rows, sign_in
from sqlalchemy import event, text
from sqlalchemy.util import await_only

from gateway import schema
from gateway.accounts.merges import Merge
from gateway.db import Database
from gateway.errors import (
    AccountDisabled,
    AttemptExpired,
    AttemptMismatch,
    CannotUndo,
    GatewayError,
    IdentityTaken,
    JoinMismatch,
    LastIdentity,
    NotFound,
)
from gateway.flows import operate, own
from gateway.flows.admit import Admission, Desk, Newcomer
from gateway.flows.join import join, stay_apart
from gateway.flows.link import Linked, link, unlink
from gateway.flows.merge import merge, unmerge
from gateway.flows.sign_out import SignOut
from gateway.housekeeping import prune
from gateway.identity import Identity
from gateway.sessions import Session
from gateway.sessions.ended import EndedSessions
from gateway.sessions.queue import Rotations
from gateway.sessions.rotation import Policy, Renewed
from gateway.tokens.refresh import Presented

ROUNDS = 5
COMMIT = 1_000  # beyond any statement
WAITING = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""

Work = Callable[[Desk], Awaitable[Any]]


@dataclass(frozen=True)
class Race:
    """Two who do something at once, and whether what comes of the two (in this order) is right."""

    one: Work
    other: Work
    right: Callable[[Any, Any], Any]


class House:
    """One database, and the processes that use it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.databases = [Database(url), Database(url)]
        self.desk = desk_of(self.databases[0])
        self.people = 0
        self.deadlocks: list[object] = []
        for database in self.databases:
            event.listen(database.engine.sync_engine, "handle_error", self.note)

    def note(self, context: Any) -> None:
        """Deadlocks, also those that somebody gets over."""
        if getattr(context.original_exception, "sqlstate", None) == "40P01":
            self.deadlocks.append(context.statement)

    @contextmanager
    def interruptible(self, at: int, meanwhile: Callable[[], Awaitable[None]]) -> Iterator[Desk]:
        """A desk that does something else once before its statement `at`, counted from 1, or before it commits."""
        engine, steps = self.databases[1].engine.sync_engine, 0

        def step(*_: Any, last: bool = False) -> None:
            nonlocal steps
            steps += 1
            if last and steps < at: self.over = True
            if steps == at or last and steps < at:
                steps = at
                await_only(meanwhile())

        hooks = [("before_cursor_execute", step), ("commit", partial(step, last=True))]
        for name, hook in hooks:
            event.listen(engine, name, hook)
        yield desk_of(self.databases[1])
        for name, hook in hooks:
            event.remove(engine, name, hook)

    async def close(self) -> None:
        for database in self.databases:
            await database.close()

    def somebody(self, **said: Any) -> Identity:
        """An identity that is new here, with an address that nobody else has."""
        self.people += 1
        return identity(f"subject-{self.people}", said.pop("email", f"somebody-{self.people}@example.com"), **said)

    async def two_ways_in(self) -> tuple[Session, Identity, Identity]:
        """An account with two identities; the session came through the first."""
        first, second = self.somebody(), self.somebody()
        session = await sign_in(self.desk, first)
        await link(self.desk, session.id, second, ORIGIN, NOW)
        return session, first, second

    async def offer(self) -> tuple[str, Session, Session, Identity]:
        """An offer to merge, the survivor's session, the absorbed one's, and the identity that proved that one."""
        theirs, self.last_survivor = self.somebody(), self.somebody()
        mine, absorbed = await sign_in(self.desk, self.last_survivor), await sign_in(self.desk, theirs)
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

    async def identity_id(self, who: Identity) -> uuid.UUID:
        every = await rows(self.databases[0], schema.identities)
        found: uuid.UUID = next(row.id for row in every if (row.issuer, row.subject) == (who.issuer, who.subject))
        return found


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    made = House(database_url)
    yield made
    await made.close()


def signing_in(who: Identity, linking: Linking = "ask", **more: Any) -> Work:
    async def work(desk: Desk) -> Admission:
        policy = replace(desk.terms.policy, linking=linking)
        desk = replace(desk, terms=replace(desk.terms, policy=policy))
        return await desk.admit(Newcomer(who, **more), ORIGIN, NOW)

    return work


def linking(session: Session, who: Identity) -> Work:
    return lambda desk: link(desk, session.id, who, ORIGIN, NOW)


def unlinking(session: Session, identity_id: uuid.UUID) -> Work:
    return lambda desk: unlink(desk, session.account_id, identity_id, ORIGIN, NOW)


def merging(session: Session, token: str) -> Work:
    return lambda desk: merge(desk, token, session.id, ORIGIN, NOW)


def unmerging(absorbed: Session) -> Work:
    return lambda desk: unmerge(desk.database, absorbed.account_id, NOW)


def joining(token: str, proven: Identity) -> Work:
    return lambda desk: join(desk, token, Newcomer(proven), ORIGIN, NOW)


def separating(token: str) -> Work:
    return lambda desk: stay_apart(desk, token, None, ORIGIN, NOW)


def disabling(session: Session) -> Work:
    return lambda desk: operate.disable(desk.database, session.account_id, NOW)


def deleting(session: Session) -> Work:
    return lambda desk: operate.delete(desk.database, session.account_id, NOW)


def asking_for_deletion(session: Session) -> Work:
    return lambda desk: own.ask_for_deletion(desk.database, session.account_id, ORIGIN, NOW)


def refreshing(*sessions: Session) -> Work:
    async def work(desk: Desk) -> Any:
        rotations = Rotations(desk.database, Policy(), lambda: NOW)
        return await asyncio.gather(*(rotations.rotate(Presented(each.id, 0)) for each in sessions))

    return work


def pruning(now: int) -> Work:
    return lambda desk: prune(desk.database, now)


def kinds(*outcomes: Any) -> set[type]:
    return {type(each) for each in outcomes}


async def two_links_of_one_identity(house: House) -> Race:
    one, other = await sign_in(house.desk, house.somebody()), await sign_in(house.desk, house.somebody())
    wanted = house.somebody()
    return Race(
        linking(one, wanted),
        linking(other, wanted),
        lambda left, right: [left.question, right.question].count(None) == 1,  # the other is offered to merge
    )


async def a_link_and_a_first_sign_in(house: House) -> Race:
    session, wanted = await sign_in(house.desk, house.somebody()), house.somebody()
    return Race(linking(session, wanted), signing_in(wanted, replaces=session.id), lambda left, right: right.session)


async def links_of_each_others_identities(house: House) -> Race:
    ours, theirs = house.somebody(), house.somebody()
    one, other = await sign_in(house.desk, ours), await sign_in(house.desk, theirs)
    return Race(linking(one, theirs), linking(other, ours), lambda left, right: left.question and right.question)


async def two_first_sign_ins(house: House) -> Race:
    who = house.somebody()
    return Race(
        signing_in(who),
        signing_in(who),
        lambda left, right: left.session.account_id == right.session.account_id,
    )


async def unlinks_of_the_last_two(house: House) -> Race:
    session, first, second = await house.two_ways_in()
    return Race(
        unlinking(session, await house.identity_id(first)),
        unlinking(session, await house.identity_id(second)),
        lambda left, right: kinds(left, right) == {list, LastIdentity},
    )


async def an_unlink_and_a_sign_in(house: House) -> Race:
    session, _, second = await house.two_ways_in()
    return Race(
        unlinking(session, await house.identity_id(second)),
        signing_in(second, "never"),
        lambda left, right: isinstance(left, list) and right.session,
    )


async def an_unlink_and_refreshes(house: House) -> Race:
    session, _, second = await house.two_ways_in()
    others = [await sign_in(house.desk, second) for _ in range(4)]
    return Race(
        unlinking(session, await house.identity_id(second)),
        refreshing(session, *others),
        lambda left, right: isinstance(left, list) and isinstance(right[0], Renewed),
    )


async def a_merge_and_refreshes(house: House) -> Race:
    token, mine, absorbed, theirs = await house.offer()
    others = [await sign_in(house.desk, theirs) for _ in range(3)]
    return Race(
        merging(mine, token),
        refreshing(mine, absorbed, *others),
        lambda left, right: len(left) == 4 and isinstance(right[0], Renewed),
    )


async def a_merge_and_a_sign_in_to_what_it_absorbs(house: House) -> Race:
    token, mine, _, theirs = await house.offer()
    return Race(merging(mine, token), signing_in(theirs), lambda left, right: right.session)


async def a_merge_and_a_link_to_what_it_absorbs(house: House) -> Race:
    token, mine, absorbed, _ = await house.offer()
    return Race(
        merging(mine, token),
        linking(absorbed, house.somebody()),
        lambda left, right: isinstance(left, list) and isinstance(right, Linked | AttemptMismatch | NotFound),
    )


async def a_merge_and_an_unlink_of_its_proof(house: House) -> Race:
    token, mine, absorbed, theirs = await house.offer()
    await link(house.desk, absorbed.id, house.somebody(), ORIGIN, NOW)
    return Race(
        merging(mine, token),
        unlinking(absorbed, await house.identity_id(theirs)),
        lambda left, right: kinds(left, right) in ({list, NotFound}, {list, AttemptMismatch}),
    )


async def crosswise_merges(house: House) -> Race:
    ours, theirs = house.somebody(), house.somebody()
    one, other = await sign_in(house.desk, ours), await sign_in(house.desk, theirs)
    return Race(
        merging(one, await house.ask_to_merge(one, theirs)),
        merging(other, await house.ask_to_merge(other, ours)),
        lambda left, right: kinds(left, right) in ({list, NotFound}, {list, AttemptMismatch}),
    )


async def a_merge_and_a_wish_to_be_deleted(house: House) -> Race:
    token, mine, _, _ = await house.offer()
    return Race(
        merging(mine, token),
        asking_for_deletion(mine),
        lambda left, right: isinstance(left, list | AttemptMismatch) and isinstance(right, list),
    )


async def a_link_and_a_wish_to_be_deleted(house: House) -> Race:
    session = await sign_in(house.desk, house.somebody())
    return Race(
        linking(session, house.somebody()),
        asking_for_deletion(session),
        lambda left, right: isinstance(left, Linked | AttemptMismatch) and isinstance(right, list),
    )


async def an_offer_taken_twice(house: House) -> Race:
    token, mine, _, _ = await house.offer()
    return Race(
        merging(mine, token), merging(mine, token), lambda left, right: kinds(left, right) == {list, AttemptExpired}
    )


async def merges_one_after_the_other(house: House) -> Race:
    token, mine, _, _ = await house.offer()
    own_identity = house.last_survivor
    third = await sign_in(house.desk, house.somebody())
    return Race(
        merging(mine, token),
        merging(third, await house.ask_to_merge(third, own_identity)),
        lambda left, right: isinstance(left, list | NotFound) and isinstance(right, list),
    )


async def a_merge_and_disabling_of_what_it_absorbs(house: House) -> Race:
    token, mine, absorbed, _ = await house.offer()
    return Race(
        merging(mine, token),
        disabling(absorbed),
        lambda left, right: isinstance(left, list | NotFound) and right.changed,
    )


async def a_merge_and_deletion_of_the_survivor(house: House) -> Race:
    token, mine, _, _ = await house.offer()
    return Race(
        merging(mine, token),
        deleting(mine),
        lambda left, right: isinstance(left, list | NotFound) and right.changed,
    )


async def a_merge_and_deletion_of_what_it_absorbs(house: House) -> Race:
    token, mine, absorbed, _ = await house.offer()
    return Race(
        merging(mine, token),
        deleting(absorbed),
        lambda left, right: isinstance(left, list | NotFound) and right.changed,
    )


async def a_merge_and_a_grant(house: House) -> Race:
    token, mine, absorbed, _ = await house.offer()
    return Race(
        merging(mine, token),
        lambda desk: operate.grant(desk.database, absorbed.account_id, "admin", NOW),
        lambda left, right: isinstance(left, list) and right.changed,
    )


async def signing_out_everywhere_and_refreshes(house: House) -> Race:
    session, first, second = await house.two_ways_in()
    others = [await sign_in(house.desk, who) for who in (first, second, first)]
    return Race(
        lambda desk: SignOut(desk.database, EndedSessions(desk.database)).sign_out(session.id, True, ORIGIN, NOW),
        refreshing(session, *others),
        lambda left, right: left is None and len(right) == 4,
    )


async def a_join_and_refreshes(house: House) -> Race:
    token, _, known = await house.question()
    session = await sign_in(house.desk, known)
    others = [await sign_in(house.desk, known) for _ in range(2)]
    elsewhere = await sign_in(house.desk, house.somebody())
    return Race(
        lambda desk: join(desk, token, Newcomer(known, replaces=elsewhere.id), ORIGIN, NOW),
        refreshing(session, elsewhere, *others),
        lambda left, right: left.session and left.ended == [elsewhere.id] and isinstance(right[0], Renewed),
    )


async def joined_and_kept_apart(house: House) -> Race:
    token, _, known = await house.question()
    return Race(joining(token, known), separating(token), one_admitted)


async def joined_twice(house: House) -> Race:
    token, _, known = await house.question()
    return Race(joining(token, known), joining(token, known), one_admitted)


async def kept_apart_twice(house: House) -> Race:
    token, _, _ = await house.question()
    return Race(separating(token), separating(token), one_admitted)


async def kept_apart_in_two_browsers(house: House) -> Race:
    token, new, _ = await house.question()
    return Race(
        separating(token),
        separating(await asked(house.desk, new)),
        lambda left, right: left.session.account_id == right.session.account_id,
    )


async def joined_to_either_of_two(house: House) -> Race:
    ours, theirs = house.somebody(), house.somebody()
    theirs = replace(theirs, email=ours.email)
    for who in (ours, theirs):
        assert (await signing_in(who, "never")(house.desk)).session
    token = await asked(house.desk, house.somebody(email=ours.email, provider="microsoft"))
    return Race(joining(token, ours), joining(token, theirs), one_admitted)


async def joined_and_kept_apart_in_two_browsers(house: House) -> Race:
    first, new, known = await house.question()
    second = await asked(house.desk, new)
    await join(house.desk, first, Newcomer(known), ORIGIN, NOW)
    third = await asked(house.desk, house.somebody(email=known.email, provider="microsoft"))
    return Race(
        joining(third, known),
        separating(second),
        lambda left, right: left.session.account_id == right.session.account_id,
    )


def one_admitted(left: Any, right: Any) -> bool:
    return kinds(left, right) in ({Admission, AttemptExpired}, {Admission, IdentityTaken})


async def a_join_and_a_merge_of_the_known_account(house: House) -> Race:
    token, _, known = await house.question()
    mine = await sign_in(house.desk, house.somebody())
    return Race(
        joining(token, known),
        merging(mine, await house.ask_to_merge(mine, known)),
        lambda left, right: isinstance(left, Admission | JoinMismatch) and isinstance(right, list),
    )


async def a_join_and_the_end_of_the_known_account(house: House) -> Race:
    token, _, known = await house.question()
    return Race(
        joining(token, known),
        disabling(await sign_in(house.desk, known)),
        lambda left, right: isinstance(left, Admission | JoinMismatch) and right.changed,
    )


async def known_by_authority(house: House) -> tuple[Session, Identity]:
    known = house.somebody(email_authority=True)
    return await sign_in(house.desk, known), house.somebody(email=known.email, email_authority=True, provider="work")


async def a_join_by_address_and_disabling(house: House) -> Race:
    session, new = await known_by_authority(house)
    return Race(signing_in(new, "verified"), disabling(session), lambda left, right: left.session and right.changed)


async def a_join_by_address_and_deletion(house: House) -> Race:
    session, new = await known_by_authority(house)
    return Race(signing_in(new, "verified"), deleting(session), lambda left, right: left.session and right.changed)


async def a_join_by_address_and_a_wish_to_be_deleted(house: House) -> Race:
    session, new = await known_by_authority(house)
    return Race(signing_in(new, "verified"), asking_for_deletion(session), lambda left, right: left.session and right)


async def a_join_by_address_and_a_merge(house: House) -> Race:
    known = house.somebody(email_authority=True)
    new = house.somebody(email=known.email, email_authority=True, provider="work")
    await sign_in(house.desk, known)
    mine = await sign_in(house.desk, house.somebody())
    token = await house.ask_to_merge(mine, known)
    return Race(signing_in(new, "verified"), merging(mine, token), lambda left, right: left.session)


async def a_join_by_address_and_a_link(house: House) -> Race:
    session, new = await known_by_authority(house)
    return Race(
        signing_in(new, "verified"),
        linking(session, new),
        lambda left, right: left.session.account_id == session.account_id and right.question is None,
    )


async def a_sign_in_and_disabling(house: House) -> Race:
    who = house.somebody()
    session = await sign_in(house.desk, who)
    return Race(
        signing_in(who),
        disabling(session),
        lambda left, right: (left.session or isinstance(left.refusal, AccountDisabled)) and right.changed,
    )


async def a_sign_in_and_a_wish_to_be_deleted(house: House) -> Race:
    who = house.somebody()
    session = await sign_in(house.desk, who)
    return Race(signing_in(who), asking_for_deletion(session), lambda left, right: left.session)


async def a_sign_in_and_deletion(house: House) -> Race:
    who = house.somebody()
    session = await sign_in(house.desk, who)
    return Race(signing_in(who), deleting(session), lambda left, right: left.session and right.changed)


async def a_sign_in_and_the_end_of_the_grace(house: House) -> Race:
    who = house.somebody()
    session = await sign_in(house.desk, who)
    await own.ask_for_deletion(house.desk.database, session.account_id, ORIGIN, NOW - 8 * DAY)
    return Race(signing_in(who), pruning(NOW), lambda left, right: left.session)


async def undoing_a_merge_and_an_unlink(house: House) -> Race:
    mine, absorbed, theirs = await house.merged()
    return Race(
        unmerging(absorbed),
        unlinking(mine, await house.identity_id(theirs)),
        lambda left, right: sum(isinstance(each, GatewayError) for each in (left, right)) == 1,
    )


async def undoing_a_merge_and_a_sign_in(house: House) -> Race:
    _, absorbed, theirs = await house.merged()
    return Race(unmerging(absorbed), signing_in(theirs), lambda left, right: right.session)


async def undoing_a_merge_and_refreshes(house: House) -> Race:
    mine, absorbed, theirs = await house.merged()
    others = [await sign_in(house.desk, theirs) for _ in range(4)]
    return Race(
        unmerging(absorbed),
        refreshing(mine, *others),
        lambda left, right: left.absorbed == absorbed.account_id and isinstance(right[0], Renewed),
    )


async def undoing_a_merge_and_the_next_one(house: House) -> Race:
    _, absorbed, theirs = await house.merged()
    third = await sign_in(house.desk, house.somebody())
    return Race(
        unmerging(absorbed),
        merging(third, await house.ask_to_merge(third, theirs)),
        lambda left, right: kinds(left, right) in ({Merge, AttemptMismatch}, {CannotUndo, list}),
    )


async def undoing_a_merge_twice(house: House) -> Race:
    _, absorbed, _ = await house.merged()
    return Race(
        unmerging(absorbed),
        unmerging(absorbed),
        lambda left, right: [isinstance(each, NotFound | CannotUndo) for each in (left, right)].count(True) == 1,
    )


async def undoing_a_merge_and_deletion(house: House) -> Race:
    mine, absorbed, _ = await house.merged()
    return Race(
        unmerging(absorbed),
        deleting(mine),
        lambda left, right: right.changed,
    )


async def undoing_a_merge_and_the_end_of_the_grace(house: House) -> Race:
    mine, absorbed, _ = await house.merged()
    await own.ask_for_deletion(house.desk.database, mine.account_id, ORIGIN, NOW - 8 * DAY)
    return Race(unmerging(absorbed), pruning(NOW), lambda left, right: "accounts" in right)


RACES = [
    two_links_of_one_identity,
    a_link_and_a_first_sign_in,
    links_of_each_others_identities,
    two_first_sign_ins,
    unlinks_of_the_last_two,
    an_unlink_and_a_sign_in,
    an_unlink_and_refreshes,
    an_offer_taken_twice,
    merges_one_after_the_other,
    a_merge_and_disabling_of_what_it_absorbs,
    a_merge_and_deletion_of_the_survivor,
    a_merge_and_deletion_of_what_it_absorbs,
    a_merge_and_a_grant,
    signing_out_everywhere_and_refreshes,
    a_join_and_refreshes,
    a_merge_and_refreshes,
    a_merge_and_a_sign_in_to_what_it_absorbs,
    a_merge_and_a_link_to_what_it_absorbs,
    a_merge_and_an_unlink_of_its_proof,
    crosswise_merges,
    a_merge_and_a_wish_to_be_deleted,
    a_link_and_a_wish_to_be_deleted,
    joined_and_kept_apart,
    joined_twice,
    kept_apart_twice,
    kept_apart_in_two_browsers,
    joined_to_either_of_two,
    joined_and_kept_apart_in_two_browsers,
    a_join_and_a_merge_of_the_known_account,
    a_join_and_the_end_of_the_known_account,
    a_join_by_address_and_disabling,
    a_join_by_address_and_deletion,
    a_join_by_address_and_a_wish_to_be_deleted,
    a_join_by_address_and_a_merge,
    a_join_by_address_and_a_link,
    a_sign_in_and_disabling,
    a_sign_in_and_a_wish_to_be_deleted,
    a_sign_in_and_deletion,
    a_sign_in_and_the_end_of_the_grace,
    undoing_a_merge_and_an_unlink,
    undoing_a_merge_and_a_sign_in,
    undoing_a_merge_and_refreshes,
    undoing_a_merge_and_the_next_one,
    undoing_a_merge_twice,
    undoing_a_merge_and_deletion,
    undoing_a_merge_and_the_end_of_the_grace,
]


@pytest.mark.parametrize("prepare", RACES)
async def test_a_race(house: House, prepare: Callable[[House], Awaitable[Race]]) -> None:
    for _ in range(ROUNDS):
        race = await prepare(house)
        await check(race, await at_once(house, race))
    for order in (1, -1):
        race = await prepare(house)
        first, second = (race.one, race.other)[::order]
        await check(race, (await interrupted(house, first, second, COMMIT))[::order])
    assert await broken(house.databases[0]) == []
    assert house.deadlocks == []


async def check(race: Race, outcomes: Sequence[Any]) -> None:
    assert race.right(*outcomes), outcomes


async def at_once(house: House, race: Race) -> list[Any]:
    async def begin(work: Work, database: Database) -> Any:
        await asyncio.sleep(random.random() / 500)  # noqa: S311  only so that each time is another
        return await outcome(work(replace(house.desk, database=database)))

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
