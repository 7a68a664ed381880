"""Admission: the session of a verified identity, and what it makes end."""

from __future__ import annotations

from signed_in import NOW, add_account, add_session
from sqlalchemy import select

from gateway import sessions
from gateway.accounts import Policy
from gateway.db import Database
from gateway.events import Origin
from gateway.flows.admit import Desk, Newcomer, Terms
from gateway.identity import Identity
from gateway.schema import events
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
