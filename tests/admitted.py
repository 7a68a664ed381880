"""People who are let in straight through the flows, without HTTP; and what must hold of the database afterwards."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import select

from gateway import schema
from gateway.accounts import Policy
from gateway.db import Database
from gateway.errors import GatewayError, Unavailable
from gateway.events import Origin
from gateway.flows.admit import Desk, Newcomer, Terms
from gateway.identity import Identity
from gateway.sealing import Sealer
from gateway.sessions import Session

NOW = 1_800_000_000
DAY = 86_400
ORIGIN = Origin("192.0.2.1", "Mozilla/5.0", "request")
SEALER = Sealer([b"an-obviously-fake-key-for-tests-only"])

Linking = Literal["ask", "verified", "never"]
Signup = Literal["open", "closed", "domains"]


def desk_of(database: Database, linking: Linking = "ask", signup: Signup = "open") -> Desk:
    return Desk(database, SEALER, Terms(Policy(signup, (), linking), 90 * DAY))


def identity(subject: str, email: str | None = None, **said: Any) -> Identity:
    """An identity; with an address, verified unless `email_verified` says otherwise."""
    trust = {"email_verified": email is not None, **said}
    provider = trust.pop("provider", "google")
    return Identity(provider, f"https://{provider}.example", subject, email, **trust)


async def sign_in(desk: Desk, who: Identity, now: int = NOW, **more: Any) -> Session:
    """The session that comes of it; whoever is refused or asked instead fails the test."""
    admission = await desk.admit(Newcomer(who, **more), ORIGIN, now)
    assert admission.session, admission
    return admission.session


async def asked(desk: Desk, who: Identity, now: int = NOW, **more: Any) -> str:
    """The token of the question that comes of it."""
    admission = await desk.admit(Newcomer(who, **more), ORIGIN, now)
    assert admission.question, admission
    return admission.question


async def outcome(work: Awaitable[Any]) -> Any:
    """What came of it; of errors only those that are an answer to somebody."""
    try:
        return await work
    except GatewayError as error:
        if type(error) in (GatewayError, Unavailable):
            raise
        return error


async def rows(database: Database, table: Any) -> list[Any]:
    async with database.read() as connection:
        return list((await connection.execute(select(table))).all())


async def holder_of(database: Database, who: Identity) -> uuid.UUID | None:
    """The account an identity belongs to."""
    mine = schema.identities.c
    async with database.read() as connection:
        query = select(mine.account_id).where(mine.issuer == who.issuer, mine.subject == who.subject)
        return (await connection.execute(query)).scalar()


@dataclass(frozen=True)
class Snapshot:
    """All rows that the rules are about; `sessions`: the living ones, `merges`: those that stand."""

    accounts: dict[uuid.UUID, Any]
    identities: dict[uuid.UUID, Any]
    sessions: dict[uuid.UUID, Any]
    merges: list[Any]


async def look(database: Database, now: int = NOW) -> Snapshot:
    accounts, identities, sessions, merges = [
        await rows(database, table) for table in (schema.accounts, schema.identities, schema.sessions, schema.merges)
    ]
    return Snapshot(
        {row.id: row for row in accounts},
        {row.id: row for row in identities},
        {row.id: row for row in sessions if row.ended_at is None and row.expires_at > now},
        [row for row in merges if row.undone_at is None],
    )


async def broken(database: Database, now: int = NOW) -> list[str]:
    """Every rule that the rows break; nobody may be under way."""
    return faults(await look(database, now))


def faults(seen: Snapshot) -> list[str]:
    of_sessions = [session_faults(row, seen.accounts, seen.identities) for row in seen.sessions.values()]
    return [
        *identity_faults(seen.accounts, seen.identities),
        *(fault for each in of_sessions for fault in each),
        *merge_faults(seen.accounts, seen.merges),
    ]


def identity_faults(accounts: dict[uuid.UUID, Any], identities: dict[uuid.UUID, Any]) -> list[str]:
    keys = Counter((row.issuer, row.subject) for row in identities.values())
    held = Counter(row.account_id for row in identities.values())
    living = {id_ for id_, row in accounts.items() if row.merged_into is None}
    return [
        *(f"{key} belongs to {count} accounts" for key, count in keys.items() if count > 1),
        *(f"{id_} has identities, and is no living account" for id_ in held.keys() - living),
        *(f"{id_} has no identity" for id_ in living - held.keys()),
        *(
            f"{id_} has a wrong word on its address"
            for id_ in living
            if not rightly_verified(accounts[id_], identities)
        ),
    ]


def rightly_verified(account: Any, identities: dict[uuid.UUID, Any]) -> bool:
    """Whether the account's address counts as verified exactly if one of its identities vouches for it."""
    mine = [row for row in identities.values() if row.account_id == account.id and row.email_verified]
    vouched = {row.email_key for row in mine}
    return account.email_verified == ((account.email or "").lower() in vouched)


def session_faults(row: Any, accounts: dict[uuid.UUID, Any], identities: dict[uuid.UUID, Any]) -> list[str]:
    account, through = accounts.get(row.account_id), identities.get(row.identity_id)
    if account is None:
        return [f"session {row.id} lives without an account"]
    states = ("disabled_at", "delete_at", "merged_into")
    return [
        *(f"session {row.id} lives, and its account has {state}" for state in states if getattr(account, state)),
        *([f"session {row.id} came through what the account has not"] if not through else []),
        *([f"session {row.id} came through another's"] if through and through.account_id != account.id else []),
    ]


def merge_faults(accounts: dict[uuid.UUID, Any], merges: list[Any]) -> list[str]:
    open_ones = Counter(row.absorbed for row in merges if row.absorbed in accounts)
    into = {row.absorbed: row.survivor for row in merges}
    tombstones = {id_: row.merged_into for id_, row in accounts.items() if row.merged_into}
    return [
        *(f"{id_} was merged {count} times" for id_, count in open_ones.items() if count > 1),
        *(f"{id_} was merged, and lives" for id_ in open_ones.keys() - tombstones.keys()),
        *(f"{id_} is a tombstone, and disabled" for id_ in tombstones if accounts[id_].disabled_at),
        *(f"{id_} is a tombstone of another merge" for id_, where in tombstones.items() if into.get(id_) != where),
    ]
