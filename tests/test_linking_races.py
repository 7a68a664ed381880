"""Races of sign-ins, links, unlinks and joins: one wins, the others get a clear answer, and nothing is torn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from admitted import NOW, ORIGIN, asked, sign_in
from racing import (
    House,
    Race,
    deleting,
    disabling,
    hold_races,
    house,
    joining,
    kinds,
    leaving,
    linking,
    merging,
    pruning,
    refreshing,
    separating,
    signing_in,
    unlinking,
)

from gateway.errors import AccountDisabled, AttemptExpired, AttemptMismatch, IdentityTaken, JoinMismatch, LastIdentity
from gateway.flows import own
from gateway.flows.admit import Admission, Newcomer
from gateway.flows.join import join
from gateway.flows.link import Linked
from gateway.flows.sign_out import SignOut
from gateway.identity import Identity
from gateway.sessions import Session
from gateway.sessions.ended import EndedSessions
from gateway.sessions.rotation import Renewed

__all__ = ["house"]  # a fixture


def same_account(left: Any, right: Any) -> bool:
    found: bool = left.session.account_id == right.session.account_id
    return found


def one_admitted(left: Any, right: Any) -> bool:
    return kinds(left, right) in ({Admission, AttemptExpired}, {Admission, IdentityTaken})


async def two_first_sign_ins(house: House) -> Race:
    who = house.somebody()
    return Race(signing_in(who), signing_in(who), same_account)


async def a_sign_in_and_disabling(house: House) -> Race:
    who = house.somebody()
    session = await sign_in(house.desk, who)
    return Race(
        signing_in(who),
        disabling(session),
        lambda left, right: (left.session or isinstance(left.refusal, AccountDisabled)) and right.changed,
    )


async def a_sign_in_and_leaving(house: House) -> Race:
    who = house.somebody()
    session = await sign_in(house.desk, who)
    return Race(signing_in(who), leaving(session), lambda left, right: left.session and right)


async def a_sign_in_and_deletion(house: House) -> Race:
    who = house.somebody()
    session = await sign_in(house.desk, who)
    return Race(signing_in(who), deleting(session), lambda left, right: left.session and right.changed)


async def a_sign_in_and_the_end_of_the_grace(house: House) -> Race:
    _, who = await house.leaving()
    return Race(signing_in(who), pruning(), lambda left, _: left.session)


async def two_links_of_one_identity(house: House) -> Race:
    one, other, wanted = await house.signed_in(), await house.signed_in(), house.somebody()
    return Race(
        linking(one, wanted),
        linking(other, wanted),
        lambda left, right: [left.question, right.question].count(None) == 1,  # the other is offered to merge
    )


async def links_of_each_others_identities(house: House) -> Race:
    ours, theirs = house.somebody(), house.somebody()
    one, other = await sign_in(house.desk, ours), await sign_in(house.desk, theirs)
    return Race(linking(one, theirs), linking(other, ours), lambda left, right: left.question and right.question)


async def a_link_and_a_first_sign_in(house: House) -> Race:
    session, wanted = await house.signed_in(), house.somebody()
    return Race(linking(session, wanted), signing_in(wanted, replaces=session.id), lambda _, right: right.session)


async def a_link_and_refreshes(house: House) -> Race:
    who = house.somebody()
    sessions = [await sign_in(house.desk, who) for _ in range(4)]
    return Race(
        linking(sessions[0], house.somebody()),
        refreshing(*sessions),
        lambda left, right: left == Linked() and all(isinstance(each, Renewed) for each in right),
    )


async def a_link_and_leaving(house: House) -> Race:
    """Whoever has left is not brought back by what they had begun before."""
    session = await house.signed_in()

    async def left_for_good() -> bool:
        return (await house.account(session)).delete_at is not None

    return Race(
        linking(session, house.somebody()),
        leaving(session),
        lambda left, right: isinstance(left, Linked | AttemptMismatch) and isinstance(right, list),
        left_for_good,
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
        lambda left, right: len(left) == 4 and isinstance(right[0], Renewed),
    )


async def an_unlink_and_choosing_its_address(house: House) -> Race:
    """What no identity vouches for any more is no verified address."""
    session, _, second = await house.two_ways_in()

    async def vouched_for() -> bool:
        account = await house.account(session)
        return bool(account.email_verified == (account.email != second.email))

    return Race(
        unlinking(session, await house.identity_id(second)),
        lambda desk: own.change_profile(desk.database, session.account_id, {"email": second.email}, ORIGIN, NOW),
        lambda left, _: isinstance(left, list),
        vouched_for,
    )


async def signing_out_everywhere_and_refreshes(house: House) -> Race:
    session, first, second = await house.two_ways_in()
    others = [await sign_in(house.desk, who) for who in (first, second, first)]
    return Race(
        lambda desk: SignOut(desk.database, EndedSessions(desk.database)).sign_out(session.id, True, ORIGIN, NOW),
        refreshing(session, *others),
        lambda left, right: left is None and len(right) == 4,
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
    return Race(separating(token), separating(await asked(house.desk, new)), same_account)


async def joined_to_either_of_two(house: House) -> Race:
    ours = house.somebody()
    theirs = house.somebody(email=ours.email)
    for who in (ours, theirs):
        assert (await signing_in(who, "never")(house.desk)).session
    token = await asked(house.desk, house.somebody(email=ours.email, provider="microsoft"))
    return Race(joining(token, ours), joining(token, theirs), one_admitted)


async def joined_and_kept_apart_in_two_browsers(house: House) -> Race:
    """The second browser still asks about an identity that has been joined in the first."""
    first, new, known = await house.question()
    second = await asked(house.desk, new)
    await join(house.desk, first, Newcomer(known), ORIGIN, NOW)
    third = await asked(house.desk, house.somebody(email=known.email, provider="github"))
    return Race(joining(third, known), separating(second), same_account)


async def a_join_and_refreshes(house: House) -> Race:
    token, _, known = await house.question()
    sessions = [await sign_in(house.desk, known) for _ in range(3)]
    before = await house.signed_in()
    return Race(
        joining(token, known, replaces=before),
        refreshing(*sessions, before),
        lambda left, right: left.ended == [before.id] and isinstance(right[0], Renewed),
    )


async def a_join_and_disabling(house: House) -> Race:
    token, _, known = await house.question()
    return Race(
        joining(token, known),
        disabling(await sign_in(house.desk, known)),
        lambda left, right: isinstance(left, Admission | JoinMismatch) and right.changed,
    )


async def a_join_and_a_merge_of_the_known_account(house: House) -> Race:
    token, _, known = await house.question()
    mine = await house.signed_in()
    return Race(
        joining(token, known),
        merging(mine, await house.ask_to_merge(mine, known)),
        lambda left, right: isinstance(left, Admission | JoinMismatch) and isinstance(right, list),
    )


async def known_by_authority(house: House) -> tuple[Session, Identity, Identity]:
    """The session of the one who has the address, their identity, and a new one that may join it."""
    known = house.somebody(email_authority=True)
    new = house.somebody(email=known.email, email_authority=True, provider="work")
    return await sign_in(house.desk, known), known, new


async def a_join_by_address_and_disabling(house: House) -> Race:
    session, _, new = await known_by_authority(house)
    return Race(
        signing_in(new, "verified"),
        disabling(session),
        lambda left, right: (left.session or isinstance(left.refusal, AccountDisabled)) and right.changed,
    )


async def a_join_by_address_and_deletion(house: House) -> Race:
    session, _, new = await known_by_authority(house)
    return Race(signing_in(new, "verified"), deleting(session), lambda left, right: left.session and right.changed)


async def a_join_by_address_and_leaving(house: House) -> Race:
    session, _, new = await known_by_authority(house)
    return Race(signing_in(new, "verified"), leaving(session), lambda left, right: left.session and right)


async def a_join_by_address_and_a_merge(house: House) -> Race:
    _, known, new = await known_by_authority(house)
    mine = await house.signed_in()
    token = await house.ask_to_merge(mine, known)
    return Race(
        signing_in(new, "verified"),
        merging(mine, token),
        lambda left, right: left.session.account_id in (mine.account_id, *right) or isinstance(right, list),
    )


async def a_join_by_address_and_a_link(house: House) -> Race:
    session, _, new = await known_by_authority(house)
    return Race(
        signing_in(new, "verified"),
        linking(session, new),
        lambda left, right: left.session.account_id == session.account_id and right == Linked(),
    )


@pytest.mark.parametrize("prepare", [two_first_sign_ins, a_link_and_a_first_sign_in, an_unlink_and_refreshes])
async def test_a_race_step_by_step(house: House, prepare: Callable[[House], Awaitable[Race]]) -> None:
    """Where there is no account to hold yet, or where several sessions are held."""
    await hold_races(house, prepare, steps=12)


@pytest.mark.parametrize(
    "prepare",
    [
        a_sign_in_and_disabling,
        a_sign_in_and_leaving,
        a_sign_in_and_deletion,
        a_sign_in_and_the_end_of_the_grace,
        two_links_of_one_identity,
        links_of_each_others_identities,
        a_link_and_refreshes,
        a_link_and_leaving,
        unlinks_of_the_last_two,
        an_unlink_and_a_sign_in,
        an_unlink_and_choosing_its_address,
        signing_out_everywhere_and_refreshes,
        joined_and_kept_apart,
        joined_twice,
        kept_apart_twice,
        kept_apart_in_two_browsers,
        joined_to_either_of_two,
        joined_and_kept_apart_in_two_browsers,
        a_join_and_refreshes,
        a_join_and_disabling,
        a_join_and_a_merge_of_the_known_account,
        a_join_by_address_and_disabling,
        a_join_by_address_and_deletion,
        a_join_by_address_and_leaving,
        a_join_by_address_and_a_merge,
        a_join_by_address_and_a_link,
    ],
)
async def test_a_race(house: House, prepare: Callable[[House], Awaitable[Race]]) -> None:
    await hold_races(house, prepare)
