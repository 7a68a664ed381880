"""Races of people who are admitted together with what happens to one of them meanwhile, and with another such crowd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from admitted import NOW, ORIGIN, rows, sign_in
from racing import (
    House,
    Race,
    Work,
    deleting,
    disabling,
    hold_races,
    leaving,
    linking,
    merging,
    pruning,
    refreshing,
    unlinking,
    unmerging,
)

from gateway import schema
from gateway.errors import AccountDisabled
from gateway.flows import operate
from gateway.flows.admit import Admission, Newcomer
from gateway.flows.facts import facts_of
from gateway.flows.reception import Reception
from gateway.identity import Identity
from gateway.sessions import Session
from gateway.sessions.rotation import Renewed

pytestmark = pytest.mark.postgres

STEPS = 5  # three statements for all, and of those who come by themselves the first


@pytest.fixture
async def house(postgres_url: str) -> AsyncIterator[House]:
    made = House(postgres_url)
    yield made
    await made.close()


def coming(*people: Identity, replaces: Session | None = None) -> Work:
    """All of them together; the first has had a session."""

    async def work(desk: Any) -> list[Admission]:
        reception = Reception(desk)
        before = [replaces.id if replaces else None, *(None for _ in people[1:])]
        newcomers = (Newcomer(who, replaces=each) for who, each in zip(people, before, strict=True))
        return await asyncio.gather(*(reception.admit_in_company(each, ORIGIN, NOW) for each in newcomers))

    return work


def granting(session: Session) -> Work:
    return lambda desk: operate.grant(desk.database, session.account_id, "admin", NOW)


def withdrawing(session: Session) -> Work:
    return lambda desk: operate.withdraw(desk.database, session.account_id, "admin", NOW)


def all_in(admissions: list[Admission]) -> bool:
    return all(each.session for each in admissions)


def in_or_disabled(admissions: list[Admission]) -> bool:
    first, second, third = admissions
    return all_in([first, third]) and (bool(second.session) or isinstance(second.refusal, AccountDisabled))


async def said_and_true(house: House) -> bool:
    """Every session has its event, and every living one knows what is true of its account."""
    events = await rows(house.desk.database, schema.events)
    said = sorted(str(row.session_id) for row in events if row.name == "signed_in")
    all_ = await rows(house.desk.database, schema.sessions)
    living = [row for row in all_ if row.ended_at is None]
    async with house.desk.database.read() as connection:
        facts = {row.account_id: await facts_of(connection, row.account_id) for row in living}
    known = all(facts[row.account_id].items() <= row.facts.items() for row in living)
    return known and said == sorted(str(row.id) for row in all_)


async def crowd(house: House) -> tuple[list[Identity], Session, Identity]:
    """Three who come; the account of the second has another way in. That one's session, and the other way."""
    session, second, other = await house.two_ways_in()
    people = [house.somebody(), second, house.somebody()]
    for who in people:
        await sign_in(house.desk, who)
    return people, session, other


async def a_race(house: House, changing: Callable[[House, Session, Identity], Awaitable[Work]], right: Any) -> Race:
    people, session, other = await crowd(house)
    change = await changing(house, session, other)
    return Race(coming(*people), change, right, partial(said_and_true, house))


def made(work: Callable[[Session], Work]) -> Callable[[House, Session, Identity], Awaitable[Work]]:
    async def changing(_house: House, session: Session, _other: Identity) -> Work:
        return work(session)

    return changing


async def to_withdraw(house: House, session: Session, _other: Identity) -> Work:
    await granting(session)(house.desk)
    return withdrawing(session)


async def to_link(house: House, session: Session, _other: Identity) -> Work:
    return linking(session, house.somebody())


async def to_unlink_the_other(house: House, session: Session, other: Identity) -> Work:
    return unlinking(session, await house.identity_id(other))


async def to_unlink_who_comes(house: House, session: Session, _other: Identity) -> Work:
    assert session.identity_id
    return unlinking(session, session.identity_id)


async def to_merge(house: House, _session: Session, other: Identity) -> Work:
    mine = await house.signed_in()
    return merging(mine, await house.ask_to_merge(mine, other))


async def to_unmerge(house: House, session: Session, _other: Identity) -> Work:
    theirs = house.somebody()
    absorbed = await sign_in(house.desk, theirs)
    await merging(session, await house.ask_to_merge(session, theirs))(house.desk)
    return unmerging(absorbed)


async def to_come_by_the_other(_house: House, _session: Session, other: Identity) -> Work:
    return coming(other)


def went_in(left: Any, right: Any) -> bool:
    return all_in(left) and not isinstance(right, Exception)


@pytest.mark.parametrize(
    ("changing", "right"),
    [
        (made(disabling), lambda left, right: in_or_disabled(left) and right.changed),
        (made(deleting), lambda left, right: all_in(left) and right.changed),
        (made(leaving), lambda left, _: all_in(left)),
        (made(granting), went_in),
        (made(refreshing), lambda left, right: all_in(left) and isinstance(right[0], Renewed)),
        (made(lambda _session: pruning()), went_in),
        (to_withdraw, went_in),
        (to_link, went_in),
        (to_unlink_the_other, went_in),
        (to_unlink_who_comes, went_in),
        (to_merge, went_in),
        (to_unmerge, went_in),
        (to_come_by_the_other, lambda left, right: all_in(left) and all_in(right)),
    ],
    ids=[
        *("disabling", "deleting", "leaving", "granting", "refreshing", "pruning", "withdrawing", "linking"),
        *("unlinking another", "unlinking", "merging", "unmerging", "coming by another"),
    ],
)
async def test_a_crowd_and_a_change_of_one_of_them(house: House, changing: Any, right: Any) -> None:
    await hold_races(house, lambda house: a_race(house, changing, right), steps=STEPS)


async def test_two_crowds_in_opposite_order(house: House) -> None:
    async def prepare(house: House) -> Race:
        people, *_ = await crowd(house)
        one, other = coming(*people), coming(*people[::-1])
        return Race(one, other, lambda left, right: all_in(left) and all_in(right), partial(said_and_true, house))

    await hold_races(house, prepare, steps=STEPS)


async def test_two_crowds_in_which_each_replaces_a_session_of_the_other(house: House) -> None:
    async def prepare(house: House) -> Race:
        people, _, _ = await crowd(house)
        first, last = await sign_in(house.desk, people[0]), await sign_in(house.desk, people[2])
        one, other = coming(*people, replaces=last), coming(*people[::-1], replaces=first)
        return Race(one, other, lambda left, right: all_in(left) and all_in(right))

    await hold_races(house, prepare, steps=STEPS)
