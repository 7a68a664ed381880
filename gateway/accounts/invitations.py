"""Invitations: a one-time link to a new account where sign-up is closed. Only a digest of it is kept."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import schema

LIFETIME = 7 * 86400  # seconds
KEEP = 30 * 86400  # seconds that one stays after that


@dataclass(frozen=True, slots=True)
class Invitation:
    id: uuid.UUID
    role: str | None


async def invite(connection: AsyncConnection, email: str, role: str | None, now: int) -> str:
    """A new invitation; its token, which is bound to nothing but its use. `email` only says whom it was made for."""
    token = secrets.token_urlsafe(32)
    await connection.execute(
        insert(schema.invitations).values(
            id=uuid.uuid4(), digest=digest(token), email=email, role=role, created_at=now, expires_at=now + LIFETIME
        )
    )
    return token


async def valid(connection: AsyncConnection, token: str, now: int) -> bool:
    """Whether an invitation could be used now."""
    mine = schema.invitations.c
    query = select(mine.id).where(mine.digest == digest(token), mine.used_at.is_(None), mine.expires_at > now)
    return (await connection.execute(query)).one_or_none() is not None


async def redeem(connection: AsyncConnection, token: str, now: int) -> Invitation | None:
    """Use an invitation, once; None when it was used, has expired, or never was."""
    mine = schema.invitations
    statement = (
        update(mine)
        .where(mine.c.digest == digest(token), mine.c.used_at.is_(None), mine.c.expires_at > now)
        .values(used_at=now)
        .returning(mine.c.id, mine.c.role)
    )
    row = (await connection.execute(statement)).one_or_none()
    return Invitation(row.id, row.role) if row else None


def digest(token: str) -> bytes:
    return sha256(b"invitation:" + token.encode()).digest()


async def prune(connection: AsyncConnection, now: int, limit: int) -> int:
    """Delete up to `limit` invitations that expired a month ago, used or not; how many went."""
    mine = schema.invitations.c
    old = select(mine.id).where(mine.expires_at < now - KEEP).limit(limit)
    return (await connection.execute(delete(schema.invitations).where(mine.id.in_(old)))).rowcount
