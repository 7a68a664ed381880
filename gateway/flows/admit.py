"""Admit: a verified identity becomes a session. One transaction; the loser of a race retries as a reader."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import accounts, events, sessions
from gateway.accounts import Account, Create, Refuse, SignIn, SignupPolicy
from gateway.db import Database
from gateway.errors import GatewayError
from gateway.events import Event, Origin
from gateway.identity import Identity
from gateway.sealing import Sealer

SCOPE = "openid profile email groups"  # what the gateway's own browser session may do


@dataclass(frozen=True, slots=True)
class Admission:
    """What came of a verified identity: a session, or a refusal that was recorded."""

    session: sessions.Session | None
    refusal: GatewayError | None
    ended: Sequence[uuid.UUID] = ()  # in the same transaction: what this browser had before, and what was too many


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A verified identity on its way in. `id_token` is kept, sealed, where the provider has an end-session page.
    `replaces`: the session this browser had until now."""

    identity: Identity
    id_token: str | None = field(default=None, repr=False)
    replaces: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What an admission goes by: who may sign up, and how long a session can live at most (seconds)."""

    policy: SignupPolicy
    max_ttl: int


async def admit(
    database: Database, sealer: Sealer, newcomer: Newcomer, terms: Terms, origin: Origin, now: int
) -> Admission:
    """Sign the identity in, with a new account if the policy says so.

    Two first sign-ins of one person at one moment: the unique key decides, and the loser finds the winner's account.
    """
    for last in (False, True):
        try:
            async with database.write() as connection:
                return await admit_once(connection, sealer, newcomer, terms, origin, now)
        except IntegrityError:
            if last:
                raise
    raise AssertionError("unreachable")


async def admit_once(
    connection: AsyncConnection, sealer: Sealer, newcomer: Newcomer, terms: Terms, origin: Origin, now: int
) -> Admission:
    identity = newcomer.identity
    known = await accounts.find(connection, identity.issuer, identity.subject)
    match accounts.decide(identity, known, terms.policy):
        case Refuse(error, account_id):
            refused = Event("sign_in_refused", account_id, None, identity.provider, {"reason": error.code})
            await events.record(connection, refused, origin, now)
            return Admission(None, error())
        case SignIn(account, identity_id):
            await accounts.refresh_identity(connection, identity_id, identity, now)
        case Create():
            account, identity_id = await accounts.create(connection, identity, now)
            await events.record(connection, Event("account_created", account.id, None, identity.provider), origin, now)
    ended = await make_room(connection, account.id, newcomer.replaces, origin, now)
    session = await sessions.create(
        connection,
        account_id=account.id,
        identity_id=identity_id,
        provider=identity.provider,
        client_id="gateway",
        scope=SCOPE,
        auth_time=now,
        expires_at=now + terms.max_ttl,
        user_agent=origin.user_agent,
        ip=origin.ip,
        facts=facts(account, identity),
        provider_session=identity.provider_session,
        id_token=sealer.seal("id-token", newcomer.id_token.encode()) if newcomer.id_token else None,
        now=now,
    )
    await events.record(connection, Event("signed_in", account.id, session.id, identity.provider), origin, now)
    return Admission(session, None, [one.id for one in ended])


async def make_room(
    connection: AsyncConnection, account_id: uuid.UUID, replaces: uuid.UUID | None, origin: Origin, now: int
) -> list[sessions.Session]:
    """A browser that signs in anew has a new session, and the one it had does not live on beside it; nor does an
    account have more than `sessions.MOST`. What ended."""
    ended = await sessions.make_room(connection, account_id, replaces=replaces, now=now)
    for one in ended:
        event = Event("session_ended", one.account_id, one.id, one.provider, {"reason": one.end_reason})
        await events.record(connection, event, origin, now)
    return ended


def facts(account: Account, identity: Identity) -> Mapping[str, Any]:
    """What role rules look at and tokens may say, for as long as the session lives."""
    return {
        "email": account.email,
        "email_verified": account.email_verified,
        "name": account.name,
        "verified": [identity.email] if identity.email and identity.email_verified else [],
        "groups": list(identity.groups),
        "provider_roles": list(identity.roles),
    }
