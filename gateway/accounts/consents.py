"""What people have agreed that an application may have; only for applications that ask."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.schema import consents


async def given(connection: AsyncConnection, account_id: UUID, client_id: str) -> frozenset[str]:
    """The scopes that the person has agreed to."""
    found = await connection.execute(select(consents.c.scope).where(of(account_id, client_id)))
    return frozenset((found.scalar() or "").split())


async def give(connection: AsyncConnection, account_id: UUID, client_id: str, scope: str, now: int) -> None:
    """Agree to these scopes, besides those agreed to before. For a caller that holds the account."""
    every = await given(connection, account_id, client_id) | set(scope.split())
    await connection.execute(delete(consents).where(of(account_id, client_id)))
    row = {"account_id": account_id, "client_id": client_id, "scope": " ".join(sorted(every)), "granted_at": now}
    await connection.execute(insert(consents), row)


async def move(connection: AsyncConnection, absorbed: UUID, survivor: UUID, now: int) -> None:
    """Let what one account agreed to hold for another. For a caller that holds both."""
    rows = (await connection.execute(select(consents).where(consents.c.account_id == absorbed))).all()
    for row in rows:
        await give(connection, survivor, row.client_id, row.scope, now)
    await connection.execute(delete(consents).where(consents.c.account_id == absorbed))


def of(account_id: UUID, client_id: str) -> ColumnElement[bool]:
    return (consents.c.account_id == account_id) & (consents.c.client_id == client_id)
