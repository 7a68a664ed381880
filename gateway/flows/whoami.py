"""Who am I: the account, its identities and the session of whoever calls, in one statement for all who ask at once."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, Uuid, and_, bindparam, exists, select

from gateway import accounts
from gateway.accounts import Account, LinkedIdentity, merges
from gateway.batches import Batches
from gateway.db import Database
from gateway.errors import InvalidToken
from gateway.given import Given
from gateway.schema import accounts as account_table
from gateway.schema import identities as identity_table
from gateway.schema import sessions as session_table
from gateway.sessions import Session

Clock = Callable[[], float]
Key = tuple[uuid.UUID, uuid.UUID]  # account, session

ASKED = Given("asked", account_id=Uuid, session_id=Uuid)
SESSION = list(Session.__dataclass_fields__)
PROFILE = len(accounts.PROFILE_COLUMNS)


def statement(dialect: str) -> Select[Any]:
    """For each who asks a row per identity: profile, session (empty when it has ended), which session it is about,
    and whether accounts went into this one."""
    asked, mine = ASKED.table(dialect), session_table.c
    living = and_(mine.id == asked.c.session_id, mine.ended_at.is_(None), mine.expires_at > bindparam("now"))
    absorbed = account_table.alias("absorbed")
    return (
        select(
            *accounts.PROFILE_COLUMNS,
            *(mine[name].label(f"session_{name}") for name in SESSION),
            asked.c.session_id,
            exists().where(absorbed.c.merged_into == account_table.c.id),
        )
        .join_from(asked, account_table, account_table.c.id == asked.c.account_id)
        .outerjoin(identity_table, identity_table.c.account_id == account_table.c.id)
        .outerjoin(session_table, living)
        .order_by(identity_table.c.linked_at, identity_table.c.id)
    )


WHO = {dialect: statement(dialect) for dialect in ("sqlite", "postgresql")}


@dataclass(frozen=True, slots=True)
class Myself:
    """`merged`: the ids that the account had before, of accounts that went into it."""

    account: Account
    identities: tuple[LinkedIdentity, ...]
    session: Session
    merged: tuple[uuid.UUID, ...]


class Whoami:
    """Looks callers up."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._batches: Batches[Key, Myself | str] = Batches("whoami", self._read)

    async def look_up(self, account_id: uuid.UUID, session_id: uuid.UUID) -> Myself:
        """InvalidToken when there is no such account any more, or the session has ended."""
        found = await self._batches.ask((account_id, session_id))
        if isinstance(found, str):
            raise InvalidToken(found)
        return found

    async def _read(self, asked: Sequence[Key]) -> list[Myself | str]:
        """Each caller, or why they are nobody."""
        found = await look_up(self._database, list(dict.fromkeys(asked)), int(self._clock()))
        return [found.get(one, "the account is gone") for one in asked]


async def look_up(database: Database, asked: Sequence[Key], now: int) -> dict[Key, Myself | str]:
    rows: dict[Key, list[Any]] = defaultdict(list)
    given = ASKED.parameters(database.dialect, asked) | {"now": now}
    for row in await database.query(WHO[database.dialect], given):
        rows[row[0], row[-2]].append(row)
    absorbing = {key[0] for key, its in rows.items() if its[0][-1]}
    merged = await absorbed(database, absorbing) if absorbing else {}
    return {key: myself(its, merged.get(key[0], ())) for key, its in rows.items()}


async def absorbed(database: Database, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, tuple[uuid.UUID, ...]]:
    async with database.read() as connection:
        return {one: tuple(await merges.merged_from(connection, one)) for one in ids}


def myself(rows: Sequence[Any], merged: tuple[uuid.UUID, ...]) -> Myself | str:
    session = dict(zip(SESSION, rows[0][PROFILE:], strict=False))
    if session["id"] is None:
        return "the session has ended"
    return Myself(*accounts.to_profile(rows), Session(**session), merged)
