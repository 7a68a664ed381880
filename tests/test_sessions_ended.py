"""Ended sessions are known without asking, everywhere, soon; and when that cannot be said, it is not said."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from signed_in import NOW, Clock, add_account, add_session
from sqlalchemy import Engine, Select, event, text

from gateway import sessions
from gateway.db import Database
from gateway.sessions.ended import COUNTS, IDS, MARGIN, PATIENCE, EndedSessions

LIFE = 300
MEMORY = 2 * LIFE + MARGIN


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


async def read(ended: EndedSessions) -> None:
    """One reading."""
    await ended.start()
    await ended.stop()


@contextmanager
def statements() -> Iterator[list[str]]:
    """What any engine is asked within the block."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


async def test_an_end_before_the_start_is_known(db: Database, ended: EndedSessions) -> None:
    gone = await end_one(db, at=NOW - LIFE)
    await read(ended)
    assert ended.has(gone)
    assert ended.has(str(gone))


async def test_a_living_session_has_not_ended(db: Database, ended: EndedSessions) -> None:
    alive = await add_session(db)
    await end_one(db)
    await read(ended)
    assert not ended.has(alive.id)


async def test_an_end_elsewhere_is_known_after_the_next_reading(db: Database, ended: EndedSessions) -> None:
    await read(ended)
    gone = await end_one(db)
    assert not ended.has(gone)
    await read(ended)
    assert ended.has(gone)


@pytest.mark.parametrize("off", [-LIFE, -120, -45, 45, 120, LIFE])
async def test_a_clock_that_differs_and_a_late_commit_hide_nothing(
    db: Database, ended: EndedSessions, off: int
) -> None:
    await end_one(db, at=NOW + off)
    await read(ended)
    gone = await end_one(db, at=NOW + off)
    await read(ended)
    assert ended.has(gone)


async def test_an_end_of_this_process_is_known_at_once(ended: EndedSessions) -> None:
    gone = uuid.uuid4()
    ended.add([gone])
    assert ended.has(gone)


async def test_at_any_time_the_ends_of_two_token_lives_are_remembered_since_a_fast_clock_makes_tokens_live_longer(
    ended: EndedSessions, clock: Clock
) -> None:
    gone: dict[int, uuid.UUID] = {}
    for now in range(NOW, NOW + 6 * LIFE, 60):
        clock.now = now
        await read(ended)
        gone[now] = uuid.uuid4()
        ended.add([gone[now]])
        assert all(ended.has(one) for at, one in gone.items() if at >= now - 2 * LIFE)


async def test_a_process_that_starts_late_knows_the_ends_of_a_slow_clock(
    db: Database, ended: EndedSessions, clock: Clock
) -> None:
    gone = await end_one(db, at=NOW - 120)
    clock.now = NOW + LIFE
    await read(ended)
    assert ended.has(gone)


async def test_an_end_is_remembered_as_long_as_a_token_may_live(
    db: Database, ended: EndedSessions, clock: Clock
) -> None:
    gone = await end_one(db)
    for later in range(0, MEMORY, 30):
        clock.now = NOW + later
        await read(ended)
        assert ended.has(gone)


async def test_an_end_shortly_before_the_generations_turn_is_remembered_as_long(
    db: Database, ended: EndedSessions, clock: Clock
) -> None:
    at = NOW + MEMORY - 60
    gone = await end_one(db, at=at)
    for now in range(at, at + MEMORY, 20):
        clock.now = now
        await read(ended)
        assert ended.has(gone)


async def test_an_end_is_forgotten_when_all_tokens_are_dead(db: Database, ended: EndedSessions, clock: Clock) -> None:
    gone = await end_one(db)
    for later in range(0, 3 * MEMORY, 30):
        clock.now = NOW + later
        await read(ended)
    assert not ended.has(gone)


async def test_before_the_first_reading_nothing_is_certain(ended: EndedSessions) -> None:
    assert not ended.trustworthy()


async def test_two_seconds_without_a_reading_are_too_long(ended: EndedSessions, steady: Clock) -> None:
    await read(ended)
    steady.now += PATIENCE
    assert ended.trustworthy()
    steady.now += 0.1
    assert not ended.trustworthy()


async def test_a_failing_database_makes_it_uncertain_until_it_answers_again(
    db: Database, ended: EndedSessions, steady: Clock, clock: Clock
) -> None:
    await read(ended)
    async with db.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE sessions RENAME TO elsewhere")
    steady.now += PATIENCE + 1
    await read(ended)
    assert not ended.trustworthy()
    async with db.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO sessions")
    gone = await end_one(db)
    clock.now += 120
    await read(ended)
    assert ended.trustworthy()
    assert ended.has(gone)


async def test_a_clock_set_back_loses_no_end(db: Database, ended: EndedSessions, clock: Clock) -> None:
    await read(ended)
    clock.now -= 3600
    gone = await end_one(db, at=NOW - 3600)
    await read(ended)
    assert ended.has(gone)


async def test_it_reads_while_the_event_loop_has_no_time(db: Database) -> None:
    ended = EndedSessions(db, Clock(), token_life=LIFE, interval=0.01)
    await ended.start()
    gone = await end_one(db)
    deadline = time.monotonic() + 20
    while not ended.has(gone) and time.monotonic() < deadline:
        time.sleep(0.01)  # noqa: ASYNC251  the loop is meant to stand still
    await ended.stop()
    assert ended.has(gone)


async def test_after_the_stop_its_thread_is_gone(db: Database) -> None:
    ended = EndedSessions(db, Clock(), token_life=LIFE)
    await ended.start()
    await ended.stop()
    assert "ended-sessions" not in {thread.name for thread in threading.enumerate()}


async def test_a_reading_that_finds_nothing_new_is_one_statement(db: Database, ended: EndedSessions) -> None:
    await end_one(db)
    await read(ended)
    with statements() as seen:
        await read(ended)
    assert len([one for one in seen if one.startswith("SELECT")]) == 1


async def test_the_reading_thread_can_change_nothing(db: Database) -> None:
    engine = db.reader(5)
    with engine.connect() as connection, pytest.raises(Exception, match=r"read-?only"):
        connection.execute(text("DELETE FROM sessions"))
    engine.dispose()


@pytest.mark.parametrize("query", [COUNTS, IDS])
def test_a_reading_uses_the_index_of_the_ends(sqlite_url: str, query: Select[Any]) -> None:
    engine = Database(sqlite_url).reader(5)
    with engine.connect() as connection:
        written = query.params(since=NOW).compile(engine, compile_kwargs={"literal_binds": True})
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {written}")).all()
    engine.dispose()
    assert "ix_sessions_ended_at" in str(plan)


async def test_the_ends_of_a_whole_account_are_known(db: Database, ended: EndedSessions) -> None:
    account_id = await add_account(db)
    ids = [(await add_session(db, account_id)).id for _ in range(3)]
    async with db.write() as connection:
        await sessions.end_for_account(connection, account_id, reason="disabled", now=NOW)
    await read(ended)
    assert all(ended.has(one) for one in ids)
