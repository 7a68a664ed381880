"""Link and unlink: identities of one's own account, by somebody who is signed in and was so recently."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import accounts, events, pending, sessions
from gateway.accounts import Account, provider_tokens
from gateway.accounts.provider_tokens import Kept
from gateway.errors import AccountDisabled, AttemptMismatch, LastIdentity, NotFound
from gateway.events import Event, Origin
from gateway.identity import Identity, ProviderTokens

from . import admit as admission
from .admit import Desk, Newcomer
from .facts import retell


@dataclass(frozen=True, slots=True)
class Linked:
    """The identity is the account's now; or it has one of its own, and `question` leads to the offer to merge."""

    question: str | None = None


async def link(
    desk: Desk,
    session_id: uuid.UUID,
    identity: Identity,
    origin: Origin,
    now: int,
    tokens: ProviderTokens | None = None,
) -> Linked:
    """Link an identity that was just proven to the account of a session. AttemptMismatch when that has ended."""

    async def work(connection: AsyncConnection) -> Linked:
        mine = await asking(connection, session_id, now)
        found = await accounts.find(connection, identity, hold=False)
        if found is None:
            new = await admission.link(connection, mine, Newcomer(identity), origin, now, {"by": "owner"})
            await admission.keep_tokens(connection, desk, new, tokens, now)
            return Linked()
        theirs, identity_id = found
        if theirs.id == mine.id:
            await admission.welcome_back(connection, mine, identity_id, Newcomer(identity), origin, now)
            await admission.keep_tokens(connection, desk, identity_id, tokens, now)
            return Linked()
        if theirs.disabled_at:
            raise AccountDisabled("the account to merge is disabled")
        proof = {"survivor": str(mine.id), "absorbed": str(theirs.id), "by": str(identity_id)}
        return Linked(await pending.keep(connection, desk.sealer, "merge", {"session": str(session_id), **proof}, now))

    return await desk.undisturbed(work)


@dataclass(frozen=True, slots=True)
class Unlinked:
    """The sessions that ended, and the provider's tokens that nobody keeps any more."""

    ended: list[uuid.UUID]
    orphans: list[Kept]


async def asking(connection: AsyncConnection, session_id: uuid.UUID, now: int) -> Account:
    """The account of the session that asks for something, held. AttemptMismatch when the session has ended."""
    session = await sessions.get(connection, session_id, now)
    account = await held(connection, session.account_id) if session else None
    if account is None or await sessions.get(connection, session_id, now) is None:  # ended before it was held
        raise AttemptMismatch("the session that asked for this has ended")
    return account


async def unlink(desk: Desk, account_id: uuid.UUID, identity_id: uuid.UUID, origin: Origin, now: int) -> Unlinked:
    """Remove an identity, and end the sessions that came through it. NotFound, LastIdentity."""
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
        kept = await provider_tokens.of_identity(connection, identity_id)
        await accounts.remove_identity(connection, identity_id)
        detail = {"identity": str(identity_id), "sessions": len(ended)}
        await events.record(
            connection, Event("identity_unlinked", account_id, None, removed.provider, detail), origin, now
        )
        await retell(connection, account_id, now)
    return Unlinked(ended, [kept] if kept else [])


async def held(connection: AsyncConnection, account_id: uuid.UUID) -> Account:
    """The account, held until the transaction ends. NotFound when it is gone, merged or disabled."""
    account = await accounts.hold(connection, account_id)
    if account is None or account.merged_into or account.disabled_at:
        raise NotFound("the account is not there any more")
    return account
