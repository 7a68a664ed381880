"""Link and unlink: identities of one's own account, by somebody who is signed in and was so recently."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import accounts, events, pending, sessions
from gateway.accounts import Account, LinkedIdentity
from gateway.errors import AccountDisabled, AttemptMismatch, LastIdentity, NotFound
from gateway.events import Event, Origin
from gateway.identity import Identity

from . import admit as admission
from .admit import Desk, Newcomer
from .facts import retell


@dataclass(frozen=True, slots=True)
class Linked:
    """The identity is the account's now; or it has one of its own, and `question` leads to the offer to merge."""

    question: str | None = None


async def link(desk: Desk, session_id: uuid.UUID, identity: Identity, origin: Origin, now: int) -> Linked:
    """Link an identity that was just proven to the account of a session. AttemptMismatch when that has ended."""

    async def work(connection: AsyncConnection) -> Linked:
        mine = await asking(connection, session_id, now)
        found = await accounts.find(connection, identity, hold=False)
        if found is None:
            await admission.link(connection, mine.id, Newcomer(identity), origin, now, {"by": "owner"})
            return Linked()
        theirs, identity_id = found
        if theirs.id == mine.id:
            await accounts.refresh_identity(connection, mine.id, identity_id, identity, now)
            return Linked()
        if theirs.disabled_at:
            raise AccountDisabled("the account to merge is disabled")
        proof = {"survivor": str(mine.id), "absorbed": str(theirs.id), "by": str(identity_id)}
        return Linked(await pending.keep(connection, desk.sealer, "merge", {"session": str(session_id), **proof}, now))

    return await desk.undisturbed(work)


async def asking(connection: AsyncConnection, session_id: uuid.UUID, now: int) -> Account:
    """The account of the session that asks for something, held. AttemptMismatch when the session has ended."""
    session = await sessions.get(connection, session_id, now)
    account = await held(connection, session.account_id) if session else None
    if account is None or await sessions.get(connection, session_id, now) is None:  # ended before it was held
        raise AttemptMismatch("the session that asked for this has ended")
    return account


async def unlink(
    desk: Desk, account_id: uuid.UUID, identity_id: uuid.UUID, origin: Origin, now: int
) -> list[uuid.UUID]:
    """Remove an identity, and end the sessions that came through it; their ids. NotFound, LastIdentity."""
    async with desk.database.write() as connection:
        await held(connection, account_id)
        mine = (await accounts.identities_of(connection, [account_id]))[account_id]
        removed = next((identity for identity in mine if identity.id == identity_id), None)
        if removed is None:
            raise NotFound("no such identity of this account")
        if len(mine) == 1:
            raise LastIdentity("the only one")
        await sessions.hold(connection, [account_id], now)
        ended = await sessions.end_for_identity(connection, identity_id, reason="unlinked", now=now)
        await accounts.remove_identity(connection, identity_id)
        await doubt_address(connection, account_id, [identity for identity in mine if identity is not removed])
        detail = {"identity": str(identity_id), "sessions": len(ended)}
        await events.record(
            connection, Event("identity_unlinked", account_id, None, removed.provider, detail), origin, now
        )
        await retell(connection, account_id, now)
    return ended


async def doubt_address(connection: AsyncConnection, account_id: uuid.UUID, left: list[LinkedIdentity]) -> None:
    """The account's address stays its owner's choice, but verified only while an identity of theirs vouches for it."""
    account = await accounts.hold(connection, account_id)
    if account is None or not account.email_verified:
        return
    key = accounts.email_key(account.email)
    if not any(each.email_verified and accounts.email_key(each.email) == key for each in left):
        await accounts.change(connection, account_id, email_verified=False)


async def held(connection: AsyncConnection, account_id: uuid.UUID) -> Account:
    """The account, held until the transaction ends. NotFound when it is gone, merged or disabled."""
    account = await accounts.hold(connection, account_id)
    if account is None or account.merged_into or account.disabled_at:
        raise NotFound("the account is not there any more")
    return account
