"""Admit: a verified identity becomes a session. One transaction; the loser of a race retries as a reader."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
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
    replaced: uuid.UUID | None  # the session this browser had before, ended in the same transaction


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
            return Admission(None, error(), None)
        case SignIn(account, identity_id):
            await accounts.refresh_identity(connection, identity_id, identity, now)
        case Create():
            account, identity_id = await accounts.create(connection, identity, now)
            await events.record(connection, Event("account_created", account.id, None, identity.provider), origin, now)
    replaced = await end_replaced(connection, newcomer.replaces, origin, now)
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
    return Admission(session, None, replaced)


async def end_replaced(
    connection: AsyncConnection, session_id: uuid.UUID | None, origin: Origin, now: int
) -> uuid.UUID | None:
    """A browser that signs in anew has a new session; the one it had does not live on beside it."""
    if session_id is None:
        return None
    ended = await sessions.end(connection, session_id, reason="replaced", now=now)
    if ended is None:
        return None
    await events.record(
        connection,
        Event("session_ended", ended.account_id, ended.id, ended.provider, {"reason": "replaced"}),
        origin,
        now,
    )
    return ended.id


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
