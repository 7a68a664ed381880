"""A few people with colliding addresses, their browsers, and an operator: each does one thing at a time, by the flows.

The town remembers who has proven which identity, and in whose hands each session, question and offer is.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from admitted import NOW, ORIGIN, Linking, desk_of, identity
from sqlalchemy import delete, select

from gateway import schema
from gateway.accounts import merges
from gateway.db import Database
from gateway.flows import operate, own
from gateway.flows.admit import Admission, Desk, Newcomer
from gateway.flows.join import join, stay_apart
from gateway.flows.link import Linked, link, unlink
from gateway.flows.merge import merge, unmerge
from gateway.housekeeping import prune
from gateway.identity import Identity
from gateway.sessions import Session
from gateway.sessions.queue import Rotations
from gateway.sessions.rotation import Outcome, Policy
from gateway.tokens.refresh import Presented

Key = tuple[str, str]  # issuer, subject

PEOPLE = ("ada", "mallory", "grace")
PROVIDERS = ("google", "microsoft", "github")
TRUSTS = ("authority", "authority", "verified", "unverified")
ADDRESSES = ("own", "own", "own", "cased", "ada", None)
TABLES = (schema.sessions, schema.identities, schema.merges, schema.accounts, schema.pending, schema.events)


def said(person: str, provider: str, address: str | None = None, trust: str = "unverified") -> Identity:
    """What a provider says of somebody; `address` is one of ADDRESSES, `trust` one of TRUSTS.

    A provider may verify an address that is not theirs. One that is an authority for it does not.
    """
    special = {"own": f"{person}@example.com", "cased": f"{person.upper()}@Example.com", None: None}
    email = special.get(address, f"{address}@example.com")
    verified = email is not None and trust != "unverified"
    authority = verified and trust == "authority" and address in ("own", "cased", person)
    return identity(person, email, provider=provider, email_verified=verified, email_authority=authority)


def key_of(who: Identity) -> Key:
    return who.issuer, who.subject


@dataclass(frozen=True)
class Kept:
    """A question or an offer that somebody holds. `session`: of an offer."""

    token: str
    who: Identity
    at: int
    session: uuid.UUID | None = None

    @property
    def person(self) -> str:
        return self.who.subject


class Town:
    def __init__(self, databases: list[Database], linking: Linking) -> None:
        self.desks = [desk_of(database, linking) for database in databases]
        self.now = NOW
        self.sessions: list[tuple[str, Session]] = []
        self.questions: list[Kept] = []
        self.offers: list[Kept] = []
        self.accounts: list[uuid.UUID] = []
        self.proven: dict[str, set[Key]] = defaultdict(set)

    @property
    def database(self) -> Database:
        return self.desks[0].database

    async def empty(self) -> None:
        async with self.database.write() as connection:
            for table in TABLES:
                await connection.execute(delete(table))

    async def sign_in(self, desk: Desk, who: Identity) -> Admission:
        self.proven[who.subject].add(key_of(who))
        admission = await desk.admit(Newcomer(who), ORIGIN, self.now)
        return self.admitted(who, admission)

    def admitted(self, who: Identity, admission: Admission) -> Admission:
        if admission.session:
            self.sessions.append((who.subject, admission.session))
            if admission.session.account_id not in self.accounts:
                self.accounts.append(admission.session.account_id)
        if admission.question:
            self.questions.append(Kept(admission.question, who, self.now))
        return admission

    async def link(self, desk: Desk, session: Session, who: Identity) -> Linked:
        self.proven[who.subject].add(key_of(who))
        linked = await link(desk, session.id, who, ORIGIN, self.now)
        if linked.question:
            self.offers.append(Kept(linked.question, who, self.now, session.id))
        return linked

    async def unlink(self, desk: Desk, session: Session, key: Key) -> list[uuid.UUID]:
        mine = schema.identities.c
        async with desk.database.read() as connection:
            query = select(mine.id).where(mine.issuer == key[0], mine.subject == key[1])
            identity_id = (await connection.execute(query)).scalar() or uuid.uuid4()
        return (await unlink(desk, session.account_id, identity_id, ORIGIN, self.now)).ended

    async def join(self, desk: Desk, question: Kept, proven: Identity) -> Admission:
        self.proven[proven.subject].add(key_of(proven))
        return self.admitted(proven, await join(desk, question.token, Newcomer(proven), ORIGIN, self.now))

    async def stay_apart(self, desk: Desk, question: Kept) -> Admission:
        return self.admitted(question.who, await stay_apart(desk, question.token, None, ORIGIN, self.now))

    async def merge(self, desk: Desk, offer: Kept) -> list[uuid.UUID]:
        return await merge(desk, offer.token, offer.session or uuid.uuid4(), ORIGIN, self.now)

    async def unmerge(self, desk: Desk, account_id: uuid.UUID) -> merges.Merge:
        return await unmerge(desk.database, account_id, self.now)

    async def disable(self, desk: Desk, account_id: uuid.UUID) -> operate.Changed:
        return await operate.disable(desk.database, account_id, self.now)

    async def enable(self, desk: Desk, account_id: uuid.UUID) -> operate.Changed:
        return await operate.enable(desk.database, account_id, self.now)

    async def delete(self, desk: Desk, account_id: uuid.UUID) -> operate.Changed:
        return await operate.delete(desk.database, account_id, self.now)

    async def leave(self, desk: Desk, account_id: uuid.UUID) -> list[uuid.UUID]:
        return await own.ask_for_deletion(desk.database, account_id, ORIGIN, self.now)

    async def prune(self, desk: Desk) -> dict[str, int]:
        return await prune(desk.database, self.now)

    async def refresh(self, desk: Desk, sessions: list[Session]) -> list[Outcome]:
        """Whoever never hears of the answer presents the same again."""
        rotations = Rotations(desk.database, Policy(), lambda: self.now)
        return await asyncio.gather(*(rotations.rotate(Presented(session.id, 0)) for session in sessions))

    async def whereabouts(self) -> dict[uuid.UUID, tuple[uuid.UUID, set[uuid.UUID] | None]]:
        """Of each account: what its id means today, and if that is itself, what went into it."""
        found: dict[uuid.UUID, tuple[uuid.UUID, set[uuid.UUID] | None]] = {}
        async with self.database.read() as connection:
            for each in (await connection.execute(select(schema.accounts.c.id))).scalars().all():
                root = await merges.resolve(connection, each)
                found[each] = (root, set(await merges.merged_from(connection, each)) if root == each else None)
        return found

    def reached_by_others(self, rows: list[Any], living: set[uuid.UUID]) -> list[str]:
        """Sessions that reach an account with an identity that is not their person's, or with none they have proven."""
        found = []
        for person, session in self.sessions:
            keys = {(row.issuer, row.subject) for row in rows if row.account_id == session.account_id}
            theirs = {key for key in keys if key[1] == person}
            if session.id in living and (keys != theirs or not keys & self.proven[person]):
                found.append(f"a session of {person} reaches {keys}")
        return found
