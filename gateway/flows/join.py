"""Join: a new identity whose address is known goes to the known account, once that is proven, or its own way."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import accounts, pending
from gateway.accounts import Account, LinkedIdentity, merges
from gateway.errors import AttemptExpired, IdentityTaken, JoinMismatch
from gateway.events import Origin
from gateway.identity import Identity

from . import admit as admission
from .admit import Admission, Desk, Newcomer
from .facts import facts_of


@dataclass(frozen=True, slots=True)
class Question:
    """What the person is asked. `known`: the identities that would prove a known account."""

    identity: Identity
    known: tuple[LinkedIdentity, ...]
    may_separate: bool
    target: str


async def question(desk: Desk, token: str, now: int) -> Question:
    """The question behind a token. AttemptExpired when it was answered or is too old."""
    async with desk.database.read() as connection:
        proof = await pending.look(connection, desk.sealer, "join", token, now)
        if proof is None:
            raise AttemptExpired("no such question")
        known = await accounts.identities_of(connection, await candidates(connection, proof))
    everything = tuple(identity for identities in known.values() for identity in identities)
    return Question(admission.from_json(proof["identity"]), everything, proof["may_separate"], proof["target"])


async def join(desk: Desk, token: str, proven: Newcomer, origin: Origin, now: int) -> Admission:
    """Link the pending identity to the account that `proven` has just shown to be theirs, and sign in there.

    JoinMismatch when that is not an account that was asked for; the question stays open then.
    """

    async def work(connection: AsyncConnection) -> Admission:
        proof = await pending.take(connection, desk.sealer, "join", token, now)
        if proof is None:
            raise AttemptExpired("the question was answered meanwhile")
        found = await accounts.find(connection, proven.identity)
        if found is None or found[0].id not in await candidates(connection, proof) or found[0].disabled_at:
            raise JoinMismatch("another account than those with this address")
        account, identity_id = found
        await admission.welcome_back(connection, account, identity_id, proven, origin, now)
        welcomed = replace(account, delete_at=None)
        await settle(connection, desk, welcomed, admission.waiting(proof, proven.replaces), origin, now)
        facts = await facts_of(connection, account.id)
        opening = admission.opening_for(desk, proven, account.id, identity_id, facts, origin, now)
        return await admission.open_session(connection, desk, proven, identity_id, opening)

    return await desk.undisturbed(work)


async def settle(
    connection: AsyncConnection, desk: Desk, account: Account, newcomer: Newcomer, origin: Origin, now: int
) -> None:
    """Link the identity, unless it came to this account in the meantime. IdentityTaken when to another."""
    taken = await accounts.find(connection, newcomer.identity, hold=False)
    if taken is None:
        identity_id = await admission.link(connection, account, newcomer, origin, now, {"by": "question"})
        await admission.keep_tokens(connection, desk, identity_id, newcomer.tokens, now)
    elif taken[0].id != account.id:
        raise IdentityTaken("linked elsewhere while the question was open")


async def stay_apart(desk: Desk, token: str, replaces: uuid.UUID | None, origin: Origin, now: int) -> Admission:
    """An account of its own for the pending identity. AttemptExpired; the refusal where sign-up does not admit it."""
    apart = replace(desk, terms=replace(desk.terms, policy=replace(desk.terms.policy, linking="never")))

    async def work(connection: AsyncConnection) -> Admission:
        proof = await pending.take(connection, desk.sealer, "join", token, now)
        if proof is None:
            raise AttemptExpired("the question was answered meanwhile")
        return await admission.admit(connection, apart, admission.waiting(proof, replaces), origin, now)

    return await desk.undisturbed(work)


async def candidates(connection: AsyncConnection, proof: Mapping[str, Any]) -> list[uuid.UUID]:
    """The accounts that were asked for, or those that they were merged into meanwhile."""
    return [await merges.resolve(connection, uuid.UUID(account_id)) for account_id in proof["accounts"]]
