"""Logouts: what applications have still to be told of sessions that ended (OpenID Connect Back-Channel Logout 1.0).

A row is written in the transaction that ends the session, so nothing that ended is forgotten. It goes when the
application has taken the message, or after a day in vain.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

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


async def claim(connection: AsyncConnection, now: int, limit: int) -> list[Logout]:
    """Up to `limit` that are due, for this caller alone as long as the lease lasts. One statement."""
    due = select(logouts.c.id).where(logouts.c.next_at <= now).order_by(logouts.c.next_at).limit(limit)
    claimed = (
        update(logouts)
        .where(logouts.c.id.in_(due.with_for_update(skip_locked=True)))
        .values(next_at=now + LEASE, tries=logouts.c.tries + 1)
        .returning(*FIELDS)
    )
    return [Logout(**row._mapping) for row in await connection.execute(claimed)]


async def done(connection: AsyncConnection, logout_id: uuid.UUID) -> None:
    """The application knows, or will never want to."""
    await connection.execute(delete(logouts).where(logouts.c.id == logout_id))


async def again(connection: AsyncConnection, logout: Logout, now: int) -> None:
    """Try later."""
    later = update(logouts).where(logouts.c.id == logout.id).values(next_at=now + pause_after(logout.tries))
    await connection.execute(later)


async def prune(connection: AsyncConnection, now: int, limit: int) -> int:
    """Delete up to `limit` that nobody has delivered for two days: no server that tells applications is running."""
    old = select(logouts.c.id).where(logouts.c.created_at <= now - 2 * PATIENCE).limit(limit)
    return (await connection.execute(delete(logouts).where(logouts.c.id.in_(old)))).rowcount
