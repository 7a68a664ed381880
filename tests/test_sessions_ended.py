"""Ended sessions are known without asking, everywhere, soon; and when that cannot be said, it is not said."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from signed_in import NOW, Clock, add_account, add_session

from gateway import sessions
from gateway.db import Database
from gateway.sessions.ended import MARGIN, OVERLAP, PATIENCE, EndedSessions

LIFE = 300


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def steady() -> Clock:
    return Clock(1000)


@pytest.fixture
def ended(db: Database, clock: Clock, steady: Clock) -> EndedSessions:
    return EndedSessions(db, clock, token_life=LIFE, steady=steady)


async def end_one(db: Database, at: int = NOW) -> uuid.UUID:
    made = await add_session(db)
    async with db.write() as connection:
        await sessions.end(connection, made.id, reason="ended", now=at)
    return made.id


async def test_an_end_before_the_start_is_known(db: Database, ended: EndedSessions) -> None:
    gone = await end_one(db, at=NOW - LIFE)
    await ended.refresh()
    assert ended.has(gone)
    assert ended.has(str(gone))


async def test_a_living_session_has_not_ended(db: Database, ended: EndedSessions) -> None:
    alive = await add_session(db)
    await end_one(db)
    await ended.refresh()
    assert not ended.has(alive.id)


async def test_an_end_elsewhere_is_known_after_the_next_reading(db: Database, ended: EndedSessions) -> None:
    await ended.refresh()
    gone = await end_one(db)
    assert not ended.has(gone)
    await ended.refresh()
    assert ended.has(gone)


@pytest.mark.parametrize("off", [-OVERLAP, OVERLAP])
async def test_a_clock_that_differs_and_a_late_commit_hide_nothing(
    db: Database, ended: EndedSessions, off: int
) -> None:
    await ended.refresh()
    gone = await end_one(db, at=NOW + off)
    await ended.refresh()
    assert ended.has(gone)


async def test_an_end_of_this_process_is_known_at_once(ended: EndedSessions) -> None:
    gone = uuid.uuid4()
    ended.add([gone])
    assert ended.has(gone)


async def test_an_end_is_remembered_as_long_as_a_token_may_live(
    db: Database, ended: EndedSessions, clock: Clock
) -> None:
    gone = await end_one(db)
    for later in range(0, LIFE + MARGIN, 30):
        clock.now = NOW + later
        await ended.refresh()
        assert ended.has(gone)


async def test_an_end_shortly_before_the_generations_turn_is_remembered_as_long(
    db: Database, ended: EndedSessions, clock: Clock
) -> None:
    at = NOW + LIFE + MARGIN - 2 * OVERLAP
    gone = await end_one(db, at=at)
    for now in range(at, at + LIFE + MARGIN, 20):
        clock.now = now
        await ended.refresh()
        assert ended.has(gone)


async def test_an_end_is_forgotten_when_all_tokens_are_dead(db: Database, ended: EndedSessions, clock: Clock) -> None:
    gone = await end_one(db)
    for later in range(0, 3 * (LIFE + MARGIN), 30):
        clock.now = NOW + later
        await ended.refresh()
    assert not ended.has(gone)


async def test_before_the_first_reading_nothing_is_certain(ended: EndedSessions) -> None:
    assert not ended.trustworthy()


async def test_two_seconds_without_a_reading_are_too_long(ended: EndedSessions, steady: Clock) -> None:
    await ended.refresh()
    steady.now += PATIENCE
    assert ended.trustworthy()
    steady.now += 0.1
    assert not ended.trustworthy()


async def test_a_failing_database_makes_it_uncertain_until_it_answers_again(
    db: Database, ended: EndedSessions, steady: Clock, clock: Clock
) -> None:
    await ended.refresh()
    async with db.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE sessions RENAME TO elsewhere")
    steady.now += PATIENCE + 1
    await ended.refresh()
    assert not ended.trustworthy()
    async with db.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO sessions")
    gone = await end_one(db)
    clock.now += 120
    await ended.refresh()
    assert ended.trustworthy()
    assert ended.has(gone)


async def test_a_clock_set_back_loses_no_end(db: Database, ended: EndedSessions, clock: Clock) -> None:
    await ended.refresh()
    clock.now -= 3600
    gone = await end_one(db, at=NOW - 3600)
    await ended.refresh()
    assert ended.has(gone)


async def test_it_reads_by_itself_from_start_to_stop(db: Database) -> None:
    ended = EndedSessions(db, Clock(), token_life=LIFE, interval=0.01)
    await ended.start()
    gone = await end_one(db)
    async with asyncio.timeout(20):
        while not ended.has(gone):  # noqa: ASYNC110  nothing else tells
            await asyncio.sleep(0.01)
    await ended.stop()
    assert "ended-sessions" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_the_ends_of_a_whole_account_are_known(db: Database, ended: EndedSessions) -> None:
    account_id = await add_account(db)
    ids = [(await add_session(db, account_id)).id for _ in range(3)]
    async with db.write() as connection:
        await sessions.end_for_account(connection, account_id, reason="disabled", now=NOW)
    await ended.refresh()
    assert all(ended.has(one) for one in ids)
