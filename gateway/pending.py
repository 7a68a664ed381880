"""Pending proofs: what a person has proven already and still has to answer for. Bound to one browser, taken once.

The browser holds a token in a cookie; the row holds its digest and the proof, sealed. Ten minutes, then it is nothing.
An application's request waits in the same way while somebody signs in for it, its token in the address.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from . import schema
from .sealing import Sealer

LIFETIME = 600  # seconds
LIFETIMES = {"authorize": 1800}  # seconds; at the provider a person may take ten minutes more than here
Kind = Literal["join", "merge", "authorize"]


async def keep(connection: AsyncConnection, sealer: Sealer, kind: Kind, proof: Mapping[str, Any], now: int) -> str:
    """Keep a proof; the token that leads to it."""
    token = secrets.token_urlsafe(32)
    sealed = sealer.seal(f"pending/{kind}", json.dumps(proof).encode())
    row = {"digest": digest(kind, token), "sealed": sealed, "expires_at": now + LIFETIMES.get(kind, LIFETIME)}
    await connection.execute(insert(schema.pending).values(row))
    return token


async def look(
    connection: AsyncConnection, sealer: Sealer, kind: Kind, token: str, now: int
) -> Mapping[str, Any] | None:
    """The proof, which stays; None when there is none of this kind, or it is too old."""
    mine = schema.pending.c
    query = select(mine.sealed).where(mine.digest == digest(kind, token), mine.expires_at > now)
    return opened(sealer, kind, (await connection.execute(query)).scalar())


async def take(
    connection: AsyncConnection, sealer: Sealer, kind: Kind, token: str, now: int
) -> Mapping[str, Any] | None:
    """The proof, which is gone then: of two who take it at once, one gets it."""
    mine = schema.pending.c
    taken = (
        delete(schema.pending).where(mine.digest == digest(kind, token), mine.expires_at > now).returning(mine.sealed)
    )
    return opened(sealer, kind, (await connection.execute(taken)).scalar())


def opened(sealer: Sealer, kind: Kind, sealed: bytes | None) -> Mapping[str, Any] | None:
    value = sealer.open(f"pending/{kind}", sealed) if sealed else None
    return json.loads(value) if value else None


def digest(kind: Kind, token: str) -> bytes:
    return sha256(f"{kind}:{token}".encode()).digest()


async def prune(connection: AsyncConnection, now: int, limit: int) -> int:
    """Forget up to `limit` proofs that are too old; how many went."""
    old = select(schema.pending.c.digest).where(schema.pending.c.expires_at <= now).limit(limit)
    return (await connection.execute(delete(schema.pending).where(schema.pending.c.digest.in_(old)))).rowcount
