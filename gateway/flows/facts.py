"""Facts: what sessions keep of their account, for role rules and tokens, and how a change of it reaches them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, case, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import accounts, sessions
from gateway.schema import accounts as accounts_table
from gateway.schema import grants as grants_table
from gateway.schema import identities as identities_table

FACTS = (
    select(
        accounts_table.c.email,
        accounts_table.c.email_verified,
        accounts_table.c.name,
        accounts_table.c.picture,
        case((identities_table.c.email_verified, identities_table.c.email)),
        grants_table.c.role,
    )
    .outerjoin_from(accounts_table, identities_table, identities_table.c.account_id == accounts_table.c.id)
    .outerjoin(grants_table, grants_table.c.account_id == accounts_table.c.id)
    .where(accounts_table.c.id == bindparam("account_id"))
)


async def facts_of(connection: AsyncConnection, account_id: uuid.UUID) -> Mapping[str, Any]:
    """What is true of the account: its own address and name, every verified address, the roles granted to it."""
    rows = (await connection.execute(FACTS, {"account_id": account_id})).all()
    if not rows:
        raise LookupError("the account is not there")
    email, email_verified, name, picture, _, _ = rows[0]
    return {
        "email": email,
        "email_verified": email_verified,
        "name": name,
        "picture": picture,
        "verified": sorted({row[4] for row in rows if row[4]}),
        "granted": sorted({row[5] for row in rows if row[5]}),
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
