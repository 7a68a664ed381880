"""Reception: people who are known, and come back from their providers at one moment, share a transaction.

newcomers ─► hold their accounts ─► keep what the providers say, read facts ─► sessions, events ─► commit ─► admitted
                    │                                  │
                    │ not known, disabled, to be       │ another address, a session that would end
                    │ deleted, held by somebody        │
                    └──────────────────────────────────┴─► each by themselves afterwards, as `Desk.admit` does

On PostgreSQL. It waits for no lock: an account that somebody holds is passed over, and no session that was there before
is touched. So it is part of no deadlock, and nobody is held up by a neighbour's trouble.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Text, Uuid, and_, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import accounts, events, sessions
from gateway.batches import Batches
from gateway.db import is_outage
from gateway.events import Origin
from gateway.given import Given, Records
from gateway.schema import accounts as accounts_table
from gateway.schema import identities as identities_table
from gateway.sessions import Opening

from .admit import Admission, Desk, Newcomer, opening_for
from .facts import FACTS_OF_ALL, to_facts

log = logging.getLogger("gateway.reception")

Key = tuple[str, str]  # issuer, subject

KNOWN = Given("known", issuer=Text, subject=Text)
TELLING = Records("telling", {**accounts.TELLING_AGAIN, "replaces": Uuid()})


def holding() -> Select[Any]:
    """Hold the accounts of these identities that nobody holds, and at which a sign-in is nothing but that."""
    mine, known = identities_table.c, KNOWN.table("postgresql")
    return (
        select(mine.issuer, mine.subject, mine.id, mine.account_id)
        .join_from(known, identities_table, and_(mine.issuer == known.c.issuer, mine.subject == known.c.subject))
        .join(accounts_table)
        .where(accounts_table.c.disabled_at.is_(None), accounts_table.c.delete_at.is_(None))
        .with_for_update(key_share=True, of=accounts_table, skip_locked=True)
    )


def telling() -> Select[Any]:
    """Keep what the providers say where that changes nothing else; of these accounts the facts and the id."""
    given = dict(TELLING.table().c.items())
    may_open = sessions.ends_nothing(given["of_account"], given["replaces"], given["told_last_used_at"])
    told = accounts.tell_again(given).where(may_open).returning(identities_table.c.account_id).cte("told")
    return FACTS_OF_ALL.add_columns(accounts_table.c.id).where(accounts_table.c.id.in_(select(told.c.account_id)))


# Two statements: only what begins when the accounts are held sees what those who held them before have done.
HOLD, TELL_AND_READ = holding(), telling()


@dataclass(frozen=True, slots=True)
class Arrival:
    newcomer: Newcomer
    origin: Origin
    now: int  # epoch seconds

    @property
    def key(self) -> Key:
        return self.newcomer.identity.issuer, self.newcomer.identity.subject


Held = Mapping[uuid.UUID, tuple[Arrival, uuid.UUID]]  # by account: who comes to it, and the identity's id


class Reception:
    """Admits newcomers as the desk does; when several are there, those it can together."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._present = 0
        self._batches: Batches[Arrival, Opening | None] = Batches(
            "sign_in", self._receive, apart=lambda arrival: arrival.key, repeatable=False
        )

    async def admit(self, newcomer: Newcomer, origin: Origin, now: int) -> Admission:
        """What came of it, as `Desk.admit` says; Unavailable when the database did not say.

        Whoever finds nobody here goes to the desk: that is as quick for most, and quicker for who would be sent there.
        """
        together = self._present and self._desk.database.dialect == "postgresql"
        self._present += 1
        try:
            return await (self.admit_in_company if together else self._desk.admit)(newcomer, origin, now)
        finally:
            self._present -= 1

    async def admit_in_company(self, newcomer: Newcomer, origin: Origin, now: int) -> Admission:
        """On PostgreSQL, as `admit`; together with whoever else comes this way."""
        admission = None
        if not (newcomer.grant or newcomer.tokens):
            admission = await self._batches.ask(Arrival(newcomer, origin, now), told)
        return admission or await self._desk.admit(newcomer, origin, now)

    async def _receive(self, arrivals: Sequence[Arrival]) -> list[Opening | None]:
        """The sessions that opened, None for who has to come by themselves."""
        try:
            async with self._desk.database.write() as connection:
                opened = await receive(connection, self._desk, arrivals)
        except Exception as error:
            if is_outage(error) and not was_refused(error):
                raise  # whether it was carried out, nobody knows
            log.warning("sign_in_apart", extra={"fields": {"error": type(error).__name__, "of": len(arrivals)}})
            opened = {}
        return [opened.get(arrival.key) for arrival in arrivals]


def was_refused(error: Exception) -> bool:
    """Whether PostgreSQL itself has said no, and goes on: the transaction is undone."""
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return False
    return getattr(error.orig, "sqlstate", None) is not None


def told(opening: Opening | None) -> Admission | None:
    if opening is None:
        return None
    events.say(opening.event, opening.origin)
    return Admission(session=opening.session)


async def receive(connection: AsyncConnection, desk: Desk, arrivals: Sequence[Arrival]) -> Mapping[Key, Opening]:
    """Open the sessions of those for whom it can be done together."""
    held = await hold(connection, arrivals)
    true_of = await tell_and_read(connection, held) if held else {}
    opened: dict[Key, Opening] = {}
    for account_id, facts in true_of.items():
        arrival, identity_id = held[account_id]
        opened[arrival.key] = opening_for(
            desk, arrival.newcomer, account_id, identity_id, facts, arrival.origin, arrival.now
        )
    if opened:
        await sessions.open_together(connection, opened.values())
    return opened


async def hold(connection: AsyncConnection, arrivals: Sequence[Arrival]) -> Held:
    """The accounts that could be held; of two who come to the same one, one."""
    by_key = {arrival.key: arrival for arrival in arrivals}
    rows = await connection.execute(HOLD, KNOWN.parameters("postgresql", list(by_key)))
    return {account: (by_key[issuer, subject], identity) for issuer, subject, identity, account in rows}


async def tell_and_read(connection: AsyncConnection, held: Held) -> dict[uuid.UUID, Mapping[str, Any]]:
    """The facts of each of these accounts at which there is nothing else to be done."""
    given = [
        accounts.telling_again(account_id, identity_id, arrival.newcomer.identity, arrival.now)
        | {"replaces": arrival.newcomer.replaces}
        for account_id, (arrival, identity_id) in held.items()
    ]
    rows: dict[uuid.UUID, list[Any]] = defaultdict(list)
    for row in await connection.execute(TELL_AND_READ, TELLING.parameters(given)):
        rows[row[-1]].append(row)
    return {account_id: to_facts(its) for account_id, its in rows.items()}
