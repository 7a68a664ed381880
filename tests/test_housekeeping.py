"""Housekeeping: what has expired goes, what has not stays, and a chore that fails is done again."""

from __future__ import annotations

import asyncio
import uuid

from sqlalchemy import insert, select

from gateway import attempts, events, schema
from gateway.db import Database
from gateway.events import NOWHERE, Event
from gateway.housekeeping import EVENTS_KEPT, EVENTS_OF_NOBODY_KEPT, Chore, Housekeeping, prune

NOW = 1_800_000_000


async def test_prune_deletes_what_has_expired_and_nothing_else(database_url: str) -> None:
    database = Database(database_url)
    async with database.write() as connection:
        for value, expires_at in (("old", NOW - 1), ("young", NOW + 1)):
            await attempts.spend(connection, value, expires_at)
        for at in (NOW - EVENTS_KEPT - 1, NOW):
            await events.record(connection, Event("signed_in", uuid.uuid4()), NOWHERE, at)
        await events.record(connection, Event("sign_in_refused"), NOWHERE, NOW - EVENTS_OF_NOBODY_KEPT - 1)
    gone = await prune(database, NOW)
    async with database.read() as connection:
        left = (await connection.execute(select(schema.events.c.at))).scalars().all()
    await database.close()
    assert gone == {"sessions": 0, "spent": 1, "accounts": 0, "pending": 0, "logouts": 0, "invitations": 0, "events": 2}
    assert left == [NOW]


async def test_prune_goes_on_until_nothing_is_left(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    rows = [{"digest": n.to_bytes(32), "expires_at": 1} for n in range(1203)]
    async with database.write() as connection:
        await connection.execute(insert(schema.spent), rows)
    gone = await prune(database, NOW)
    await database.close()
    assert gone["spent"] == 1203


async def test_a_chore_that_fails_is_done_again() -> None:
    done = asyncio.Event()
    runs: list[int] = []

    async def work() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise ValueError("the first time")
        done.set()

    keeper = Housekeeping([Chore("example", 0.01, work)])
    keeper.start()
    await asyncio.wait_for(done.wait(), 10)
    await keeper.stop()
    assert len(runs) >= 2


async def test_the_end_waits_for_what_is_under_way() -> None:
    begun, finished = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.sleep(0.05)
        finished.set()

    keeper = Housekeeping([Chore("example", 0.01, work)])
    keeper.start()
    await asyncio.wait_for(begun.wait(), 10)
    await keeper.stop()
    assert finished.is_set()
