"""Admission: the session of a verified identity, and what it makes end."""

from __future__ import annotations

from admitted import ORIGIN, asked, desk_of, identity, rows, sign_in
from signed_in import NOW, add_account, add_session
from sqlalchemy import select

from gateway import sessions
from gateway.accounts import Policy
from gateway.db import Database
from gateway.events import Origin
from gateway.flows.admit import Desk, Newcomer, Terms
from gateway.flows.join import join
from gateway.flows.own import ask_for_deletion
from gateway.identity import Identity
from gateway.schema import accounts, events
from gateway.sealing import Sealer

TERMS = Terms(Policy("closed"), 1000)


async def test_a_sign_in_ends_what_an_account_has_too_much_of_and_says_so(database_url: str) -> None:
    database = Database(database_url)
    account_id = await add_account(database)
    held = [await add_session(database, account_id, now=NOW - 200 + n) for n in range(sessions.MOST + 1)]
    who = Newcomer(Identity("google", "https://op.example", str(account_id)), replaces=held[-1].id)
    admission = await Desk(database, Sealer([b"1" * 32]), TERMS).admit(who, Origin(), NOW)
    async with database.read() as connection:
        told = select(events.c.session_id, events.c.detail).where(events.c.name == "session_ended")
        rows = {row.session_id: row.detail["reason"] for row in await connection.execute(told)}
    await database.close()
    assert rows == {held[0].id: "too_many", held[-1].id: "replaced"}
    assert set(admission.ended) == rows.keys()


async def test_a_proof_that_brings_an_account_back_and_an_identity_to_it_says_each_once(database_url: str) -> None:
    database = Database(database_url)
    desk = desk_of(database)
    known, new = identity("1", "ada@example.com"), identity("2", "ada@example.com", provider="microsoft")
    session = await sign_in(desk, known)
    token = await asked(desk, new)
    await ask_for_deletion(database, session.account_id, ORIGIN, NOW)
    assert (await join(desk, token, Newcomer(known), ORIGIN, NOW)).session
    names = [row.name for row in await rows(database, events)]
    (account,) = await rows(database, accounts)
    await database.close()
    assert (names.count("deletion_cancelled"), names.count("identity_linked"), account.delete_at) == (1, 1, None)
