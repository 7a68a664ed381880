"""Tokens of providers, where `store_tokens` keeps them: one row for each identity, sealed."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field, replace

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import schema
from gateway.identity import ProviderTokens
from gateway.sealing import Sealer

PURPOSE = "provider-tokens"


@dataclass(frozen=True, slots=True)
class Kept:
    """Tokens as they are kept. `provider`: the name it had at the last sign-in."""

    identity_id: uuid.UUID
    provider: str
    sealed: bytes = field(repr=False)

    def open(self, sealer: Sealer) -> ProviderTokens | None:
        """The tokens; None when no secret key opens them any more."""
        value = sealer.open(PURPOSE, self.sealed)
        return ProviderTokens(**json.loads(value)) if value else None


async def keep(
    connection: AsyncConnection, sealer: Sealer, identity_id: uuid.UUID, tokens: ProviderTokens, now: int
) -> None:
    """Keep what a sign-in brought, by somebody who holds the account. A refresh token that was kept already stays where
    no new one came: some providers hand it out once."""
    kept = await of_identity(connection, identity_id)
    if kept is None:
        row = {"identity_id": identity_id, "sealed": seal(sealer, tokens), "updated_at": now}
        await connection.execute(insert(schema.provider_tokens).values(row))
        return
    before = kept.open(sealer)
    if before and tokens.refresh_token is None:
        tokens = replace(tokens, refresh_token=before.refresh_token)
    await change(connection, kept, seal(sealer, tokens), now)


async def change(connection: AsyncConnection, kept: Kept, sealed: bytes, now: int) -> bool:
    """Put others in the place of these; False when these are not kept any more."""
    mine = schema.provider_tokens
    these = update(mine).where(mine.c.identity_id == kept.identity_id, mine.c.sealed == kept.sealed)
    return (await connection.execute(these.values(sealed=sealed, updated_at=now))).rowcount == 1


async def forget(connection: AsyncConnection, kept: Kept) -> bool:
    """Forget these; False when these are not kept any more."""
    mine = schema.provider_tokens
    these = delete(mine).where(mine.c.identity_id == kept.identity_id, mine.c.sealed == kept.sealed)
    return (await connection.execute(these)).rowcount == 1


async def of_identity(connection: AsyncConnection, identity_id: uuid.UUID) -> Kept | None:
    """What is kept of one identity."""
    return next(iter(await found(connection, schema.identities.c.id == identity_id)), None)


async def of_account(connection: AsyncConnection, account_id: uuid.UUID) -> list[Kept]:
    """What is kept of all identities of an account, those used last first."""
    return await found(connection, schema.identities.c.account_id == account_id)


async def found(connection: AsyncConnection, which: ColumnElement[bool]) -> list[Kept]:
    theirs, mine = schema.identities.c, schema.provider_tokens.c
    query = (
        select(theirs.id, theirs.provider, mine.sealed)
        .join_from(schema.provider_tokens, schema.identities)
        .where(which)
        .order_by(theirs.last_used_at.desc(), theirs.id)
    )
    return [Kept(row.id, row.provider, row.sealed) for row in await connection.execute(query)]


def seal(sealer: Sealer, tokens: ProviderTokens) -> bytes:
    return sealer.seal(PURPOSE, json.dumps(asdict(tokens)).encode())
