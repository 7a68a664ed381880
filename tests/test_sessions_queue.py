"""The queue of refreshes: many share a statement and a commit, and none notices the others."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from listening import listen, waiter
from signed_in import Clock, add_account, add_session, row_of
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db import Database
from gateway.errors import Unavailable
from gateway.schema import sessions
from gateway.sessions import end, end_for_account
from gateway.sessions.queue import Rotations
from gateway.sessions.rotation import Outcome, Policy, Renewed, Replayed, Reused, Rotated, Unknown
from gateway.tokens.refresh import Presented

POLICY = Policy()


@pytest.fixture
def rotations(db: Database) -> Rotations:
    return Rotations(db, POLICY, Clock())


class Updates:
    """Counts the statements that refresh; `before` is called with each one's number, counted from 1."""

    def __init__(self, db: Database, before: Any = None) -> None:
        self.count = 0
        self.begun = asyncio.Event()
        self.before = before
        self.loop = asyncio.get_running_loop()
        listen(db, "before_cursor_execute", self.seen)

    def seen(self, *details: Any) -> None:
        if "UPDATE sessions" in details[2]:
            self.count += 1
            self.loop.call_soon_threadsafe(self.begun.set)
            if self.before:
                self.before(self.count)


async def add_many(db: Database, count: int) -> list[uuid.UUID]:
    account_id = await add_account(db)
    return [(await add_session(db, account_id)).id for _ in range(count)]


async def present(rotations: Rotations, asked: Sequence[tuple[uuid.UUID, int]]) -> list[Any]:
    waiting = (rotations.rotate(Presented(session_id, n)) for session_id, n in asked)
    return await asyncio.gather(*waiting, return_exceptions=True)


def kinds(outcomes: Sequence[object]) -> list[str]:
    return [type(outcome).__name__ for outcome in outcomes]


async def test_fifty_refreshes_of_one_token_are_one_step_and_one_token(
    db: Database, rotations: Rotations
) -> None:  # RT-2
    made = await add_session(db)
    outcomes = await present(rotations, [(made.id, 0)] * 50)
    assert sorted(kinds(outcomes)) == ["Replayed"] * 49 + ["Rotated"]
    assert {outcome.session.current for outcome in outcomes} == {1}
    assert (await row_of(db, made.id)).current == 1


async def test_those_who_come_together_share_a_statement(db: Database, rotations: Rotations) -> None:
    ids = await add_many(db, 100)
    updates = Updates(db)
    outcomes = await present(rotations, [(one, 0) for one in ids])
    assert [outcome.session.id for outcome in outcomes] == ids
    assert set(kinds(outcomes)) == {"Rotated"}
    assert updates.count == 1


async def test_those_who_come_meanwhile_share_the_next_one(db: Database, rotations: Rotations) -> None:
    ids = await add_many(db, 20)
    updates = Updates(db)
    first = asyncio.create_task(rotations.rotate(Presented(ids[0], 0)))
    await updates.begun.wait()
    outcomes = await present(rotations, [(one, 0) for one in ids[1:]])
    assert set(kinds([await first, *outcomes])) == {"Rotated"}
    assert updates.count == 2


async def test_one_alone_is_one_statement(db: Database, rotations: Rotations) -> None:
    made = await add_session(db)
    updates = Updates(db)
    outcome = await rotations.rotate(Presented(made.id, 0))
    assert isinstance(outcome, Rotated)
    assert updates.count == 1


async def test_neighbours_have_outcomes_of_their_own(db: Database, rotations: Rotations) -> None:
    good, reused, other, replayed = await add_many(db, 4)
    await present(rotations, [(reused, 0), (replayed, 0)])
    await present(rotations, [(reused, 1)])
    asked = [(good, 0), (reused, 0), (uuid.uuid4(), 0), (replayed, 0), (other, 0)]
    assert kinds(await present(rotations, asked)) == ["Rotated", "Reused", "Unknown", "Replayed", "Rotated"]


async def test_another_clients_token_changes_nothing(db: Database, rotations: Rotations) -> None:
    made = await add_session(db, client_id="app")
    assert isinstance(await rotations.rotate(Presented(made.id, 0)), Unknown)
    assert isinstance(await rotations.rotate(Presented(made.id, 0), "app"), Rotated)


async def test_reuse_ends_the_session_for_every_process(db: Database, rotations: Rotations, database_url: str) -> None:
    made = await add_session(db)
    for n in (0, 1, 2):
        await rotations.rotate(Presented(made.id, n))
    outcome = await rotations.rotate(Presented(made.id, 0))
    elsewhere = Database(database_url)
    row = await row_of(elsewhere, made.id)
    await elsewhere.close()
    assert isinstance(outcome, Reused)
    assert (row.ended_at, row.end_reason) == (Clock().now, "refresh_reuse")
    assert isinstance(await rotations.rotate(Presented(made.id, 3)), Unknown)


async def test_the_same_session_waits_for_the_next_batch(db: Database, rotations: Rotations) -> None:
    first, second = await add_many(db, 2)
    updates = Updates(db)
    outcomes = await present(rotations, [(first, 0), (first, 1), (second, 0), (first, 2)])
    assert kinds(outcomes) == ["Rotated"] * 4
    assert updates.count == 3


async def test_a_batch_has_a_limit_and_order_is_kept(db: Database) -> None:
    ids = await add_many(db, 10)
    rotations = Rotations(db, POLICY, Clock(), batch=4)
    updates = Updates(db)
    answered: list[uuid.UUID] = []

    async def one(session_id: uuid.UUID) -> None:
        await rotations.rotate(Presented(session_id, 0))
        answered.append(session_id)

    await asyncio.gather(*(one(session_id) for session_id in ids))
    assert answered == ids
    assert updates.count == 3


async def test_nobody_starves_among_256_clients(db: Database, rotations: Rotations) -> None:
    ids = await add_many(db, 32)
    asked = [(session_id, n) for n in range(8) for session_id in ids]
    outcomes = await present(rotations, asked)
    assert kinds(outcomes) == ["Rotated"] * 256


async def test_who_goes_away_while_it_runs_disturbs_nobody(db: Database, rotations: Rotations) -> None:
    ids = await add_many(db, 5)
    updates = Updates(db)
    waiting = [asyncio.create_task(rotations.rotate(Presented(one, 0))) for one in ids]
    await updates.begun.wait()
    waiting[2].cancel()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert kinds(outcomes) == ["Rotated", "Rotated", "CancelledError", "Rotated", "Rotated"]
    assert isinstance(await rotations.rotate(Presented(ids[2], 0)), Replayed)


async def test_who_goes_away_before_its_turn_is_left_out(db: Database, rotations: Rotations) -> None:
    first, second = await add_many(db, 2)
    let, wait = asyncio.Event(), waiter()
    updates = Updates(db, before=lambda _: wait(let.wait()))
    running = asyncio.create_task(rotations.rotate(Presented(first, 0)))
    await updates.begun.wait()
    waiting = asyncio.create_task(rotations.rotate(Presented(second, 0)))
    await asyncio.sleep(0)
    waiting.cancel()
    let.set()
    await running
    await rotations.close()
    assert (await row_of(db, second)).current == 0


async def test_closing_waits_for_every_answer(db: Database, rotations: Rotations) -> None:
    ids = await add_many(db, 3)
    waiting = [asyncio.create_task(rotations.rotate(Presented(one, 0))) for one in ids]
    await asyncio.sleep(0)
    await rotations.close()
    assert kinds([task.result() for task in waiting]) == ["Rotated"] * 3


async def test_an_error_of_the_database_is_answered_to_each(db: Database, rotations: Rotations) -> None:
    ids = await add_many(db, 3)
    async with db.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE sessions RENAME TO elsewhere")
    outcomes = await present(rotations, [(one, 0) for one in ids])
    assert kinds(outcomes) == ["Unavailable"] * 3
    assert len(set(map(id, outcomes))) == 3


async def test_after_an_error_everything_goes_on(db: Database, rotations: Rotations) -> None:
    made = await add_session(db)
    async with db.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE sessions RENAME TO elsewhere")
    with pytest.raises(Unavailable):
        await rotations.rotate(Presented(made.id, 0))
    async with db.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO sessions")
    assert isinstance(await rotations.rotate(Presented(made.id, 0)), Rotated)


async def test_a_damaged_row_harms_only_itself(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    rotations = Rotations(db, POLICY, Clock())
    good, damaged, other = await add_many(db, 3)
    async with db.write() as connection:
        await connection.execute(text("UPDATE sessions SET facts = '{' WHERE id = :id").bindparams(id=damaged.hex))
    outcomes = await present(rotations, [(good, 0), (damaged, 0), (other, 0)])
    await db.close()
    assert kinds(outcomes) == ["Rotated", "Unavailable", "Rotated"]


class Deadlock(Exception):
    sqlstate = "40P01"


@pytest.mark.parametrize(("failures", "kind"), [(1, "Rotated"), (2, "Unavailable")])
async def test_a_deadlock_is_tried_again_once(db: Database, rotations: Rotations, failures: int, kind: str) -> None:
    made = await add_session(db)

    def fail(number: int) -> None:
        if number <= failures:
            raise OperationalError("UPDATE", {}, Deadlock())

    Updates(db, before=fail)
    assert kinds(await present(rotations, [(made.id, 0)])) == [kind]


@pytest.mark.postgres
async def test_connections_that_the_server_cut_are_not_noticed(postgres_url: str) -> None:
    db, operator = Database(postgres_url), Database(postgres_url)
    rotations = Rotations(db, POLICY, Clock())
    ids = await add_many(db, 2)
    await rotations.rotate(Presented(ids[0], 0))
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    async with operator.read() as connection:
        await connection.execute(text(cut + " AND pid <> pg_backend_pid()"))
    outcomes = await present(rotations, [(ids[0], 1), (ids[1], 0)])
    await db.close()
    await operator.close()
    assert kinds(outcomes) == ["Rotated", "Rotated"]


async def plan_as_for_many_rows(url: str) -> None:
    """In a table this small the planner reads rows in the order they lie, which would hide a wrong order of locks."""
    database = Database(url)
    async with database.read() as connection:
        for switch in ("enable_hashjoin", "enable_mergejoin", "enable_seqscan"):
            name = database.url.database
            await connection.execute(text(f"ALTER DATABASE {name} SET {switch} = off"))
    await database.close()


async def deadlocks(url: str) -> int:
    """How many the server has broken in this database: a second try would hide them."""
    database = Database(url)
    async with database.read() as connection:
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        counted = await connection.scalar(text(query))
    await database.close()
    return int(counted or 0)


async def somebody_waits(connection: AsyncConnection) -> None:
    """Until a statement in this database waits for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(20):
        while not await connection.scalar(text(query)):
            await asyncio.sleep(0.01)
            await connection.execute(text("SELECT pg_stat_clear_snapshot()"))


@pytest.mark.postgres
async def test_a_session_that_ends_while_the_statement_waits_is_not_renewed(postgres_url: str) -> None:
    db, elsewhere = Database(postgres_url), Database(postgres_url)
    rotations = Rotations(db, POLICY, Clock())
    ending, neighbour = await add_many(db, 2)
    async with elsewhere.write() as connection:
        await end(connection, ending, reason="ended", now=int(Clock().now))
        renewing = asyncio.create_task(present(rotations, [(ending, 0), (neighbour, 0)]))
        await somebody_waits(connection)
    assert kinds(await renewing) == ["Unknown", "Rotated"]
    assert (await row_of(db, ending)).current == 0
    await db.close()
    await elsewhere.close()


async def renew_both(db: Database, first: uuid.UUID, second: uuid.UUID) -> None:
    await present(Rotations(db, POLICY, Clock()), [(second, 0), (first, 0)])


async def end_both(db: Database, first: uuid.UUID, _second: uuid.UUID) -> None:
    account_id = (await row_of(db, first)).account_id
    async with db.write() as connection:
        await end_for_account(connection, account_id, reason="ended", now=int(Clock().now))


@pytest.mark.postgres
@pytest.mark.parametrize("work", [renew_both, end_both])
async def test_rows_are_locked_in_the_order_of_their_ids(postgres_url: str, work: Any) -> None:
    """Whoever has to wait for the first row holds no later one, wherever they lie and however they were asked for."""
    await plan_as_for_many_rows(postgres_url)
    db, elsewhere = Database(postgres_url), Database(postgres_url)
    first, second = await add_many(db, 2)
    first, second = sorted([first, second])
    async with elsewhere.write() as connection:
        lock = select(sessions.c.id).with_for_update(nowait=True)
        await connection.execute(lock.where(sessions.c.id == first))
        working = asyncio.create_task(work(db, first, second))
        await somebody_waits(connection)
        held = await connection.scalar(lock.where(sessions.c.id == second))
    await working
    await db.close()
    await elsewhere.close()
    assert held == second


@pytest.mark.postgres
async def test_two_processes_on_the_same_sessions_agree(postgres_url: str) -> None:
    await plan_as_for_many_rows(postgres_url)
    databases = [Database(postgres_url) for _ in range(2)]
    workers = [Rotations(database, POLICY, Clock()) for database in databases]
    ids = await add_many(databases[0], 60)
    for n in range(20):
        orders = [(one, n) for one in ids], [(one, n) for one in reversed(ids)]
        here, there = await asyncio.gather(*(present(*pair) for pair in zip(workers, orders, strict=True)))
        for one, other in zip(here, reversed(there), strict=True):
            assert sorted(kinds([one, other])) == ["Replayed", "Rotated"]
            assert one.session == other.session
    for database in databases:
        await database.close()
    assert await deadlocks(postgres_url) == 0


@pytest.mark.postgres
async def test_refreshing_while_sessions_end_and_accounts_sign_out(postgres_url: str) -> None:
    """Locks are taken in one order everywhere: nobody ever waits for somebody who waits for him."""
    await plan_as_for_many_rows(postgres_url)
    databases = [Database(postgres_url) for _ in range(2)]
    rotations = Rotations(databases[0], POLICY, Clock())
    ids = await add_many(databases[0], 100)
    account_id = (await row_of(databases[0], ids[0])).account_id

    async def end_and_revive() -> None:
        for _ in range(20):
            async with databases[1].write() as connection:
                await end_for_account(connection, account_id, reason="ended", now=int(Clock().now))
            async with databases[1].write() as connection:
                for one in sorted(ids):
                    await connection.execute(update(sessions).where(sessions.c.id == one).values(ended_at=None))

    async def refresh() -> list[Outcome | BaseException]:
        seen: list[Outcome | BaseException] = []
        for _ in range(40):
            seen += await present(rotations, [(one, 0) for one in ids])
        return seen

    seen, _ = await asyncio.gather(refresh(), end_and_revive())
    for database in databases:
        await database.close()
    assert [one for one in seen if not isinstance(one, Renewed | Unknown | Reused)] == []
    assert await deadlocks(postgres_url) == 0
