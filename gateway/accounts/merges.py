"""Merges: which account went into which, what moved with it, and what undoes that."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import schema

UNDO = 30 * 86400  # seconds in which an operator can take a merge back


@dataclass(frozen=True, slots=True)
class Merge:
    """`absorbed` went into `survivor`; these identities and roles moved."""

    id: uuid.UUID
    absorbed: uuid.UUID
    survivor: uuid.UUID
    merged_at: int
    identities: tuple[uuid.UUID, ...]
    roles: tuple[str, ...]


async def note(
    connection: AsyncConnection,
    absorbed: uuid.UUID,
    survivor: uuid.UUID,
    identities: Sequence[uuid.UUID],
    roles: Sequence[str],
    now: int,
) -> None:
    await connection.execute(
        insert(schema.merges).values(
            id=uuid.uuid4(),
            absorbed=absorbed,
            survivor=survivor,
            merged_at=now,
            identities=[str(identity) for identity in identities],
            roles=list(roles),
        )
    )


async def latest(connection: AsyncConnection, absorbed: uuid.UUID) -> Merge | None:
    """The merge that an account went into another by, unless it was undone."""
    mine = schema.merges.c
    query = select(schema.merges).where(mine.absorbed == absorbed, mine.undone_at.is_(None))
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    identities = tuple(uuid.UUID(identity) for identity in row.identities)
    return Merge(row.id, row.absorbed, row.survivor, row.merged_at, identities, tuple(row.roles))


async def note_undone(connection: AsyncConnection, merge: Merge, now: int) -> None:
    await connection.execute(update(schema.merges).where(schema.merges.c.id == merge.id).values(undone_at=now))


async def merged_from(connection: AsyncConnection, survivor: uuid.UUID) -> list[uuid.UUID]:
    """Every account that went into this one, also by way of others."""
    found: list[uuid.UUID] = []
    waiting = [survivor]
    while waiting:
        query = select(schema.accounts.c.id).where(schema.accounts.c.merged_into.in_(waiting))
        waiting = list((await connection.execute(query.order_by(schema.accounts.c.created_at))).scalars())
        found += waiting
    return found


async def resolve(connection: AsyncConnection, account_id: uuid.UUID) -> uuid.UUID:
    """The account that an id means today: itself, or where it went."""
    while True:
        query = select(schema.accounts.c.merged_into).where(schema.accounts.c.id == account_id)
        further = (await connection.execute(query)).scalar()
        if further is None:
            return account_id
        account_id = further
