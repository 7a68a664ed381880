"""Admit: a verified identity becomes a session, or a question. One transaction; the loser of a race retries."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import accounts, events, pending, sessions
from gateway.accounts import (
    Account,
    AskToJoin,
    Create,
    Holder,
    Join,
    Known,
    Policy,
    Refuse,
    SignIn,
    Verdict,
    grants,
    invitations,
    provider_tokens,
)
from gateway.batches import lost_race
from gateway.db import Database
from gateway.errors import GatewayError, Overtaken
from gateway.events import Event, Origin
from gateway.identity import Identity, ProviderTokens
from gateway.sealing import Sealer
from gateway.sessions import Opening
from gateway.tokens.codes import Codes
from gateway.tokens.refresh import GATEWAY

from .facts import facts_of, refresh, retell

TRIES = 5  # of a transaction that others overtake
SCOPE = "openid profile email groups"  # what the gateway's own browser session may do

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Admission:
    """What came of a verified identity: a session, a refusal that was recorded, or a question to answer first."""

    session: sessions.Session | None = None
    refusal: GatewayError | None = None
    question: str | None = None  # token of the pending proof: known account, or one of its own?
    ended: Sequence[uuid.UUID] = ()  # in the same transaction: what this browser had before, and what was too many


@dataclass(frozen=True, slots=True)
class Grant:
    """What an application gets that brought a person's proof itself: a session of its own, under no browser's."""

    client_id: str
    scope: str
    lives: int  # seconds


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A verified identity on its way in. `id_token` is kept, sealed, where the provider has an end-session page.
    `replaces`: the session this browser had until now. `target`: where the browser wants to go. `grant`: for which
    application; None for a browser."""

    identity: Identity
    id_token: str | None = field(default=None, repr=False)
    replaces: uuid.UUID | None = None
    invitation: str | None = None
    target: str = ""
    grant: Grant | None = None
    tokens: ProviderTokens | None = None  # to be kept, where `store_tokens` says so


@dataclass(frozen=True, slots=True)
class Terms:
    """What an admission goes by: who may sign up, and how long a session can live at most (seconds)."""

    policy: Policy
    max_ttl: int


@dataclass(frozen=True, slots=True)
class Desk:
    """Where identities are admitted: the parts that every flow with a proof needs."""

    database: Database
    sealer: Sealer
    terms: Terms

    async def admit(self, newcomer: Newcomer, origin: Origin, now: int) -> Admission:
        """Sign the identity in; with a new account if the policy says so, or ask where its address is known.

        Two first sign-ins of one person at one moment: the unique key decides, and the loser finds the winner's
        account.
        """
        return await self.undisturbed(lambda connection: admit(connection, self, newcomer, origin, now))

    async def undisturbed(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do the work in a transaction; again in another when somebody else linked or moved the identity meanwhile, or
        the database took it back for somebody else's sake."""
        for _ in range(TRIES - 1):
            try:
                async with self.database.write() as connection:
                    return await work(connection)
            except (DBAPIError, Overtaken) as error:
                if not (isinstance(error, IntegrityError | Overtaken) or lost_race(error)):
                    raise
        async with self.database.write() as connection:
            return await work(connection)


async def admit(connection: AsyncConnection, desk: Desk, newcomer: Newcomer, origin: Origin, now: int) -> Admission:
    identity = newcomer.identity
    found = await accounts.find(connection, identity)
    facts: Mapping[str, Any] | None = None
    match await verdict_on(connection, desk.terms.policy, newcomer, found, origin, now):
        case Refuse(error, account_id):
            refused = Event("sign_in_refused", account_id, None, identity.provider, {"reason": error.code})
            await events.record(connection, refused, origin, now)
            return Admission(refusal=error())
        case AskToJoin() as asked:
            return Admission(question=await ask(connection, desk, newcomer, asked, origin, now))
        case SignIn(account_id, identity_id):
            if found:  # who was invited has come a moment ago
                facts = await welcome_back(connection, found[0], identity_id, newcomer, origin, now)
        case Join(account_id):
            account = await hold_holder(connection, account_id, identity)
            identity_id = await link(connection, account, newcomer, origin, now, {"by": "verified address"})
        case Create():
            account, identity_id = await accounts.create(connection, identity, now)
            account_id = account.id
            await events.record(connection, Event("account_created", account_id, None, identity.provider), origin, now)
    facts = facts or await facts_of(connection, account_id)
    opening = opening_for(desk, newcomer, account_id, identity_id, facts, origin, now)
    return await open_session(connection, desk, newcomer, identity_id, opening)


async def verdict_on(
    connection: AsyncConnection,
    policy: Policy,
    newcomer: Newcomer,
    found: tuple[Account, uuid.UUID] | None,
    origin: Origin,
    now: int,
) -> Verdict:
    """The decision about an identity that was `found` at an account or not, with what else it needs to know read. An
    invitation is spent where it makes an account."""
    identity = newcomer.identity
    known = Known(found[0].id, found[1], found[0].disabled_at is not None) if found else None
    holders = [] if known else await holders_of(connection, identity)
    token = newcomer.invitation if known is None else None
    invited = token is not None and await invitations.valid(connection, token, now)
    verdict = accounts.decide(identity, known, holders, policy, invited=invited)
    if invited and token and isinstance(verdict, Create):
        invitation = await invitations.redeem(connection, token, now)
        if invitation is None:  # somebody else was quicker
            return accounts.decide(identity, known, holders, policy)
        return await welcome_invited(connection, newcomer, invitation, origin, now)
    return verdict


async def holders_of(connection: AsyncConnection, identity: Identity) -> list[Holder]:
    """Who holds an unknown identity's verified address. Overtaken when one of them has the identity by now."""
    if not identity.email or not identity.email_verified:
        return []
    holders = await accounts.holders(connection, identity.email)
    if holders and await accounts.find(connection, identity, hold=False):
        raise Overtaken("the identity was linked meanwhile")
    return holders


async def welcome_invited(
    connection: AsyncConnection,
    newcomer: Newcomer,
    invitation: invitations.Invitation,
    origin: Origin,
    now: int,
) -> Verdict:
    """An account for somebody who was invited, with the role the invitation carries."""
    identity = newcomer.identity
    account, identity_id = await accounts.create(connection, identity, now)
    names: tuple[events.EventName, ...] = ("account_created", "invitation_used")
    for name in names:
        event = Event(name, account.id, None, identity.provider, {"invitation": str(invitation.id)})
        await events.record(connection, event, origin, now)
    if invitation.role:
        await grants.grant(connection, account.id, [invitation.role], now)
    return SignIn(account.id, identity_id)


async def ask(
    connection: AsyncConnection, desk: Desk, newcomer: Newcomer, asked: AskToJoin, origin: Origin, now: int
) -> str:
    """Keep what was proven until the person has answered."""
    proof = {
        "identity": as_json(replace(newcomer.identity, auth_time=signed_in_at(newcomer.identity, now))),
        "accounts": [str(account_id) for account_id in asked.account_ids],
        "may_separate": asked.may_separate,
        "target": newcomer.target,
        "invitation": newcomer.invitation,
        "tokens": asdict(newcomer.tokens) if newcomer.tokens else None,
    }
    for account_id in asked.account_ids:
        offered = Event("join_offered", account_id, None, newcomer.identity.provider)
        await events.record(connection, offered, origin, now)
    return await pending.keep(connection, desk.sealer, "join", proof, now)


async def hold_holder(connection: AsyncConnection, account_id: uuid.UUID, identity: Identity) -> Account:
    """The one account that the identity's address leads to, held. Overtaken when it leads elsewhere by now."""
    account = await accounts.hold(connection, account_id)
    holders = await accounts.holders(connection, identity.email or "")
    if account is None or [holder.account_id for holder in holders if not holder.disabled] != [account_id]:
        raise Overtaken("the account with this address was disabled, merged or deleted, or is not the only one")
    return account


async def link(
    connection: AsyncConnection,
    account: Account,
    newcomer: Newcomer,
    origin: Origin,
    now: int,
    detail: Mapping[str, Any],
) -> uuid.UUID:
    """Give an account that the caller holds one more identity; IntegrityError when somebody else linked it first."""
    identity = newcomer.identity
    identity_id = await accounts.add_identity(connection, account.id, identity, now)
    await cancel_deletion(connection, account, identity.provider, origin, now)
    event = Event("identity_linked", account.id, None, identity.provider, {"identity": str(identity_id), **detail})
    await events.record(connection, event, origin, now)
    await sessions.hold(connection, [account.id], now, beside=newcomer.replaces)
    await retell(connection, account.id, now)
    return identity_id


async def welcome_back(
    connection: AsyncConnection,
    account: Account,
    identity_id: uuid.UUID,
    newcomer: Newcomer,
    origin: Origin,
    now: int,
) -> Mapping[str, Any]:
    """What follows from a known identity's being there again, at an account that the caller holds. The account's facts,
    which hold until an identity comes or goes."""
    identity = newcomer.identity
    facts = await refresh(connection, account.id, identity_id, identity, now)
    await cancel_deletion(connection, account, identity.provider, origin, now)
    if facts is None:
        await sessions.hold(connection, [account.id], now, beside=newcomer.replaces)
        facts = await retell(connection, account.id, now)
    return facts


async def keep_tokens(
    connection: AsyncConnection, desk: Desk, identity_id: uuid.UUID, tokens: ProviderTokens | None, now: int
) -> None:
    if tokens:
        await provider_tokens.keep(connection, desk.sealer, identity_id, tokens, now)


async def cancel_deletion(
    connection: AsyncConnection, account: Account, provider: str, origin: Origin, now: int
) -> None:
    """Signing in takes back the wish to be deleted. The caller holds the account."""
    if account.delete_at:
        await accounts.change(connection, account.id, delete_at=None)
        await events.record(connection, Event("deletion_cancelled", account.id, None, provider), origin, now)


async def open_session(
    connection: AsyncConnection, desk: Desk, newcomer: Newcomer, identity_id: uuid.UUID, opening: Opening
) -> Admission:
    await keep_tokens(connection, desk, identity_id, newcomer.tokens, opening.now)
    ended = await place(connection, opening, newcomer)
    return Admission(session=opening.session, ended=[one.id for one in ended])


def opening_for(
    desk: Desk,
    newcomer: Newcomer,
    account_id: uuid.UUID,
    identity_id: uuid.UUID,
    facts: Mapping[str, Any],
    origin: Origin,
    now: int,
) -> Opening:
    """The session of whoever is let in, and the event that says so."""
    identity = newcomer.identity
    grant = newcomer.grant or Grant(GATEWAY, SCOPE, desk.terms.max_ttl)
    session_id = uuid.uuid4()
    session = sessions.new(
        account_id=account_id,
        identity_id=identity_id,
        provider=identity.provider,
        session_id=session_id,
        client_id=grant.client_id,
        scope=grant.scope,
        auth_time=signed_in_at(identity, now),
        expires_at=now + grant.lives,
        user_agent=origin.user_agent,
        ip=origin.ip,
        facts={
            **facts,
            "groups": list(identity.groups),
            "provider_roles": list(identity.roles),
            **({"sid": Codes(desk.sealer).sid(str(session_id), grant.client_id)} if newcomer.grant else {}),
        },
        provider_session=identity.provider_session,
        id_token=desk.sealer.seal("id-token", newcomer.id_token.encode()) if newcomer.id_token else None,
        now=now,
    )
    name: events.EventName = "app_signed_in" if newcomer.grant else "signed_in"
    detail = {"client": grant.client_id} if newcomer.grant else {}
    event = Event(name, account_id, session.id, identity.provider, detail)
    return Opening(session, event, origin, now)


async def place(connection: AsyncConnection, opening: Opening, newcomer: Newcomer) -> list[sessions.Session]:
    """A browser that signs in anew has a new session, and the one it had does not live on beside it; nor does an
    account have more than `sessions.MOST`, and as many grants to one application. What ended."""
    if newcomer.grant:
        ended = await sessions.open_grant(connection, opening, opening.now)
    else:
        ended = await sessions.open_own(connection, opening, newcomer.replaces)
    for one in ended:
        event = Event("session_ended", one.account_id, one.id, one.provider, {"reason": one.end_reason})
        await events.record(connection, event, opening.origin, opening.now)
    return ended


def signed_in_at(identity: Identity, now: int) -> int:
    """When the person signed in, epoch seconds: at the provider, where it says so (OpenID Connect Core section 2), and
    never later than now."""
    return now if identity.auth_time is None else min(identity.auth_time, now)


def as_json(identity: Identity) -> dict[str, Any]:
    return {**asdict(identity), "ids": dict(identity.ids)}


def waiting(proof: Mapping[str, Any], replaces: uuid.UUID | None) -> Newcomer:
    """Whoever was asked, as the pending proof holds them."""
    tokens = ProviderTokens(**proof["tokens"]) if proof.get("tokens") else None
    return Newcomer(
        from_json(proof["identity"]),
        replaces=replaces,
        invitation=proof.get("invitation"),
        target=proof["target"],
        tokens=tokens,
    )


def from_json(value: Mapping[str, Any]) -> Identity:
    identity = Identity(**value)
    return replace(identity, groups=tuple(identity.groups), roles=tuple(identity.roles))
