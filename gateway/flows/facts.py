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


async def judge_address(connection: AsyncConnection, account_id: uuid.UUID) -> None:
    """The account's address stays its owner's choice; it is verified while an identity of theirs vouches for it."""
    found = await accounts.profile(connection, account_id)
    if found is None:
        return
    account, identities = found
    key = accounts.email_key(account.email)
    vouched = key is not None and any(
        each.email_verified and accounts.email_key(each.email) == key for each in identities
    )
    if vouched != account.email_verified:
        await accounts.change(connection, account_id, email_verified=vouched)


async def retell(connection: AsyncConnection, account_id: uuid.UUID, now: int) -> None:
    """Let every living session of the account know what is true of it now; their next tokens say so."""
    await judge_address(connection, account_id)
    await sessions.retell(connection, account_id, await facts_of(connection, account_id), now)
