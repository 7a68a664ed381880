"""Merge two accounts whose owner proved both, and take that back.

absorbed ── identities, granted roles ──► survivor
    └── sessions end; a tombstone stays, so that its id still leads to the survivor
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import accounts, events, pending, sessions
from gateway.accounts import Account, LinkedIdentity, consents, grants, merges
from gateway.db import Database
from gateway.errors import AttemptExpired, AttemptMismatch, CannotUndo, NotFound
from gateway.events import NOWHERE, Event, Origin

from .admit import Desk
from .facts import judge_address, retell
from .link import held


@dataclass(frozen=True, slots=True)
class Side:
    """One of two accounts, as its owner is shown it before they decide."""

    account: Account
    identities: tuple[LinkedIdentity, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    survivor: Side
    absorbed: Side


async def offer(desk: Desk, token: str, session_id: uuid.UUID, now: int) -> Offer:
    """What would be merged. AttemptExpired when it was answered or is too old, AttemptMismatch in another session."""
    async with desk.database.read() as connection:
        proof = await pending.look(connection, desk.sealer, "merge", token, now)
        if proof is None:
            raise AttemptExpired("no such offer")
        await check_session(connection, proof, session_id, now)
        sides = [await accounts.profile(connection, uuid.UUID(proof[role])) for role in ("survivor", "absorbed")]
    if sides[0] is None or sides[1] is None:
        raise AttemptExpired("one of the accounts is gone")
    return Offer(Side(*sides[0]), Side(*sides[1]))


async def merge(desk: Desk, token: str, session_id: uuid.UUID, origin: Origin, now: int) -> list[uuid.UUID]:
    """Carry the offer out, in one transaction; the ids of the sessions that ended."""
    async with desk.database.write() as connection:
        proof = await pending.take(connection, desk.sealer, "merge", token, now)
        if proof is None:
            raise AttemptExpired("no such offer")
        survivor, absorbed = uuid.UUID(proof["survivor"]), uuid.UUID(proof["absorbed"])
        for account_id in sorted((survivor, absorbed)):  # always in this order, so that two merges never wait crosswise
            await held(connection, account_id)
        await check_session(connection, proof, session_id, now)
        identities = [each.id for each in (await accounts.identities_of(connection, [absorbed]))[absorbed]]
        if uuid.UUID(proof["by"]) not in identities:
            raise AttemptMismatch("what proved the other account has been unlinked from it")
        return await move(connection, absorbed, survivor, identities, origin, now)


async def check_session(connection: AsyncConnection, proof: Mapping[str, Any], session_id: uuid.UUID, now: int) -> None:
    """AttemptMismatch unless it is the session that was made the offer, or what came of it when the person confirmed
    that it is them: signed in anew, in the same browser, to the same account."""
    asked, survivor = uuid.UUID(proof["session"]), uuid.UUID(proof["survivor"])
    session = await sessions.get(connection, session_id, now)
    if session is None or session.account_id != survivor:
        raise AttemptMismatch("the session that asked for this has ended, or is of another account")
    if session_id != asked and not await sessions.was_replaced(connection, asked, survivor):
        raise AttemptMismatch("another session than the one that asked")


async def move(
    connection: AsyncConnection,
    absorbed: uuid.UUID,
    survivor: uuid.UUID,
    identities: list[uuid.UUID],
    origin: Origin,
    now: int,
) -> list[uuid.UUID]:
    await sessions.hold(connection, [survivor, absorbed], now)
    ended = await sessions.end_for_account(connection, absorbed, reason="merged", now=now)
    await accounts.move_identities(connection, identities, survivor)
    roles = await grants.grant(connection, survivor, await grants.granted(connection, absorbed), now)
    await consents.move(connection, absorbed, survivor, now)
    await accounts.change(connection, absorbed, merged_into=survivor, delete_at=None)
    await accounts.change(connection, survivor, delete_at=None)
    await merges.note(connection, absorbed, survivor, identities, roles, now)
    for account_id in (survivor, absorbed):
        detail = {"absorbed": str(absorbed), "survivor": str(survivor)}
        await events.record(connection, Event("account_merged", account_id, None, None, detail), origin, now)
    await retell(connection, survivor, now)
    return ended


async def unmerge(database: Database, absorbed: uuid.UUID, now: int) -> merges.Merge:
    """Take a merge back, within 30 days: what moved and is still there goes back. NotFound, CannotUndo."""
    async with database.write() as connection:
        merge = await held_merge(connection, absorbed)
        if merge.merged_at + merges.UNDO < now:
            raise CannotUndo("merged more than 30 days ago")
        await give_back(connection, merge, now)
    return merge


async def held_merge(connection: AsyncConnection, absorbed: uuid.UUID) -> merges.Merge:
    """The merge with both accounts held: the survivor first, so that who deletes it with all it absorbed, or merges
    the absorbed one again, never waits crosswise. NotFound, CannotUndo."""
    merge = await merges.latest(connection, absorbed)
    if merge is None:
        raise NotFound("this account was not merged into another")
    survivor = await accounts.hold(connection, merge.survivor)
    if await merges.latest(connection, absorbed) != merge:
        raise NotFound("somebody else has undone this merge")
    if survivor is None or await accounts.hold(connection, absorbed) is None:
        raise CannotUndo("one of the accounts is gone")
    return merge


async def give_back(connection: AsyncConnection, merge: merges.Merge, now: int) -> None:
    present = (await accounts.identities_of(connection, [merge.survivor]))[merge.survivor]
    returning = [each for each in present if each.id in merge.identities]
    staying = [each for each in present if each.id not in merge.identities]
    if not returning or not staying:
        raise CannotUndo("one of the two accounts would be left without a way in")
    await sessions.hold(connection, [merge.survivor], now)
    for identity in returning:
        await sessions.end_for_identity(connection, identity.id, reason="unmerged", now=now)
    await accounts.move_identities(connection, [identity.id for identity in returning], merge.absorbed)
    await grants.withdraw(connection, merge.survivor, merge.roles)
    await accounts.change(connection, merge.absorbed, merged_into=None)
    await merges.note_undone(connection, merge, now)
    await judge_address(connection, merge.absorbed)
    for account_id in (merge.survivor, merge.absorbed):
        detail = {"absorbed": str(merge.absorbed), "survivor": str(merge.survivor)}
        await events.record(connection, Event("account_unmerged", account_id, None, None, detail), NOWHERE, now)
    await retell(connection, merge.survivor, now)
