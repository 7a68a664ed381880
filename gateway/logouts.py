"""Logouts: what applications have still to be told of sessions that ended (OpenID Connect Back-Channel Logout 1.0).

A row is written in the transaction that ends the session, so nothing that ended is forgotten. It goes when the
application has taken the message, or after a day in vain.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Delete, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from .db import Database
from .schema import logouts

PAUSES = (5, 30, 120, 600)  # seconds until the next try after each failure; then HOUR
HOUR = 3600
PATIENCE = 86_400  # seconds after which it is given up
LEASE = 60  # seconds for which a claimed one is its claimer's; a try takes a few


@dataclass(frozen=True, slots=True)
class Told:
    """What an application is to be told: as whom and by which `sid` it knows the session."""

    client_id: str
    subject: str
    sid: str


@dataclass(frozen=True, slots=True)
class Logout:
    """One that is due. `tries` counts the one that begins now; `created_at` in epoch seconds."""

    id: uuid.UUID
    client_id: str
    subject: str
    sid: str
    created_at: int
    tries: int


FIELDS = [logouts.c[name] for name in Logout.__slots__]


def pause_after(tries: int) -> int:
    """Seconds until the next try, after so many that failed."""
    return PAUSES[tries - 1] if tries <= len(PAUSES) else HOUR


async def enqueue(connection: AsyncConnection, told: Iterable[Told], now: int) -> None:
    """Have these told, each once however many grants of it ended together."""
    rows = [
        {
            "id": uuid.uuid4(),
            "client_id": one.client_id,
            "subject": one.subject,
            "sid": one.sid,
            "created_at": now,
            "next_at": now,
            "tries": 0,
        }
        for one in dict.fromkeys(told)
    ]
    if rows:
        await connection.execute(insert(logouts), rows)


async def claim(database: Database, now: int, limit: int) -> list[Logout]:
    """Up to `limit` that are due, for this caller alone as long as the lease lasts."""
    due = select(logouts.c.id).where(logouts.c.next_at <= now).order_by(logouts.c.next_at).limit(limit)
    claimed = (
        update(logouts)
        .where(logouts.c.id.in_(due.with_for_update(skip_locked=True)))
        .values(next_at=now + LEASE, tries=logouts.c.tries + 1)
        .returning(*FIELDS)
    )
    return [Logout(**row._mapping) for row in await database.execute(claimed)]


async def done(database: Database, logout: Logout) -> None:
    """The application knows, or is not to be told any more."""
    await database.execute(gone(logout))


async def again(database: Database, logout: Logout, now: int) -> None:
    """Try later."""
    later = update(logouts).where(logouts.c.id == logout.id).values(next_at=now + pause_after(logout.tries))
    await database.execute(later)


async def give_up(connection: AsyncConnection, logout: Logout) -> None:
    """The application has not taken it, and will not be asked again."""
    await connection.execute(gone(logout))


def gone(logout: Logout) -> Delete:
    return delete(logouts).where(logouts.c.id == logout.id)


async def prune(connection: AsyncConnection, now: int, limit: int) -> int:
    """Delete up to `limit` that nobody has delivered for two days: no server that tells applications is running."""
    old = select(logouts.c.id).where(logouts.c.created_at <= now - 2 * PATIENCE).limit(limit)
    return (await connection.execute(delete(logouts).where(logouts.c.id.in_(old)))).rowcount
