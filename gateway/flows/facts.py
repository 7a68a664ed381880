"""Facts: what sessions keep of their account, for role rules and tokens, and how a change of it reaches them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import accounts, sessions
from gateway.accounts import grants


async def facts_of(connection: AsyncConnection, account_id: uuid.UUID) -> Mapping[str, Any]:
    """What is true of the account: its own address and name, every verified address, the roles granted to it."""
    found = await accounts.profile(connection, account_id)
    if found is None:
        raise LookupError("the account is not there")
    account, identities = found
    return {
        "email": account.email,
        "email_verified": account.email_verified,
        "name": account.name,
        "picture": account.picture,
        "verified": sorted({each.email for each in identities if each.email and each.email_verified}),
        "granted": list(await grants.granted(connection, account_id)),
    }


async def retell(connection: AsyncConnection, account_id: uuid.UUID, now: int) -> None:
    """Let every living session of the account know what is true of it now; their next tokens say so."""
    await sessions.retell(connection, account_id, await facts_of(connection, account_id), now)
