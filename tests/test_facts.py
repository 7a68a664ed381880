"""Facts of an account: read as its identity is refreshed, as in steps; and sessions know what is true meanwhile."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from admitted import NOW, identity, rows
from listening import statements_of
from racing import House, Race, hold_races, house, linking, signing_in, unlinking
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import accounts
from gateway.accounts import grants
from gateway.db import Database
from gateway.errors import Overtaken
from gateway.flows import operate
from gateway.flows.facts import facts_of, refresh, refresh_in_steps
from gateway.identity import Identity
from gateway.schema import identities
from gateway.schema import sessions as sessions_table

__all__ = ["house"]  # a fixture

ADA = identity("1", "Ada@example.com", name="Ada", picture="https://op.example/a.png", ids={"oid": "é"})
Refresh = Callable[..., Awaitable[Any]]


@pytest.fixture
async def db(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url)
    yield database
    await database.close()


async def people(db: Database, *, roles: tuple[str, ...] = ("admin", "Äditor")) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Ada with two more identities, and somebody else: account and identity of each."""
    async with db.write() as connection:
        ada, first = await accounts.create(connection, ADA, NOW)
        await accounts.add_identity(connection, ada.id, identity("2", "z@example.com", provider="microsoft"), NOW)
        unverified = identity("3", "claimed@example.com", provider="apple", email_verified=False)
        await accounts.add_identity(connection, ada.id, unverified, NOW)
        await grants.grant(connection, ada.id, roles, NOW)
        other, theirs = await accounts.create(connection, identity("4"), NOW)
    return [(ada.id, first), (other.id, theirs)]


async def came_of(db: Database, way: Refresh, *given: Any) -> tuple[Any, list[str]]:
    """The facts, or that somebody was quicker, and what is kept of identities then; undone again."""
    async with db._writer.connect() as connection, connection.begin() as transaction:
        try:
            facts = await way(connection, *given, NOW + 9)
        except Overtaken:
            facts = Overtaken
        kept = [str(row) for row in await connection.execute(select(identities).order_by(identities.c.id))]
        await transaction.rollback()
    return facts, kept


@pytest.mark.postgres
@pytest.mark.parametrize(
    "said",
    [
        ADA,
        replace(ADA, name="Countess", picture=None, ids={}, provider="renamed", email_authority=True),
        replace(ADA, email="new@example.com"),
        replace(ADA, email_verified=False),
        replace(ADA, email=None, email_verified=False),
    ],
)
async def test_an_identity_is_refreshed_as_in_steps(db: Database, said: Identity) -> None:
    (ada, first), (other, theirs) = await people(db)
    for account_id, identity_id in [(ada, first), (other, theirs), (ada, theirs), (other, first), (ada, uuid.uuid4())]:
        given = account_id, identity_id, said
        assert await came_of(db, refresh, *given) == await came_of(db, refresh_in_steps, *given)


@pytest.mark.postgres
async def test_an_account_without_address_or_role_is_refreshed_as_in_steps(db: Database) -> None:
    _, (account_id, identity_id) = await people(db, roles=())
    given = account_id, identity_id, identity("4", name="Nobody")
    assert await came_of(db, refresh, *given) == await came_of(db, refresh_in_steps, *given)


@pytest.mark.postgres
async def test_who_has_the_address_they_had_is_refreshed_in_one_statement(db: Database) -> None:
    (account_id, identity_id), _ = await people(db)
    statements = statements_of(db)

    async def counted(connection: AsyncConnection, *given: Any) -> Any:
        statements.clear()
        return await refresh(connection, *given), len(statements)

    (facts, count), _ = await came_of(db, counted, account_id, identity_id, replace(ADA, name="Countess"))
    assert count == 1
    assert facts == {
        "email": "Ada@example.com",
        "email_verified": True,
        "name": "Ada",
        "picture": "https://op.example/a.png",
        "verified": ["Ada@example.com", "z@example.com"],
        "granted": ["admin", "Äditor"],
    }


@pytest.mark.parametrize("change", ["grant", "link", "unlink"])
async def test_a_session_knows_what_changes_while_it_opens(house: House, change: str) -> None:
    async def prepare(house: House) -> Race:
        session, first, second = await house.two_ways_in()
        changing = {
            "grant": lambda desk: operate.grant(desk.database, session.account_id, "admin", NOW),
            "link": linking(session, house.somebody()),
            "unlink": unlinking(session, await house.identity_id(second)),
        }

        async def known() -> bool:
            async with house.desk.database.read() as connection:
                facts = await facts_of(connection, session.account_id)
            all_ = await rows(house.desk.database, sessions_table)
            living = [one for one in all_ if one.account_id == session.account_id and one.ended_at is None]
            return all(facts.items() <= one.facts.items() for one in living)

        return Race(
            signing_in(first),
            changing[change],
            lambda left, right: left.session and not isinstance(right, Exception),
            known,
        )

    await hold_races(house, prepare, steps=8)
