"""Facts: what sessions keep of their account, for role rules and tokens, and how a change of it reaches them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, case, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import accounts, sessions
from gateway.identity import Identity
from gateway.schema import accounts as accounts_table
from gateway.schema import grants as grants_table
from gateway.schema import identities as identities_table

FACTS_OF_ALL = (
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
)
FACTS = FACTS_OF_ALL.where(accounts_table.c.id == bindparam("of_account"))
TOLD_AGAIN = accounts.TELL_AGAIN.returning(identities_table.c.id).cte("told_again")
TELL_AND_READ = FACTS.where(select(TOLD_AGAIN.c.id).exists())


async def facts_of(connection: AsyncConnection, account_id: uuid.UUID) -> Mapping[str, Any]:
    """What is true of the account: its own address and name, every verified address, the roles granted to it."""
    rows = (await connection.execute(FACTS, {"of_account": account_id})).all()
    if not rows:
        raise LookupError("the account is not there")
    return to_facts(rows)


def to_facts(rows: Sequence[Sequence[Any]]) -> Mapping[str, Any]:
    """From rows that begin with those of FACTS, of one account."""
    email, email_verified, name, picture = rows[0][:4]
    return {
        "email": email,
        "email_verified": email_verified,
        "name": name,
        "picture": picture,
        "verified": sorted({row[4] for row in rows if row[4]}),
        "granted": sorted({row[5] for row in rows if row[5]}),
    }


async def refresh(
    connection: AsyncConnection, account_id: uuid.UUID, identity_id: uuid.UUID, identity: Identity, now: int
) -> Mapping[str, Any] | None:
    """Keep what the provider says, as `accounts.refresh_identity` does, at an account that the caller holds; its facts,
    or None when the identity's address is another than before.

    On PostgreSQL one statement where it is not: a sign-in's round trips cost more than what they ask. That reads the
    facts as they were before it wrote, which changes none of them.
    """
    if connection.dialect.name == "postgresql":
        given = accounts.telling_again(account_id, identity_id, identity, now)
        if rows := (await connection.execute(TELL_AND_READ, given)).all():
            return to_facts(rows)
    return await refresh_in_steps(connection, account_id, identity_id, identity, now)


async def refresh_in_steps(
    connection: AsyncConnection, account_id: uuid.UUID, identity_id: uuid.UUID, identity: Identity, now: int
) -> Mapping[str, Any] | None:
    changed = await accounts.refresh_identity(connection, account_id, identity_id, identity, now)
    return None if changed else await facts_of(connection, account_id)


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


async def retell(connection: AsyncConnection, account_id: uuid.UUID, now: int) -> Mapping[str, Any]:
    """Let every living session of the account know what is true of it now, which is returned; their next tokens say
    so."""
    await judge_address(connection, account_id)
    facts = await facts_of(connection, account_id)
    await sessions.retell(connection, account_id, facts, now)
    return facts
