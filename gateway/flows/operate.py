"""Operate: what an operator does to an account. A change, the sessions it ends and its event are one transaction.

Running servers learn of the ended sessions from their rows, within two seconds; nobody has to tell them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import accounts, events, sessions
from gateway.accounts import Account, LinkedIdentity, grants, invitations, merges
from gateway.accounts.provider_tokens import Kept
from gateway.db import Database
from gateway.errors import NotFound, Overtaken
from gateway.events import NOWHERE, Event
from gateway.sessions import Session
from gateway.tokens.keys import Keyring

from .facts import retell
from .own import erase

BY_OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Listed:
    """An account as a list shows it."""

    account: Account
    identities: Sequence[LinkedIdentity]


@dataclass(frozen=True, slots=True)
class Shown:
    """An account with its identities and its living sessions."""

    account: Account
    identities: Sequence[LinkedIdentity]
    sessions: Sequence[Session]
    roles: Sequence[str] = ()  # granted by operators
    merged_from: Sequence[uuid.UUID] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """`changed` is False where the account was so already; `ended` counts the sessions that ended; `orphans` are
    providers' tokens that nobody keeps any more."""

    account: Account
    changed: bool
    ended: int = 0
    orphans: Sequence[Kept] = ()


async def page(database: Database, *, limit: int, after: uuid.UUID | None = None, search: str = "") -> list[Listed]:
    """Accounts, oldest first, behind the account `after`. NotFound when there is no such account."""
    async with database.read() as connection:
        start = await accounts.profile(connection, after) if after else None
        if after and start is None:
            raise NotFound("no account to go on after")
        found = await accounts.page(connection, limit=limit, after=start[0] if start else None, search=search)
        identities = await accounts.identities_of(connection, [account.id for account in found])
    return [Listed(account, identities[account.id]) for account in found]


async def show(database: Database, account_id: uuid.UUID, now: int, *, idle_ttl: int) -> Shown:
    """One account, or the one it was merged into. NotFound.

    `idle_ttl`: seconds after which an unused session counts as over.
    """
    async with database.read() as connection:
        account_id = await merges.resolve(connection, account_id)
        found = await accounts.profile(connection, account_id)
        if found is None:
            raise NotFound("no such account")
        merged = await merges.merged_from(connection, account_id)
        roles = await grants.granted(connection, account_id)
        living = await sessions.list_for(connection, account_id, now, idle_ttl=idle_ttl)
    return Shown(*found, living, roles, merged)


async def with_email(database: Database, address: str) -> list[Account]:
    """Every account that an address leads to: several may carry it."""
    async with database.read() as connection:
        return await accounts.with_email(connection, address)


async def disable(database: Database, account_id: uuid.UUID, now: int) -> Changed:
    """Nobody signs in to it any more, and all of its sessions end. NotFound."""
    async with database.write() as connection:
        account = await hold(connection, account_id)
        ended = await sessions.end_for_account(connection, account.id, reason="account_disabled", now=now)
        changed = account.disabled_at is None
        if changed:
            await accounts.change(connection, account.id, disabled_at=now)
        if changed or ended:
            await events.record(connection, told("account_disabled", account, len(ended)), NOWHERE, now)
    return Changed(account, changed, len(ended))


async def enable(database: Database, account_id: uuid.UUID, now: int) -> Changed:
    """It can be signed in to again. NotFound."""
    async with database.write() as connection:
        account = await hold(connection, account_id)
        if account.disabled_at is None:
            return Changed(account, False)
        await accounts.change(connection, account.id, disabled_at=None)
        await events.record(connection, told("account_enabled", account), NOWHERE, now)
    return Changed(account, True)


async def sign_out(database: Database, account_id: uuid.UUID, now: int) -> Changed:
    """All of its sessions end. NotFound."""
    async with database.write() as connection:
        account = await hold(connection, account_id)
        ended = await sessions.end_for_account(connection, account.id, reason=BY_OPERATOR, now=now)
        if ended:
            await events.record(connection, told("sessions_ended", account, len(ended)), NOWHERE, now)
    return Changed(account, bool(ended), len(ended))


async def delete(database: Database, account_id: uuid.UUID, now: int) -> Changed:
    """The account, what went into it, and everything personal are gone. NotFound."""
    async with database.write() as connection:
        account = await hold(connection, account_id)
        erased = await erase(connection, account.id, now, {"by": BY_OPERATOR})
    return Changed(account, True, erased.ended, erased.orphans)


async def hold(connection: AsyncConnection, account_id: uuid.UUID) -> Account:
    """The account that an id means today, held until the transaction ends. NotFound; Overtaken by a merge."""
    account = await accounts.hold(connection, await merges.resolve(connection, account_id))
    if account is None:
        raise NotFound("no such account")
    if account.merged_into:
        raise Overtaken("merged at this moment")
    return account


def told(name: events.EventName, account: Account, ended: int | None = None) -> Event:
    detail: dict[str, object] = {"by": BY_OPERATOR}
    if ended is not None:
        detail["count"] = ended
    return Event(name, account.id, None, None, detail)


async def rotate_keys(keyring: Keyring, database: Database, now: int, *, force: bool) -> str:
    """Sign with the next key; its id. KeyRefusal."""
    await keyring.rotate(force=force)
    kid = keyring.current.kid
    await note(database, Event("key_rotated", detail={"by": BY_OPERATOR, "kid": kid}), now)
    return kid


async def retire_key(keyring: Keyring, database: Database, kid: str, now: int) -> None:
    """Withdraw a key at once. KeyRefusal."""
    await keyring.retire(kid)
    await note(database, Event("key_retired", detail={"by": BY_OPERATOR, "kid": kid}), now)


async def note(database: Database, event: Event, now: int) -> None:
    async with database.write() as connection:
        await events.record(connection, event, NOWHERE, now)


async def invite(database: Database, public_url: str, email: str, role: str | None, now: int) -> str:
    """A one-time link to a new account."""
    async with database.write() as connection:
        token = await invitations.invite(connection, email, role, now)
        detail = {"by": BY_OPERATOR, **({"role": role} if role else {})}
        await events.record(connection, Event("invited", detail=detail), NOWHERE, now)
    return f"{public_url}/auth/login?invitation={token}"


async def grant(database: Database, account_id: uuid.UUID, role: str, now: int) -> Changed:
    """Grant a role; living sessions have it with their next token. NotFound."""
    async with database.write() as connection:
        account = await hold(connection, account_id)
        changed = bool(await grants.grant(connection, account.id, [role], now))
        if changed:
            await retell(connection, account.id, now)
            detail = {"by": BY_OPERATOR, "role": role}
            await events.record(connection, Event("role_granted", account.id, detail=detail), NOWHERE, now)
    return Changed(account, changed)


async def withdraw(database: Database, account_id: uuid.UUID, role: str, now: int) -> Changed:
    """Withdraw a granted role. NotFound."""
    async with database.write() as connection:
        account = await hold(connection, account_id)
        changed = await grants.withdraw(connection, account.id, [role])
        if changed:
            await retell(connection, account.id, now)
            detail = {"by": BY_OPERATOR, "role": role}
            await events.record(connection, Event("role_withdrawn", account.id, detail=detail), NOWHERE, now)
    return Changed(account, changed)
