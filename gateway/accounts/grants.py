"""Roles that an operator granted to accounts, beside those that rules give."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import schema


async def granted(connection: AsyncConnection, account_id: uuid.UUID) -> tuple[str, ...]:
    """The roles granted to an account, sorted."""
    query = select(schema.grants.c.role).where(schema.grants.c.account_id == account_id).order_by(schema.grants.c.role)
    return tuple((await connection.execute(query)).scalars())


async def grant(connection: AsyncConnection, account_id: uuid.UUID, roles: Iterable[str], now: int) -> tuple[str, ...]:
    """Grant roles; those that the account did not have. The caller holds the account."""
    new = tuple(sorted(set(roles) - set(await granted(connection, account_id))))
    if new:
        rows = [{"account_id": account_id, "role": role, "granted_at": now} for role in new]
        await connection.execute(insert(schema.grants), rows)
    return new


async def withdraw(connection: AsyncConnection, account_id: uuid.UUID, roles: Iterable[str]) -> bool:
    """Withdraw roles; whether the account had any of them."""
    mine = schema.grants.c
    gone = delete(schema.grants).where(mine.account_id == account_id, mine.role.in_(tuple(roles)))
    return (await connection.execute(gone)).rowcount > 0
