"""Reception in trouble: nobody is half admitted, nobody is held up by a neighbour, and it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from admitted import NOW, ORIGIN, broken, desk_of, identity, rows, sign_in
from backends import pooled
from listening import listen, statements_of

from gateway import accounts
from gateway.db import Database
from gateway.errors import Unavailable
from gateway.flows.admit import Admission, Grant, Newcomer
from gateway.flows.reception import Reception
from gateway.identity import Identity, ProviderTokens
from gateway.schema import events, identities, sessions

pytestmark = pytest.mark.postgres

PEOPLE = [identity(name, f"{name}@example.com") for name in ("ada", "bob", "eve")]
STATEMENTS = ["SKIP LOCKED", "UPDATE identities", "INSERT INTO sessions"]  # what a batch asks, in order


@pytest.fixture
async def db(postgres_url: str) -> AsyncIterator[Database]:
    database = Database(postgres_url)
    for who in PEOPLE:
        await sign_in(desk_of(database), who)
    yield database
    assert await broken(database) == []
    await database.close()


@contextmanager
def before(db: Database, statement: str, happens: Callable[[Any], None]) -> Iterator[None]:
    """Something that happens at the connection once, before a statement with these words."""
    left = [happens]

    def look(connection: Any, _cursor: Any, words: str, *_: Any) -> None:
        if statement in words and left:
            left.pop()(connection)

    end = listen(db, "before_cursor_execute", look)
    yield
    end()
    assert not left


def raising(state: str) -> Callable[[Any], None]:
    return lambda connection: connection.exec_driver_sql(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$")


def cut(connection: Any) -> None:
    connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")


async def all_come(reception: Reception, *more: Identity) -> list[Any]:
    coming = (reception.admit_in_company(Newcomer(who), ORIGIN, NOW) for who in (*PEOPLE, *more))
    return await asyncio.gather(*coming, return_exceptions=True)


async def signed_in(db: Database) -> list[int]:
    """How many sessions there are, and how many events that say so."""
    said = [row for row in await rows(db, events) if row.name == "signed_in"]
    return [len(await rows(db, sessions)), len(said)]


@pytest.mark.parametrize("state", ["40P01", "40001", "22P05", "54000", "57014"])
@pytest.mark.parametrize("statement", STATEMENTS)
async def test_everybody_is_admitted_once_when_a_batch_fails(db: Database, statement: str, state: str) -> None:
    with before(db, statement, raising(state)):
        admissions = await all_come(Reception(desk_of(db)))
    assert all(one.session for one in admissions)
    assert await signed_in(db) == [6, 6]


@pytest.mark.parametrize("state", ["40P01", "40001"])
@pytest.mark.parametrize("statement", ["FOR NO KEY UPDATE", "UPDATE identities", "INSERT INTO sessions"])
async def test_who_comes_alone_is_admitted_when_a_race_is_lost(db: Database, statement: str, state: str) -> None:
    with before(db, statement, raising(state)):
        admission = await desk_of(db).admit(Newcomer(PEOPLE[0]), ORIGIN, NOW)
    assert admission.session
    assert await signed_in(db) == [4, 4]


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_nobody_is_half_admitted_when_the_connection_is_lost_and_it_goes_on(db: Database, statement: str) -> None:
    reception = Reception(desk_of(db))
    with before(db, statement, cut):
        refused = await all_come(reception)
    assert [type(one) for one in refused] == [Unavailable] * 3
    assert await signed_in(db) == [3, 3]
    assert {row.last_used_at for row in await rows(db, identities)} == {NOW}
    assert all(one.session for one in await all_come(reception))


async def test_who_cannot_be_written_spoils_nothing_for_the_others(db: Database) -> None:
    async with db.write() as connection:
        await accounts.create(connection, identity("odd"), NOW)
    odd = replace(identity("odd"), name="\x00")  # no text of PostgreSQL's
    *admissions, trouble = await all_come(Reception(desk_of(db)), odd)
    assert all(one.session for one in admissions)
    assert isinstance(trouble, Exception)
    assert await signed_in(db) == [6, 6]


async def test_who_goes_away_changes_nothing_for_the_others(db: Database) -> None:
    reception = Reception(desk_of(db))
    tasks = [asyncio.create_task(reception.admit_in_company(Newcomer(who), ORIGIN, NOW)) for who in PEOPLE]
    with before(db, STATEMENTS[1], lambda _connection: tasks[0].cancel() and None):
        gone, *admissions = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(gone, asyncio.CancelledError)
    assert all(isinstance(one, Admission) and one.session for one in admissions)
    assert await signed_in(db) == [6, 6]


async def test_nobody_waits_for_a_neighbour_whose_account_is_held(db: Database, postgres_url: str) -> None:
    reception = Reception(desk_of(db))
    other = Database(postgres_url)
    async with other.write() as connection:
        await accounts.find(connection, PEOPLE[0])
        tasks = [asyncio.create_task(reception.admit_in_company(Newcomer(who), ORIGIN, NOW)) for who in PEOPLE]
        neighbours = await asyncio.wait_for(asyncio.gather(*tasks[1:]), 30)
        assert not tasks[0].done()
    await other.close()
    assert all(one.session for one in (await tasks[0], *neighbours))


async def test_it_takes_three_statements_for_everybody(db: Database) -> None:
    asked = statements_of(db)
    assert all(one.session for one in await all_come(Reception(desk_of(db))))
    assert [words in statement for words, statement in zip(STATEMENTS, asked, strict=True)] == [True] * 3


async def test_what_an_application_or_a_provider_left_is_kept_too(db: Database) -> None:
    reception, ada = Reception(desk_of(db)), Newcomer(PEOPLE[0])
    kept = replace(ada, tokens=ProviderTokens("an access token"))
    granted = replace(ada, grant=Grant("spa", "openid", 60))
    asked = statements_of(db)
    for one in (kept, granted):
        admission = await reception.admit_in_company(one, ORIGIN, NOW)
        assert admission.session
        assert admission.session.client_id == ("spa" if one is granted else "gateway")
    assert not [statement for statement in asked if STATEMENTS[0] in statement]


@pytest.mark.parametrize("size", [1, 2])
async def test_it_goes_on_behind_a_pooler(db: Database, postgres_url: str, size: int) -> None:
    with pooled(postgres_url, size) as url:
        pooling = Database(url)
        reception = Reception(desk_of(pooling))
        for _ in range(12):
            assert all(one.session for one in await all_come(reception))
        await pooling.close()
    assert await signed_in(db) == [39, 39]
