"""Who am I: one statement for account, identities and session."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
from signed_in import NOW, add_session
from sqlalchemy import event

from gateway import sessions
from gateway.db import Database
from gateway.errors import InvalidToken
from gateway.flows import whoami


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url)
    yield made
    await made.close()


async def test_the_account_comes_with_its_identities_and_the_session(database: Database) -> None:
    session = await add_session(database)
    await add_session(database, session.account_id)
    found = await whoami.look_up(database, session.account_id, session.id, NOW)
    assert found.account.id == session.account_id
    assert [identity.account_id for identity in found.identities] == [session.account_id]
    assert found.session == session


async def test_one_statement_is_asked(database: Database) -> None:
    session, asked = await add_session(database), []
    event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *seen: asked.append(seen[2]))
    await whoami.look_up(database, session.account_id, session.id, NOW)
    assert len(asked) == 1


async def test_an_account_that_is_gone_has_no_token(database: Database) -> None:
    session = await add_session(database)
    with pytest.raises(InvalidToken, match="gone"):
        await whoami.look_up(database, uuid.uuid4(), session.id, NOW)


async def test_a_session_that_has_ended_has_no_token(database: Database) -> None:
    session = await add_session(database)
    async with database.write() as connection:
        await sessions.end(connection, session.id, reason="signed_out", now=NOW)
    with pytest.raises(InvalidToken, match="session"):
        await whoami.look_up(database, session.account_id, session.id, NOW)


async def test_a_session_that_has_expired_has_no_token(database: Database) -> None:
    session = await add_session(database)
    with pytest.raises(InvalidToken, match="session"):
        await whoami.look_up(database, session.account_id, session.id, session.expires_at)
