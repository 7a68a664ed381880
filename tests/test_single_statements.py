"""Single statements: answered once they are committed, on SQLite in one step of one thread of their own."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from listening import listen, statements_of, waiter
from signed_in import NOW, add_session, row_of
from sqlalchemy import event, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from gateway.attempts import row_of as spent_row
from gateway.attempts import spend_alone, spend_once
from gateway.db import Database, is_outage
from gateway.schema import sessions, spent

THREADS = "gateway-statement"


@pytest.fixture
async def lite(sqlite_url: str) -> AsyncIterator[Database]:
    database = Database(sqlite_url)
    yield database
    await database.close()


def file_of(database: Database) -> str:
    assert database.url.database
    return database.url.database


def is_open(database: Database) -> bool:
    """Whether there is a connection: the last one takes the log away."""
    return Path(f"{file_of(database)}-wal").exists()


def spent_in(database: Database) -> int:
    """How many values are spent, as another process sees it."""
    connection = sqlite3.connect(file_of(database))
    try:
        (count,) = connection.execute("SELECT count(*) FROM spent").fetchone()
    finally:
        connection.close()
    return int(count)


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """As by another process that writes."""
    connection = sqlite3.connect(file_of(database), isolation_level=None, timeout=10)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


def impatient(database: Database, **pragmas: int) -> None:
    """Connections from now on wait for another process for 0.1 s; `pragmas` are theirs, too."""

    def prepare(connection: Any, _entry: object) -> None:
        for name, value in ({"busy_timeout": 100} | pragmas).items():
            connection.cursor().execute(f"PRAGMA {name}={value}")

    listen(database, "connect", prepare)


class Held:
    """The first statement from now on with this word: it begins, and goes on when it is let."""

    def __init__(self, database: Database, word: str) -> None:
        self.word = word
        self.begun, self.let = asyncio.Event(), asyncio.Event()
        self.loop, self.wait = asyncio.get_running_loop(), waiter()
        self.held: list[str] = []
        listen(database, "before_cursor_execute", self.hold)

    def hold(self, *details: Any) -> None:
        if details[2].startswith(self.word) and not self.held:
            self.held.append(details[2])
            self.loop.call_soon_threadsafe(self.begun.set)
            self.wait(self.let.wait())


async def test_rows_are_those_of_the_statement(db: Database) -> None:
    made = await add_session(db)
    change = update(sessions).where(sessions.c.id == made.id).values(current=7)
    rows = await db.execute(change.returning(sessions.c.id, sessions.c.facts))
    assert rows == [(made.id, {"verified": ["ada@example.com"], "groups": []})]
    assert await db.query(select(sessions.c.current)) == [(7,)]
    assert await db.execute(update(sessions).values(current=8)) == []
    assert (await row_of(db, made.id)).current == 8


async def test_many_rows_are_one_statement(db: Database) -> None:
    asked = statements_of(db)
    rows = [spent_row(str(number), NOW) for number in range(50)]
    assert len(await db.execute(spend_once(db.dialect), rows)) == 50
    assert len(await db.execute(spend_once(db.dialect), [*rows[:10], spent_row("new", NOW)])) == 1
    assert len([one for one in asked if one.startswith("INSERT")]) == 2


async def test_what_is_answered_is_there_for_everybody(lite: Database) -> None:
    for number in range(1, 20):
        assert await spend_alone(lite, str(number), NOW)
        assert spent_in(lite) == number


async def test_it_takes_none_of_the_drivers_steps(lite: Database) -> None:
    by_driver: list[Any] = []
    event.listen(lite.engine.sync_engine, "before_cursor_execute", lambda *told: by_driver.append(told[2]))
    threads: set[str] = set()
    listen(lite, "before_cursor_execute", lambda *_: threads.add(threading.current_thread().name))
    await spend_alone(lite, "one", NOW)
    await lite.query(select(spent))
    assert by_driver == []
    assert threads == {f"{THREADS}_0"}


def started(before: list[threading.Thread]) -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name.startswith(THREADS) and one not in before]


async def test_nothing_is_started_before_it_is_needed(db: Database) -> None:
    before = threading.enumerate()
    async with db.write() as connection:
        await connection.execute(insert(spent).values(spent_row("one", NOW)))
    await db.answers(10)
    assert started(before) == []
    await spend_alone(db, "two", NOW)
    assert len(started(before)) == (db.dialect == "sqlite")


async def test_connections_are_as_careful_as_the_others(lite: Database) -> None:
    async def pragma(name: str) -> Any:
        return [tuple(row) for row in await lite.execute(text(f"PRAGMA {name}"))]

    asked = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    assert [await pragma(name) for name in asked] == [[("wal",)], [(2,)], [(1,)], [(15_000,)]]


async def test_what_only_reads_cannot_write(lite: Database) -> None:
    with pytest.raises(OperationalError, match="readonly"):
        await lite.query(insert(spent).values(spent_row("one", NOW)))
    assert spent_in(lite) == 0


async def test_what_reads_waits_for_no_writer(lite: Database) -> None:
    made = await add_session(lite)
    async with asyncio.timeout(10), lite.write() as connection:
        await connection.execute(update(sessions).values(current=1))
        assert await lite.query(select(sessions.c.id, sessions.c.current)) == [(made.id, 0)]


async def test_a_statement_waits_for_a_transaction_of_this_process(lite: Database) -> None:
    async with lite.write() as connection:
        await connection.execute(insert(spent).values(spent_row("one", NOW)))
        waiting = asyncio.create_task(spend_alone(lite, "one", NOW))
        await asyncio.sleep(0.05)
        assert not waiting.done()
    assert not await waiting


async def test_a_statement_that_fails_leaves_nothing_behind(db: Database) -> None:
    made = await add_session(db)
    with pytest.raises(IntegrityError):
        await db.execute(insert(spent), [spent_row("one", NOW), spent_row("one", NOW)])
    with pytest.raises(IntegrityError):
        await db.execute(update(sessions).values(account_id=uuid.uuid4()))
    assert await db.query(select(spent)) == []
    assert await spend_alone(db, "one", NOW)
    async with db.write() as connection:
        await connection.execute(update(sessions).where(sessions.c.id == made.id).values(current=1))


async def test_a_commit_that_fails_is_no_answer(lite: Database) -> None:
    made = await add_session(lite)
    lane = lite.engines[1]
    later = "PRAGMA defer_foreign_keys=ON"  # until the next commit
    event.listen(lane, "begin", lambda connection: connection.exec_driver_sql(later), once=True)
    change = update(sessions).values(account_id=uuid.uuid4()).returning(sessions.c.id)
    with pytest.raises(IntegrityError):
        await lite.execute(change)
    with locked(lite):
        assert (await row_of(lite, made.id)).account_id == made.account_id
    assert await spend_alone(lite, "one", NOW)


async def test_a_full_disk_is_an_outage_and_passes(lite: Database) -> None:
    (pages,) = (await lite.query(text("PRAGMA page_count")))[0]
    impatient(lite, max_page_count=pages)
    many = [spent_row(str(number), NOW) for number in range(2_000)]
    with pytest.raises(OperationalError, match="full") as failed:
        await lite.execute(spend_once("sqlite"), many)
    assert is_outage(failed.value)
    assert spent_in(lite) == 0
    await lite.execute(text("PRAGMA max_page_count=100000"))
    assert len(await lite.execute(spend_once("sqlite"), many)) == 2_000


async def test_it_waits_for_another_process_that_writes(lite: Database) -> None:
    with locked(lite):
        waiting = asyncio.create_task(spend_alone(lite, "one", NOW))
        since = time.monotonic()
        await asyncio.sleep(2)
        assert time.monotonic() - since < 10, "nothing else is held up"
        assert not waiting.done()
    assert await waiting


async def test_who_waits_too_long_for_another_process_is_told(lite: Database) -> None:
    impatient(lite)
    with locked(lite), pytest.raises(OperationalError, match="locked") as failed:
        await spend_alone(lite, "one", NOW)
    assert is_outage(failed.value)
    assert await spend_alone(lite, "one", NOW)


async def test_a_file_that_cannot_be_opened_is_an_outage(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/nowhere/gateway.db")
    for ask in (database.execute, database.query):
        with pytest.raises(OperationalError) as failed:
            await ask(text("SELECT 1"))
        assert is_outage(failed.value)
    await database.close()


async def test_who_goes_away_leaves_the_step_to_be_finished_before_the_next(lite: Database) -> None:
    asked, held = statements_of(lite), Held(lite, "INSERT")
    leaving = asyncio.create_task(spend_alone(lite, "one", NOW))
    await held.begun.wait()
    leaving.cancel()
    asked.clear()

    async def next_one() -> bool:
        async with lite.write() as connection:
            return bool((await connection.execute(spend_once("sqlite"), spent_row("one", NOW))).all())

    following = [asyncio.create_task(next_one()), asyncio.create_task(spend_alone(lite, "two", NOW))]
    await asyncio.sleep(0.05)
    assert asked == []
    held.let.set()
    assert await asyncio.gather(*following) == [False, True]
    assert leaving.cancelled()


def test_a_loop_that_ends_meanwhile_leaves_the_turn_to_the_next(sqlite_url: str) -> None:
    database = Database(sqlite_url)

    async def ends_meanwhile() -> asyncio.Task[bool]:
        held = Held(database, "INSERT")
        leaving = asyncio.create_task(spend_alone(database, "one", NOW))
        await held.begun.wait()
        held.loop.call_later(0.1, held.let.set)
        return leaving

    async def goes_on() -> bool:
        async with asyncio.timeout(20):
            fresh = await spend_alone(database, "two", NOW)
            await database.close()
        return fresh

    assert asyncio.run(ends_meanwhile()).cancelled()
    assert asyncio.run(goes_on())


async def test_nobody_is_bothered_by_the_failure_of_what_they_left(lite: Database) -> None:
    await add_session(lite)
    held = Held(lite, "UPDATE")
    leaving = asyncio.create_task(lite.execute(update(sessions).values(account_id=uuid.uuid4())))
    await held.begun.wait()
    leaving.cancel()
    held.let.set()
    assert await spend_alone(lite, "one", NOW)
    del leaving
    gc.collect()  # what nobody has heard of would be told now


async def test_who_goes_away_before_their_turn_has_asked_nothing(lite: Database) -> None:
    async with lite.write() as connection:
        await connection.execute(insert(spent).values(spent_row("one", NOW)))
        leaving = asyncio.create_task(spend_alone(lite, "two", NOW))
        await asyncio.sleep(0)
        leaving.cancel()
    assert await spend_alone(lite, "three", NOW)
    assert spent_in(lite) == 2


@pytest.mark.parametrize("word", ["INSERT", "SELECT"])
async def test_closing_waits_for_what_is_under_way(sqlite_url: str, word: str) -> None:
    before, database = threading.enumerate(), Database(sqlite_url)
    held = Held(database, word)
    asked: list[asyncio.Task[object]] = [
        asyncio.create_task(spend_alone(database, "one", NOW)),
        asyncio.create_task(spend_alone(database, "two", NOW)),
        asyncio.create_task(database.query(select(sessions.c.id))),
    ]
    await held.begun.wait()
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    held.let.set()
    await closing
    assert [one.result() for one in asked] == [True, True, []]
    assert not is_open(database)
    for thread in started(before):
        thread.join(10)
    assert started(before) == []


async def test_a_closed_database_opens_again_for_who_comes_late(db: Database) -> None:
    await spend_alone(db, "one", NOW)
    await db.close()
    assert await spend_alone(db, "two", NOW)
    assert len(await db.query(select(spent))) == 2


async def test_a_database_in_memory_has_one_connection() -> None:
    database = Database("sqlite://")
    async with database.write() as connection:
        await connection.run_sync(spent.create)
    assert await spend_alone(database, "one", NOW)
    assert not await spend_alone(database, "one", NOW)
    assert len(await database.query(select(spent))) == 1
    await database.close()


CLAIM = """
import asyncio, sys
from gateway.attempts import row_of, spend_once
from gateway.db import Database

async def claim():
    database, won = Database(sys.argv[1]), []
    for number in range(300):
        values = [f"{number}-{place}" for place in range(3)]
        rows = await database.execute(spend_once("sqlite"), [row_of(value, 2_000_000_000) for value in values])
        won.extend(row.digest.hex() for row in rows)
    await database.close()
    print(*won)

asyncio.run(claim())
"""


def test_of_processes_on_one_file_each_row_goes_to_one(sqlite_url: str) -> None:
    begun = [
        subprocess.Popen([sys.executable, "-c", CLAIM, sqlite_url], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    won = [process.communicate(timeout=120)[0].split() for process in begun]
    assert [process.returncode for process in begun] == [0] * 3
    every = [digest for each in won for digest in each]
    assert len(every) == len(set(every)) == 900
