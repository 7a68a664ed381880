"""Races of merges, of undoing them, and of what ends accounts: one wins, the others get a clear answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from admitted import NOW, ORIGIN, sign_in
from racing import (
    House,
    Race,
    deleting,
    disabling,
    hold_races,
    house,
    kinds,
    leaving,
    linking,
    merging,
    pruning,
    refreshing,
    signing_in,
    unlinking,
    unmerging,
)

from gateway.accounts.merges import Merge
from gateway.errors import AttemptExpired, AttemptMismatch, CannotUndo, NotFound, Overtaken
from gateway.flows import operate, own
from gateway.flows.link import Linked, link
from gateway.sessions.rotation import Renewed

__all__ = ["house"]  # a fixture


def one_merged(left: Any, right: Any) -> bool:
    return kinds(left, right) in ({list, NotFound}, {list, AttemptMismatch})


def merged_or_gone(left: Any, right: Any) -> bool:
    """For a merge and what an operator does to one of the two, who may have to do it again."""
    done = isinstance(right, Overtaken) or right.changed
    return isinstance(left, list | NotFound) and done


async def an_offer_taken_twice(house: House) -> Race:
    token, mine, _, _ = await house.offer()
    both = {list, AttemptExpired}
    return Race(merging(mine, token), merging(mine, token), lambda left, right: kinds(left, right) == both)


async def crosswise_merges(house: House) -> Race:
    ours, theirs = house.somebody(), house.somebody()
    one, other = await sign_in(house.desk, ours), await sign_in(house.desk, theirs)
    return Race(
        merging(one, await house.ask_to_merge(one, theirs)),
        merging(other, await house.ask_to_merge(other, ours)),
        one_merged,
    )


async def a_chain_of_merges(house: House) -> Race:
    first, second = house.somebody(), house.somebody()
    one, _, three = await sign_in(house.desk, first), await sign_in(house.desk, second), await house.signed_in()
    return Race(
        merging(one, await house.ask_to_merge(one, second)),
        merging(three, await house.ask_to_merge(three, first)),
        lambda left, right: isinstance(left, list | NotFound) and isinstance(right, list),
    )


async def a_merge_and_refreshes(house: House) -> Race:
    token, mine, absorbed, theirs = await house.offer()
    others = [await sign_in(house.desk, theirs) for _ in range(3)]
    return Race(
        merging(mine, token),
        refreshing(mine, absorbed, *others),
        lambda left, right: len(left) == 4 and isinstance(right[0], Renewed),
    )


async def a_merge_and_a_sign_in(house: House) -> Race:
    token, mine, _, theirs = await house.offer()
    return Race(merging(mine, token), signing_in(theirs), lambda left, right: isinstance(left, list) and right.session)


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
    return Race(merging(mine, token), unlinking(absorbed, await house.identity_id(theirs)), one_merged)


async def a_merge_and_leaving(house: House) -> Race:
    """Whoever has left is not brought back by what they had begun before."""
    token, mine, _, _ = await house.offer()

    async def left_for_good() -> bool:
        return (await house.account(mine)).delete_at is not None

    return Race(
        merging(mine, token),
        leaving(mine),
        lambda left, right: isinstance(left, list | AttemptMismatch) and isinstance(right, list),
        left_for_good,
    )


async def a_merge_and_disabling_of_what_it_absorbs(house: House) -> Race:
    token, mine, absorbed, _ = await house.offer()
    return Race(merging(mine, token), disabling(absorbed), merged_or_gone)


async def a_merge_and_deletion_of_what_it_absorbs(house: House) -> Race:
    token, mine, absorbed, _ = await house.offer()
    return Race(merging(mine, token), deleting(absorbed), merged_or_gone)


async def a_merge_and_deletion_of_the_survivor(house: House) -> Race:
    token, mine, _, _ = await house.offer()
    return Race(merging(mine, token), deleting(mine), merged_or_gone)


async def a_merge_and_a_grant(house: House) -> Race:
    token, mine, absorbed, _ = await house.offer()
    return Race(
        merging(mine, token),
        lambda desk: operate.grant(desk.database, absorbed.account_id, "admin", NOW),
        merged_or_gone,
    )


async def undoing_and_an_unlink(house: House) -> Race:
    mine, absorbed, theirs = await house.merged()
    return Race(
        unmerging(absorbed),
        unlinking(mine, await house.identity_id(theirs)),
        lambda left, right: kinds(left, right) in ({Merge, NotFound}, {CannotUndo, list}),
    )


async def undoing_and_a_sign_in(house: House) -> Race:
    _, absorbed, theirs = await house.merged()
    return Race(unmerging(absorbed), signing_in(theirs), lambda left, right: isinstance(left, Merge) and right.session)


async def undoing_and_refreshes(house: House) -> Race:
    mine, absorbed, theirs = await house.merged()
    others = [await sign_in(house.desk, theirs) for _ in range(4)]
    return Race(
        unmerging(absorbed),
        refreshing(mine, *others),
        lambda left, right: isinstance(left, Merge) and isinstance(right[0], Renewed),
    )


async def undoing_twice(house: House) -> Race:
    _, absorbed, _ = await house.merged()
    return Race(unmerging(absorbed), unmerging(absorbed), lambda left, right: kinds(left, right) == {Merge, NotFound})


async def undoing_and_the_next_merge(house: House) -> Race:
    _, absorbed, theirs = await house.merged()
    third = await house.signed_in()
    return Race(
        unmerging(absorbed),
        merging(third, await house.ask_to_merge(third, theirs)),
        lambda left, right: kinds(left, right) in ({Merge, AttemptMismatch}, {CannotUndo, list}),
    )


async def undoing_and_deletion(house: House) -> Race:
    mine, absorbed, _ = await house.merged()
    return Race(
        unmerging(absorbed),
        deleting(mine),
        lambda left, right: isinstance(left, Merge | CannotUndo) and right.changed,
    )


async def undoing_and_the_end_of_the_grace(house: House) -> Race:
    mine, absorbed, _ = await house.merged()
    await own.ask_for_deletion(house.desk.database, mine.account_id, ORIGIN, 0)
    return Race(unmerging(absorbed), pruning(), lambda left, _: isinstance(left, Merge | CannotUndo))


@pytest.mark.parametrize("prepare", [a_merge_and_refreshes, undoing_and_refreshes])
async def test_a_race_step_by_step(house: House, prepare: Callable[[House], Awaitable[Race]]) -> None:
    """Where several sessions are held, some by the one and some by the other first."""
    await hold_races(house, prepare, steps=12)


@pytest.mark.parametrize(
    "prepare",
    [
        an_offer_taken_twice,
        crosswise_merges,
        a_chain_of_merges,
        a_merge_and_a_sign_in,
        a_merge_and_a_link_to_what_it_absorbs,
        a_merge_and_an_unlink_of_its_proof,
        a_merge_and_leaving,
        a_merge_and_disabling_of_what_it_absorbs,
        a_merge_and_deletion_of_what_it_absorbs,
        a_merge_and_deletion_of_the_survivor,
        a_merge_and_a_grant,
        undoing_and_an_unlink,
        undoing_and_a_sign_in,
        undoing_twice,
        undoing_and_the_next_merge,
        undoing_and_deletion,
        undoing_and_the_end_of_the_grace,
    ],
)
async def test_a_race(house: House, prepare: Callable[[House], Awaitable[Race]]) -> None:
    await hold_races(house, prepare)
