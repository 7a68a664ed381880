"""Pending proofs: sealed, for ten minutes, for whoever holds the token, and taken once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from admitted import NOW, ORIGIN, SEALER, asked, desk_of, holder_of, identity, rows, sign_in

from gateway import pending, schema
from gateway.db import Database
from gateway.errors import AttemptExpired, JoinMismatch, SignupClosed
from gateway.flows import own
from gateway.flows.admit import Newcomer
from gateway.flows.join import join, question, stay_apart
from gateway.flows.link import link
from gateway.pending import LIFETIME
from gateway.sealing import Sealer

PROOF = {"identity": {"email": "ada@example.com"}, "accounts": ["1"]}

GOOGLE = identity("1", "ada@example.com")
WORK = identity("1", "ADA@example.com", provider="microsoft")
OTHER = identity("2", "grace@example.com")


async def keep(db: Database) -> str:
    async with db.write() as connection:
        return await pending.keep(connection, SEALER, "join", PROOF, NOW)


async def look(db: Database, token: str, now: int = NOW, sealer: Sealer = SEALER) -> object:
    async with db.read() as connection:
        return await pending.look(connection, sealer, "join", token, now)


async def take(db: Database, token: str, now: int = NOW, kind: pending.Kind = "join") -> object:
    async with db.write() as connection:
        return await pending.take(connection, SEALER, kind, token, now)


async def test_looking_leaves_it_and_taking_takes_it(db: Database) -> None:
    token = await keep(db)
    seen = [await look(db, token), await look(db, token), await take(db, token), await take(db, token)]
    assert seen == [PROOF, PROOF, PROOF, None]


async def test_of_many_who_take_it_at_once_one_gets_it(db: Database) -> None:
    token = await keep(db)
    taken = await asyncio.gather(*(take(db, token) for _ in range(10)))
    assert [proof for proof in taken if proof] == [PROOF]


async def test_it_lives_ten_minutes(db: Database) -> None:
    token = await keep(db)
    last, over = NOW + LIFETIME - 1, NOW + LIFETIME
    assert [await look(db, token, last), await look(db, token, over)] == [PROOF, None]
    assert [await take(db, token, over), await take(db, token, last)] == [None, PROOF]


async def test_a_proof_of_one_kind_is_nothing_of_another(db: Database) -> None:
    token = await keep(db)
    assert [await take(db, token, kind="merge"), await take(db, token)] == [None, PROOF]


async def test_the_database_holds_neither_token_nor_proof(db: Database) -> None:
    token = await keep(db)
    (row,) = await rows(db, schema.pending)
    assert token.encode() not in bytes(row.digest) + bytes(row.sealed)
    assert b"ada@example.com" not in bytes(row.sealed)
    assert await look(db, token, sealer=Sealer([b"x" * 32])) is None


async def test_a_new_secret_key_keeps_what_is_pending(db: Database) -> None:
    old = Sealer([b"o" * 32])
    async with db.write() as connection:
        token = await pending.keep(connection, old, "join", PROOF, NOW)
    assert await look(db, token, sealer=Sealer([b"n" * 32, b"o" * 32])) == PROOF


async def test_prune_forgets_what_is_too_old(db: Database) -> None:
    async with db.write() as connection:
        for at in (NOW - LIFETIME, NOW - LIFETIME, NOW):
            await pending.keep(connection, SEALER, "join", PROOF, at)
        gone = [await pending.prune(connection, NOW, 1) for _ in range(3)]
    assert gone == [1, 1, 0]


async def test_a_question_shows_what_is_known_and_changes_nothing(db: Database) -> None:
    desk = desk_of(db)
    session = await sign_in(desk, GOOGLE)
    shown = await question(desk, await asked(desk, WORK, target="/app"), NOW)
    proven = replace(WORK, auth_time=NOW)  # when it was, since the provider did not say
    assert (shown.identity, shown.may_separate, shown.target) == (proven, True, "/app")
    assert [(known.account_id, known.subject) for known in shown.known] == [(session.account_id, "1")]
    assert [len(await rows(db, table)) for table in (schema.accounts, schema.identities, schema.sessions)] == [1, 1, 1]


async def test_a_wrong_answer_joins_nothing_and_leaves_the_question(db: Database) -> None:
    desk = desk_of(db)
    known = await sign_in(desk, GOOGLE)
    await sign_in(desk, OTHER)
    token = await asked(desk, WORK)
    for wrong in (OTHER, WORK, identity("nobody")):
        with pytest.raises(JoinMismatch):
            await join(desk, token, Newcomer(wrong), ORIGIN, NOW)
    assert await holder_of(db, WORK) is None
    admission = await join(desk, token, Newcomer(GOOGLE), ORIGIN, NOW)
    assert admission.session
    assert await holder_of(db, WORK) == admission.session.account_id == known.account_id


async def test_a_question_is_answered_once(db: Database) -> None:
    desk = desk_of(db)
    await sign_in(desk, GOOGLE)
    token = await asked(desk, WORK)
    await stay_apart(desk, token, None, ORIGIN, NOW)
    for late in (join(desk, token, Newcomer(GOOGLE), ORIGIN, NOW), stay_apart(desk, token, None, ORIGIN, NOW)):
        with pytest.raises(AttemptExpired):
            await late
    with pytest.raises(AttemptExpired):
        await question(desk, token, NOW)
    assert await holder_of(db, WORK) != await holder_of(db, GOOGLE)


async def test_answering_takes_back_the_wish_to_be_deleted(db: Database) -> None:
    """Also when the identity that was asked about has come to the account by another way meanwhile."""
    desk = desk_of(db)
    session = await sign_in(desk, GOOGLE)
    token = await asked(desk, WORK)
    await link(desk, session.id, WORK, ORIGIN, NOW)
    await own.ask_for_deletion(db, session.account_id, ORIGIN, NOW)
    await join(desk, token, Newcomer(GOOGLE), ORIGIN, NOW)
    (account,) = await rows(db, schema.accounts)
    assert account.delete_at is None


async def test_where_sign_up_is_closed_there_is_nothing_to_keep_apart(db: Database) -> None:
    await sign_in(desk_of(db), GOOGLE)
    closed = desk_of(db, signup="closed")
    token = await asked(closed, WORK)
    shown = await question(closed, token, NOW)
    admission = await stay_apart(closed, token, None, ORIGIN, NOW)
    assert not shown.may_separate
    assert isinstance(admission.refusal, SignupClosed)
    assert await holder_of(db, WORK) is None
