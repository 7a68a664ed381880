"""Merging two accounts: what moves, what proves both, what the absorbed id means afterwards, and what undoes it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from admitted import DAY, NOW, ORIGIN, broken, desk_of, holder_of, identity, rows, sign_in

from gateway import schema, sessions
from gateway.accounts import grants, merges
from gateway.db import Database
from gateway.errors import AttemptExpired, AttemptMismatch, CannotUndo, GatewayError, NotFound
from gateway.flows import operate, own
from gateway.flows.admit import Desk
from gateway.flows.link import link, unlink
from gateway.flows.merge import merge, offer, unmerge
from gateway.identity import Identity
from gateway.pending import LIFETIME
from gateway.sessions import Session

ADA, GRACE = identity("ada", "ada@example.com"), identity("grace", "grace@example.com")
WORK = identity("ada", "ada@work.example", provider="microsoft")


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    database = Database(database_url)
    yield desk_of(database)
    await database.close()


async def ask(desk: Desk, session: Session, theirs: Identity, now: int = NOW) -> str:
    linked = await link(desk, session.id, theirs, ORIGIN, now)
    assert linked.question
    return linked.question


async def merged(desk: Desk, ours: Identity = ADA, theirs: Identity = GRACE) -> tuple[Session, Session]:
    """The survivor's session, and the one of what it absorbed."""
    survivor, absorbed = await sign_in(desk, ours), await sign_in(desk, theirs)
    await merge(desk, await ask(desk, survivor, theirs), survivor.id, ORIGIN, NOW)
    return survivor, absorbed


async def refused(work: Any) -> type[GatewayError]:
    with pytest.raises(GatewayError) as raised:
        await work
    return type(raised.value)


async def living(desk: Desk) -> set[uuid.UUID]:
    return {row.id for row in await rows(desk.database, schema.sessions) if row.ended_at is None}


async def account(desk: Desk, account_id: uuid.UUID) -> Any:
    return next(row for row in await rows(desk.database, schema.accounts) if row.id == account_id)


async def roles(desk: Desk, account_id: uuid.UUID) -> tuple[str, ...]:
    async with desk.database.read() as connection:
        return await grants.granted(connection, account_id)


async def identity_id(desk: Desk, who: Identity) -> uuid.UUID:
    every = await rows(desk.database, schema.identities)
    found: uuid.UUID = next(row.id for row in every if (row.issuer, row.subject) == (who.issuer, who.subject))
    return found


async def test_identities_move_and_the_absorbed_sessions_end(desk: Desk) -> None:
    survivor, absorbed = await merged(desk)
    assert await holder_of(desk.database, GRACE) == survivor.account_id
    assert await living(desk) == {survivor.id}
    assert (await sign_in(desk, GRACE)).account_id == survivor.account_id
    assert (await account(desk, absorbed.account_id)).merged_into == survivor.account_id
    assert await broken(desk.database) == []


async def test_roles_move_and_living_sessions_learn_of_everything(desk: Desk) -> None:
    survivor, absorbed = await sign_in(desk, ADA), await sign_in(desk, GRACE)
    await operate.grant(desk.database, absorbed.account_id, "admin", NOW)
    await merge(desk, await ask(desk, survivor, GRACE), survivor.id, ORIGIN, NOW)
    async with desk.database.read() as connection:
        session = await sessions.get(connection, survivor.id, NOW)
    assert session
    assert session.facts["granted"] == ["admin"]
    assert session.facts["verified"] == ["ada@example.com", "grace@example.com"]


async def test_the_account_that_stays_is_called_as_before(desk: Desk) -> None:
    survivor, _ = await merged(desk)
    assert (await account(desk, survivor.account_id)).email == "ada@example.com"


async def test_a_wish_to_be_deleted_is_off_on_either_side(desk: Desk) -> None:
    survivor, absorbed = await sign_in(desk, ADA), await sign_in(desk, GRACE)
    await own.ask_for_deletion(desk.database, absorbed.account_id, ORIGIN, NOW)
    await merge(desk, await ask(desk, survivor, GRACE), survivor.id, ORIGIN, NOW)
    assert {row.delete_at for row in await rows(desk.database, schema.accounts)} == {None}


async def test_an_absorbed_id_leads_on_from_merge_to_merge(desk: Desk) -> None:
    second, first = await merged(desk)
    third = await sign_in(desk, WORK)
    await merge(desk, await ask(desk, third, ADA), third.id, ORIGIN, NOW)
    stranger = uuid.uuid4()
    async with desk.database.read() as connection:
        leads = [await merges.resolve(connection, each) for each in (first.account_id, third.account_id, stranger)]
        assert leads == [third.account_id, third.account_id, stranger]
        assert await merges.merged_from(connection, third.account_id) == [second.account_id, first.account_id]
        assert await merges.merged_from(connection, first.account_id) == []


async def test_both_accounts_have_the_event_and_no_address(desk: Desk) -> None:
    survivor, absorbed = await merged(desk)
    events = [row for row in await rows(desk.database, schema.events) if row.name == "account_merged"]
    assert {row.account_id for row in events} == {survivor.account_id, absorbed.account_id}
    assert "@" not in str([row.detail for row in events])


async def test_the_offer_shows_both_sides_and_changes_nothing(desk: Desk) -> None:
    survivor, absorbed = await sign_in(desk, ADA), await sign_in(desk, GRACE)
    shown = await offer(desk, await ask(desk, survivor, GRACE), survivor.id, NOW)
    assert [side.account.id for side in (shown.survivor, shown.absorbed)] == [survivor.account_id, absorbed.account_id]
    assert [each.subject for each in shown.absorbed.identities] == ["grace"]
    assert await living(desk) == {survivor.id, absorbed.id}


async def test_an_offer_is_for_the_session_that_asked(desk: Desk) -> None:
    survivor, absorbed = await sign_in(desk, ADA), await sign_in(desk, GRACE)
    again = await sign_in(desk, ADA)
    token = await ask(desk, survivor, GRACE)
    for other in (again, absorbed):
        assert await refused(offer(desk, token, other.id, NOW)) is AttemptMismatch
        assert await refused(merge(desk, token, other.id, ORIGIN, NOW)) is AttemptMismatch
    assert len(await merge(desk, token, survivor.id, ORIGIN, NOW)) == 1


async def test_an_offer_ends_with_its_session(desk: Desk) -> None:
    survivor, _ = await sign_in(desk, ADA), await sign_in(desk, GRACE)
    token = await ask(desk, survivor, GRACE)
    await operate.sign_out(desk.database, survivor.account_id, NOW)
    await sign_in(desk, ADA)
    assert await refused(merge(desk, token, survivor.id, ORIGIN, NOW)) is AttemptMismatch


async def test_an_offer_is_taken_once_within_ten_minutes(desk: Desk) -> None:
    survivor, _ = await sign_in(desk, ADA), await sign_in(desk, GRACE)
    token = await ask(desk, survivor, GRACE)
    assert await refused(merge(desk, token, survivor.id, ORIGIN, NOW + LIFETIME)) is AttemptExpired
    await merge(desk, token, survivor.id, ORIGIN, NOW + LIFETIME - 1)
    assert await refused(merge(desk, token, survivor.id, ORIGIN, NOW)) is AttemptExpired


@pytest.mark.parametrize("again", [False, True], ids=["unlinked", "linked again"])
async def test_whoever_lost_what_proved_the_account_cannot_have_it(desk: Desk, again: bool) -> None:
    """An intruder's identity was linked to the owner's account, and the owner throws it out in time."""
    intruder, owner = await sign_in(desk, ADA), await sign_in(desk, GRACE)
    foothold = identity("intruder", provider="github")
    await link(desk, owner.id, foothold, ORIGIN, NOW)
    token = await ask(desk, intruder, foothold)
    await unlink(desk, owner.account_id, await identity_id(desk, foothold), ORIGIN, NOW)
    if again:
        await link(desk, owner.id, foothold, ORIGIN, NOW)
    assert await refused(merge(desk, token, intruder.id, ORIGIN, NOW)) is AttemptMismatch
    assert await holder_of(desk.database, GRACE) == owner.account_id


@pytest.mark.parametrize("side", [ADA, GRACE], ids=["survivor", "absorbed"])
async def test_a_disabled_account_is_not_merged(desk: Desk, side: Identity) -> None:
    survivor, _ = await sign_in(desk, ADA), await sign_in(desk, GRACE)
    token = await ask(desk, survivor, GRACE)
    await operate.disable(desk.database, await holder_of(desk.database, side) or uuid.uuid4(), NOW)
    assert await refused(merge(desk, token, survivor.id, ORIGIN, NOW)) in (NotFound, AttemptMismatch)
    assert await holder_of(desk.database, GRACE) != survivor.account_id


async def test_undoing_gives_back_what_moved_and_ends_what_came_through_it(desk: Desk) -> None:
    survivor, absorbed = await merged(desk)
    await sign_in(desk, GRACE)
    await unmerge(desk.database, absorbed.account_id, NOW)
    assert await holder_of(desk.database, GRACE) == absorbed.account_id
    assert await living(desk) == {survivor.id}
    assert (await sign_in(desk, GRACE)).account_id == absorbed.account_id
    assert await broken(desk.database) == []


async def test_undoing_takes_back_the_roles_that_moved_and_no_others(desk: Desk) -> None:
    survivor, absorbed = await sign_in(desk, ADA), await sign_in(desk, GRACE)
    for account_id, role in (
        (survivor.account_id, "editor"),
        (absorbed.account_id, "editor"),
        (absorbed.account_id, "admin"),
    ):
        await operate.grant(desk.database, account_id, role, NOW)
    await merge(desk, await ask(desk, survivor, GRACE), survivor.id, ORIGIN, NOW)
    await unmerge(desk.database, absorbed.account_id, NOW)
    assert await roles(desk, survivor.account_id) == ("editor",)
    assert await roles(desk, absorbed.account_id) == ("admin", "editor")


async def test_undoing_leaves_what_was_linked_since(desk: Desk) -> None:
    survivor, absorbed = await merged(desk)
    await link(desk, survivor.id, WORK, ORIGIN, NOW)
    await unmerge(desk.database, absorbed.account_id, NOW)
    assert await holder_of(desk.database, WORK) == survivor.account_id


async def test_after_undoing_an_address_of_the_other_is_not_verified(desk: Desk) -> None:
    survivor, absorbed = await merged(desk)
    await own.change_profile(desk.database, survivor.account_id, {"email": "grace@example.com"}, ORIGIN, NOW)
    await unmerge(desk.database, absorbed.account_id, NOW)
    mine, theirs = [await account(desk, each.account_id) for each in (survivor, absorbed)]
    assert (mine.email, mine.email_verified) == ("grace@example.com", False)
    assert (theirs.email, theirs.email_verified) == ("grace@example.com", True)


async def test_after_undoing_an_address_that_was_unlinked_is_not_verified(desk: Desk) -> None:
    survivor, absorbed = await sign_in(desk, ADA), await sign_in(desk, GRACE)
    await link(desk, absorbed.id, WORK, ORIGIN, NOW)
    await merge(desk, await ask(desk, survivor, GRACE), survivor.id, ORIGIN, NOW)
    await unlink(desk, survivor.account_id, await identity_id(desk, GRACE), ORIGIN, NOW)
    await unmerge(desk.database, absorbed.account_id, NOW)
    theirs = await account(desk, absorbed.account_id)
    assert (theirs.email, theirs.email_verified) == ("grace@example.com", False)


async def test_undoing_is_possible_for_thirty_days(desk: Desk) -> None:
    _, absorbed = await merged(desk)
    assert await refused(unmerge(desk.database, absorbed.account_id, NOW + 30 * DAY + 1)) is CannotUndo
    await unmerge(desk.database, absorbed.account_id, NOW + 30 * DAY)


@pytest.mark.parametrize("who", [ADA, GRACE], ids=["the survivor's", "what moved"])
async def test_undoing_leaves_nobody_without_a_way_in(desk: Desk, who: Identity) -> None:
    survivor, absorbed = await merged(desk)
    await unlink(desk, survivor.account_id, await identity_id(desk, who), ORIGIN, NOW)
    assert await refused(unmerge(desk.database, absorbed.account_id, NOW)) is CannotUndo
    assert await broken(desk.database) == []


async def test_merging_and_undoing_again(desk: Desk) -> None:
    survivor, absorbed = await merged(desk)
    await unmerge(desk.database, absorbed.account_id, NOW)
    assert await refused(unmerge(desk.database, absorbed.account_id, NOW)) is NotFound
    await sign_in(desk, GRACE)
    await merge(desk, await ask(desk, survivor, GRACE), survivor.id, ORIGIN, NOW)
    await unmerge(desk.database, absorbed.account_id, NOW)
    assert await holder_of(desk.database, GRACE) == absorbed.account_id


async def test_a_chain_is_undone_from_its_end(desk: Desk) -> None:
    second, first = await merged(desk)
    third = await sign_in(desk, WORK)
    await merge(desk, await ask(desk, third, ADA), third.id, ORIGIN, NOW)
    assert await refused(unmerge(desk.database, first.account_id, NOW)) is CannotUndo
    await unmerge(desk.database, second.account_id, NOW)
    await unmerge(desk.database, first.account_id, NOW)
    owners = [await holder_of(desk.database, who) for who in (GRACE, ADA, WORK)]
    assert owners == [first.account_id, second.account_id, third.account_id]


async def test_what_was_absorbed_is_deleted_with_the_survivor(desk: Desk) -> None:
    """Otherwise an account without identity, and with the person's address, would come back to life."""
    survivor, absorbed = await merged(desk)
    await operate.delete(desk.database, survivor.account_id, NOW)
    assert await rows(desk.database, schema.accounts) == []
    assert {row.ip for row in await rows(desk.database, schema.events) if row.name == "signed_in"} == {None}
    assert await refused(unmerge(desk.database, absorbed.account_id, NOW)) is CannotUndo
