"""Who am I: account, identities and session in one statement for all who ask at once, as if each had asked alone."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest
from listening import statements_of
from signed_in import NOW, Clock, add_account, add_session
from sqlalchemy import insert, update

from gateway import accounts, sessions
from gateway.accounts import merges
from gateway.db import Database
from gateway.errors import InvalidToken
from gateway.flows.whoami import Myself, Whoami
from gateway.schema import accounts as account_table
from gateway.schema import identities
from gateway.sessions import Session


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url)
    yield made
    await made.close()


@pytest.fixture
def whoami(database: Database) -> Whoami:
    return Whoami(database, Clock())


async def test_the_account_comes_with_its_identities_and_the_session(database: Database, whoami: Whoami) -> None:
    session = await add_session(database)
    await add_session(database, session.account_id)
    found = await whoami.look_up(session.account_id, session.id)
    assert found.account.id == session.account_id
    assert [identity.account_id for identity in found.identities] == [session.account_id]
    assert found.session == session


async def test_one_statement_is_asked_also_for_many(database: Database, whoami: Whoami) -> None:
    made = [await add_session(database) for _ in range(20)]
    asked = statements_of(database)
    await whoami.look_up(made[0].account_id, made[0].id)
    assert len([one for one in asked if one.startswith("SELECT")]) == 1
    found = await asyncio.gather(*(whoami.look_up(one.account_id, one.id) for one in made * 2))
    assert [one.session for one in found] == made * 2
    assert len([one for one in asked if one.startswith("SELECT")]) == 2


async def test_an_account_that_is_gone_has_no_token(database: Database, whoami: Whoami) -> None:
    session = await add_session(database)
    with pytest.raises(InvalidToken, match="gone"):
        await whoami.look_up(uuid.uuid4(), session.id)


async def test_a_session_that_has_ended_has_no_token(database: Database, whoami: Whoami) -> None:
    session = await add_session(database)
    async with database.write() as connection:
        await sessions.end(connection, session.id, reason="signed_out", now=NOW)
    with pytest.raises(InvalidToken, match="session"):
        await whoami.look_up(session.account_id, session.id)


async def test_a_session_that_has_expired_has_no_token(database: Database) -> None:
    session = await add_session(database)
    with pytest.raises(InvalidToken, match="session"):
        await Whoami(database, Clock(session.expires_at)).look_up(session.account_id, session.id)


async def alone(database: Database, account_id: uuid.UUID, session_id: uuid.UUID) -> Myself | str:
    """The plain way: a statement for each thing, for one who asks."""
    async with database.read() as connection:
        profile = await accounts.profile(connection, account_id)
        session = await sessions.get(connection, session_id, NOW)
        merged = tuple(await merges.merged_from(connection, account_id))
    if profile is None:
        return "the account is gone"
    return "the session has ended" if session is None else Myself(*profile, session, merged)


async def at_once(whoami: Whoami, asked: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> list[Myself | str]:
    found = await asyncio.gather(*(whoami.look_up(*one) for one in asked), return_exceptions=True)
    assert all(isinstance(one, Myself | InvalidToken) for one in found)
    return [one if isinstance(one, Myself) else str(one.cause) for one in found]  # type: ignore[union-attr]


async def people(database: Database, chance: random.Random) -> list[Session]:
    """Sessions of accounts with none to four identities, some of which took in others; some have ended or expired."""
    made: list[Session] = []
    for _ in range(30):
        account_id = await add_account(database)
        for _ in range(chance.randrange(2)):
            given = {"expires_at": NOW} if chance.random() < 0.2 else {}
            made.append(await add_session(database, account_id, facts={"é": chance.random()}, **given))
    async with database.write() as connection:
        ids = list(dict.fromkeys(one.account_id for one in made))
        for place, account_id in enumerate(ids):
            for _ in range(chance.randrange(4)):
                key = {
                    "account_id": account_id,
                    "provider": "google",
                    "issuer": "https://op.example",
                    "ids": {"a": "ü"},
                }
                used = {"email_verified": True, "linked_at": NOW - chance.randrange(3), "last_used_at": NOW}
                row = {"id": uuid.uuid4(), "subject": str(uuid.uuid4()), "ids": {"sub": "é"}, **key, **used}
                await connection.execute(insert(identities), row)
            if place and chance.random() < 0.3:
                which = account_table.c.id == account_id
                await connection.execute(update(account_table).where(which).values(merged_into=ids[place - 1]))
                await connection.execute(identities.delete().where(identities.c.account_id == account_id))
        for one in made[::5]:
            await sessions.end(connection, one.id, reason="ended", now=NOW)
    return made


async def test_who_asks_among_many_is_told_what_they_would_be_told_alone(database: Database, whoami: Whoami) -> None:
    chance = random.Random(11)  # noqa: S311  the same people each time
    made = await people(database, chance)
    asked = [(one.account_id, one.id) for one in made]
    asked += [(chance.choice(made).account_id, chance.choice(made).id) for _ in range(20)]  # somebody else's session
    asked += [(uuid.uuid4(), chance.choice(made).id), (made[0].account_id, uuid.uuid4()), *asked[:10]]
    chance.shuffle(asked)
    expected = [await alone(database, *one) for one in asked]
    assert await at_once(whoami, asked) == expected
    assert {type(one) for one in expected} == {Myself, str}
    assert any(isinstance(one, Myself) and one.merged for one in expected)
    assert {0, 1, 3} <= {len(one.identities) for one in expected if isinstance(one, Myself)}
