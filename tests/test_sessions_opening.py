"""Sessions that open: on PostgreSQL in one statement, and what comes of it is what the steps would have come to."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from listening import statements_of
from signed_in import DAY, NOW, add_account, add_session
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import schema, sessions
from gateway.db import Database
from gateway.events import Event, Origin
from gateway.sessions import MOST, Opening, Session
from gateway.sessions.opening import (
    open_grant_at_once,
    open_grant_in_steps,
    open_own_at_once,
    open_own_in_steps,
)

pytestmark = pytest.mark.postgres

APPS = ("spa", "web")
ORIGIN = Origin("192.0.2.7", "Mozilla/5.0", "request")
Opens = Callable[[AsyncConnection], Awaitable[list[Session]]]


@pytest.fixture
async def db(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url)
    yield database
    await database.close()


async def crowd(db: Database, chance: random.Random) -> list[Session]:
    """Two accounts with so many sessions of their own and grants of these that there is no room for more, of every
    age; some have ended, some have expired, some are to be told of."""
    made: list[Session] = []
    for account_id in [await add_account(db), await add_account(db)]:
        own = [made_of(account_id, now=NOW - chance.randrange(400)) for _ in range(MOST + 3)]
        for _ in range(2 * MOST + 40):
            given = {
                "client_id": chance.choices(APPS, [6, *(1 for _ in APPS[1:])])[0],
                "parent_id": chance.choice([own[0].id, own[1].id, None]),
            }
            given |= {"scope": chance.choice(["openid", "openid offline_access"]), "facts": {"sid": uuid.uuid4().hex}}
            given |= {"expires_at": NOW} if chance.random() < 0.1 else {}
            made.append(made_of(account_id, now=NOW - chance.randrange(900), **given))
        made += own
    async with db.write() as connection:
        for one in made:
            await sessions.add(connection, one)
        for one in chance.sample(made, 10):
            which = schema.sessions.c.id == one.id
            await connection.execute(update(schema.sessions).where(which).values(ended_at=NOW - 5, end_reason="ended"))
    return made


def made_of(account_id: uuid.UUID, **given: Any) -> Session:
    values: dict[str, Any] = {"account_id": account_id, "identity_id": account_id, "now": NOW, "scope": "openid"}
    values |= {"client_id": "gateway", "provider": "google", "auth_time": NOW, "expires_at": NOW + DAY}
    return sessions.new(**values | {"user_agent": "é\x00", "ip": "", "facts": {"é": [1]}} | given)


async def written(connection: AsyncConnection) -> list[Any]:
    """Everything that the transaction sees; of what is made up anew each time only that it is there."""
    found: list[Any] = []
    for table in (schema.sessions, schema.events, schema.logouts):
        columns = [column for column in table.c if table is schema.sessions or column.name != "id"]
        rows = await connection.execute(select(*columns))
        found.append(sorted(str(dict(row._mapping)) for row in rows))
    return found


async def came_of(db: Database, opens: Opens) -> tuple[list[Any], list[Session]]:
    """What it writes and what it says has ended; undone again."""
    async with db._writer.connect() as connection, connection.begin() as transaction:
        ended = await opens(connection)
        seen = await written(connection)
        await transaction.rollback()
    return seen, sorted(ended, key=lambda one: one.id)


def opening(account: Session, **given: Any) -> Opening:
    session = made_of(account.account_id, **given)
    signed_in = Event("signed_in", session.account_id, session.id, "google", {"client": session.client_id})
    return Opening(session, signed_in, ORIGIN, NOW)


def choices(made: Sequence[Session]) -> list[Session | None]:
    """What a browser had: nothing, a session of the account, its grants' parent, somebody else's, a grant."""
    own = [one for one in made if one.client_id == "gateway"]
    return [None, own[0], own[1], own[5], own[-1], own[-MOST - 2], made[0]]


async def test_a_browsers_session_opens_as_in_steps(db: Database) -> None:
    made = await crowd(db, random.Random(5))  # noqa: S311  the same crowd each time
    counts = set()
    for replaced in choices(made):
        new, before = opening(made[0]), replaced.id if replaced else None
        at_once = await came_of(db, lambda c, new=new, before=before: open_own_at_once(c, new, before))
        assert at_once == await came_of(db, lambda c, new=new, before=before: open_own_in_steps(c, new, before))
        counts.add(len(at_once[1]))
    assert len(counts) > 2


async def test_a_grant_opens_as_in_steps(db: Database) -> None:
    made = await crowd(db, random.Random(6))  # noqa: S311  the same crowd each time
    counts = set()
    for parent in (None, *(one for one in choices(made) if one)):
        for client_id in APPS:
            for before in (0, NOW - 450, NOW + 1):
                new = opening(made[0], client_id=client_id, parent_id=parent.id if parent else None)
                at_once = await came_of(db, lambda c, new=new, before=before: open_grant_at_once(c, new, before))
                assert at_once == await came_of(
                    db, lambda c, new=new, before=before: open_grant_in_steps(c, new, before)
                )
                counts.add(len(at_once[1]))
    assert len(counts) > 2


async def test_it_is_one_statement(db: Database) -> None:
    first = await add_session(db)
    asked = statements_of(db)
    async with db.write() as connection:
        await sessions.open_own(connection, opening(first), first.id)
        await sessions.open_grant(connection, opening(first, client_id="spa"), NOW)
    assert len(asked) == 2
