"""The database: its driver, and how often it is asked whether it is there."""

from __future__ import annotations

import asyncio

import pytest
from listening import statements_of
from sqlalchemy import create_engine, text

from gateway.db import FRESH, Database, Probe, normalise


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://h/d?sslmode=require", "postgresql+psycopg://h/d?sslmode=require"),
        ("postgresql+asyncpg://h/d?ssl=require&command_timeout=5", "postgresql+psycopg://h/d?sslmode=require"),
    ],
)
def test_postgresql_has_one_driver_whichever_the_url_names(url: str, address: str) -> None:
    assert normalise(url).render_as_string() == address


class Asked:
    """A database that answers when it is let."""

    def __init__(self, *, good: bool = True) -> None:
        self.good = good
        self.times = 0
        self.now = 0.0
        self.let = asyncio.Event()
        self.let.set()

    async def __call__(self, _patience: float) -> bool:
        self.times += 1
        await self.let.wait()
        return self.good

    def probe(self) -> Probe:
        return Probe(self, clock=lambda: self.now)


async def test_who_asks_meanwhile_has_the_same_answer() -> None:
    asked = Asked()
    asked.let.clear()
    probe = asked.probe()
    waiting = [asyncio.create_task(probe(1)) for _ in range(50)]
    await asyncio.sleep(0)
    asked.let.set()
    assert (await asyncio.gather(*waiting), asked.times) == ([True] * 50, 1)


async def test_a_bad_answer_is_kept_no_longer_than_a_good_one() -> None:
    asked = Asked(good=False)
    probe = asked.probe()
    before = [await probe(1), await probe(1)]
    asked.good, asked.now = True, FRESH
    assert (before, await probe(1), asked.times) == ([False, False], True, 2)


async def test_one_who_went_away_leaves_the_question_to_the_next() -> None:
    asked = Asked()
    asked.let.clear()
    probe = asked.probe()
    first, second = asyncio.create_task(probe(1)), asyncio.create_task(probe(1))
    await asyncio.sleep(0)
    first.cancel()
    asked.let.set()
    assert await second


async def test_a_database_is_asked_once_by_however_many(database_url: str) -> None:
    database = Database(database_url)
    statements = statements_of(database)
    answered = await asyncio.gather(*(database.answers(10) for _ in range(20)))
    await database.close()
    assert (answered, statements.count("SELECT 1")) == ([True] * 20, 1)


@pytest.mark.postgres
async def test_a_connection_that_the_server_has_cut_is_not_used(postgres_url: str) -> None:
    """Not even for what must not be tried twice."""
    database, other = Database(postgres_url), create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    try:
        async with database.write() as connection:
            cut = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        with other.connect() as beside:
            assert beside.scalar(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": cut})  # waits, in ms
        async with database.write() as connection:
            assert (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one() != cut
    finally:
        other.dispose()
        await database.close()
