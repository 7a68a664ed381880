"""Addresses of accounts: verified while an identity vouches, a bar at a disabled one, asked for also after a merge."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from admitted import NOW, ORIGIN, asked, broken, desk_of, holder_of, identity, look, outcome, sign_in

from gateway.db import Database
from gateway.errors import AccountDisabled, JoinMismatch
from gateway.flows import operate
from gateway.flows.admit import Desk, Newcomer
from gateway.flows.join import join, question, stay_apart
from gateway.flows.link import link
from gateway.flows.merge import merge, unmerge

ADA = identity("ada", "ada@example.com")
LATER = identity("ada", "ada@example.com", provider="microsoft")


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    database = Database(database_url)
    yield desk_of(database)
    await database.close()


async def account(desk: Desk, account_id: uuid.UUID) -> Any:
    return (await look(desk.database)).accounts[account_id]


@pytest.mark.parametrize(
    "says",
    [identity("ada", "new@example.com"), identity("ada", "ada@example.com", email_verified=False), identity("ada")],
    ids=["another", "doubt", "nothing"],
)
async def test_what_nobody_vouches_for_any_more_is_not_verified(desk: Desk, says: Any) -> None:
    first = await sign_in(desk, ADA)
    await sign_in(desk, says, NOW + 1)
    kept = await account(desk, first.account_id)
    assert (kept.email, kept.email_verified) == ("ada@example.com", False)
    told = (await look(desk.database)).sessions[first.id].facts  # of a session that was there before
    assert (told["email_verified"], "ada@example.com" in told["verified"]) == (False, False)
    await sign_in(desk, ADA, NOW + 2)
    assert (await account(desk, first.account_id)).email_verified
    assert await broken(desk.database) == []


async def test_a_linked_identity_vouches_too(desk: Desk) -> None:
    session = await sign_in(desk, identity("ada", "ada@example.com", email_verified=False))
    await link(desk, session.id, LATER, ORIGIN, NOW)
    assert (await account(desk, session.account_id)).email_verified


@pytest.mark.parametrize("linking", ["ask", "verified", "never"])
async def test_a_disabled_person_gets_no_other_account(desk: Desk, linking: Any) -> None:
    session = await sign_in(desk, ADA)
    await operate.disable(desk.database, session.account_id, NOW)
    strict = desk_of(desk.database, linking)
    admission = await strict.admit(Newcomer(LATER), ORIGIN, NOW)
    assert isinstance(admission.refusal, AccountDisabled)
    assert await holder_of(desk.database, LATER) is None
    await operate.enable(desk.database, session.account_id, NOW)
    assert (await strict.admit(Newcomer(LATER), ORIGIN, NOW)).refusal is None


async def test_an_address_that_is_only_claimed_is_barred_to_nobody(desk: Desk) -> None:
    session = await sign_in(desk, identity("mallory", "ada@example.com", email_verified=False))
    await operate.disable(desk.database, session.account_id, NOW)
    assert (await sign_in(desk, ADA)).account_id != session.account_id


async def test_disabled_while_the_question_was_open(desk: Desk) -> None:
    session = await sign_in(desk, ADA)
    token = await asked(desk, LATER)
    await operate.disable(desk.database, session.account_id, NOW)
    assert isinstance(await outcome(join(desk, token, Newcomer(ADA), ORIGIN, NOW)), JoinMismatch)
    assert isinstance((await stay_apart(desk, token, None, ORIGIN, NOW)).refusal, AccountDisabled)


async def test_a_question_about_an_account_that_was_merged_is_about_the_one_that_stayed(desk: Desk) -> None:
    await sign_in(desk, ADA)
    survivor = await sign_in(desk, identity("grace", "grace@example.net"))
    token = await asked(desk, LATER)
    offer = await link(desk, survivor.id, ADA, ORIGIN, NOW)
    await merge(desk, offer.question or "", survivor.id, ORIGIN, NOW)
    known = (await question(desk, token, NOW)).known
    assert {each.account_id for each in known} == {survivor.account_id}
    admission = await join(desk, token, Newcomer(ADA), ORIGIN, NOW)
    assert admission.session
    assert admission.session.account_id == survivor.account_id == await holder_of(desk.database, LATER)
    assert await broken(desk.database) == []


async def test_a_question_follows_a_merge_that_was_undone(desk: Desk) -> None:
    first = await sign_in(desk, ADA)
    survivor = await sign_in(desk, identity("grace", "grace@example.net"))
    token = await asked(desk, LATER)
    offer = await link(desk, survivor.id, ADA, ORIGIN, NOW)
    await merge(desk, offer.question or "", survivor.id, ORIGIN, NOW)
    await unmerge(desk.database, first.account_id, NOW)
    stranger = Newcomer(identity("grace", "grace@example.net"))
    assert isinstance(await outcome(join(desk, token, stranger, ORIGIN, NOW)), JoinMismatch)
    assert (await join(desk, token, Newcomer(ADA), ORIGIN, NOW)).session
    assert await holder_of(desk.database, LATER) == first.account_id
