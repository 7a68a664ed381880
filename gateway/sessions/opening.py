"""A session opens: what it leaves no room for ends, grants find their new parent, an event says so.

On PostgreSQL all of that is one statement: the writes touch different rows, and a round trip costs more than each of
them. On SQLite they follow each other. What comes of it is the same, and a test compares them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Delete,
    Insert,
    Select,
    Table,
    Update,
    bindparam,
    exists,
    false,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import events
from gateway.events import Event, Origin
from gateway.given import Records
from gateway.schema import events as events_table
from gateway.schema import sessions

from .ending import (
    GRANTS,
    MAKE_ROOM,
    NO_SESSION,
    OWN,
    TOO_MANY,
    carry_out,
    end_late_grants,
    ending,
    make_room,
    make_room_for_grant,
    surplus,
)
from .rows import ADOPT, CLEAR, MOST, NAMES, SPENT, Session, add, adopt, clear_spent_grants, row_of


@dataclass(frozen=True, slots=True)
class Opening:
    """A new session (`sessions.new`), and the event that says so."""

    session: Session
    event: Event
    origin: Origin
    now: int  # epoch seconds


async def open_own(connection: AsyncConnection, opening: Opening, replaces: UUID | None) -> list[Session]:
    """Open a browser's session in place of the one that this browser had; what ended, as `make_room` says."""
    if connection.dialect.name == "postgresql":
        return await open_own_at_once(connection, opening, replaces)
    return await open_own_in_steps(connection, opening, replaces)


async def open_grant(connection: AsyncConnection, opening: Opening, spent_before: int) -> list[Session]:
    """Open an application's session; what ended, as `make_room_for_grant` says. Of the same parent's grants to the
    application those go that nobody can renew and nobody has used since `spent_before` (epoch seconds)."""
    if connection.dialect.name == "postgresql":
        return await open_grant_at_once(connection, opening, spent_before)
    return await open_grant_in_steps(connection, opening, spent_before)


async def open_own_in_steps(connection: AsyncConnection, opening: Opening, replaces: UUID | None) -> list[Session]:
    ended = await make_room(connection, opening.session.account_id, replaces=replaces, now=opening.now)
    await add(connection, opening.session)
    if replaces:
        await adopt(connection, replaces, opening.session)
    await events.record(connection, opening.event, opening.origin, opening.now)
    return ended


async def open_grant_in_steps(connection: AsyncConnection, opening: Opening, spent_before: int) -> list[Session]:
    session = opening.session
    if session.parent_id:
        await clear_spent_grants(connection, session.parent_id, session.client_id, spent_before)
    ended = await make_room_for_grant(connection, session.account_id, session.client_id, opening.now)
    await add(connection, session)
    await events.record(connection, opening.event, opening.origin, opening.now)
    return ended


def placing(table: Table, prefix: str) -> Insert:
    return insert(table).values({column.name: bindparam(prefix + column.name, type_=column.type) for column in table.c})


def together(room: Update, *others: Insert | Update | Delete) -> Select[Any]:
    """These writes in one statement, which answers with the sessions that `room` ends."""
    ended = room.cte("ended")
    written = (other.cte(f"write_{place}") for place, other in enumerate(others))
    return select(*(ended.c[name] for name in NAMES)).add_cte(*written)


OPEN = placing(sessions, "new_"), placing(events_table, "event_")
OPEN_OWN = together(MAKE_ROOM, ADOPT, *OPEN)
# No write of a statement sees what another deletes: those that are spent must not be counted.
OPEN_GRANT = together(ending(sessions.c.id.in_(surplus(GRANTS & ~func.coalesce(SPENT, false())))), CLEAR, *OPEN)


async def open_own_at_once(connection: AsyncConnection, opening: Opening, replaces: UUID | None) -> list[Session]:
    before = replaces or NO_SESSION
    given = {"which": before, "of_parent": before, "successor": opening.session.id}
    ended = await at_once(connection, OPEN_OWN, opening, given)
    return ended + await end_late_grants(connection, opening.session.account_id, ended, replaces, opening.now)


async def open_grant_at_once(connection: AsyncConnection, opening: Opening, spent_before: int) -> list[Session]:
    session = opening.session
    given = {"of_parent": session.parent_id, "of_client": session.client_id, "before": spent_before, "reason": TOO_MANY}
    return await at_once(connection, OPEN_GRANT, opening, given)


async def at_once(
    connection: AsyncConnection, statement: Select[Any], opening: Opening, given: dict[str, Any]
) -> list[Session]:
    event = events.row_of(opening.event, opening.origin, opening.now)
    given |= {f"new_{name}": value for name, value in row_of(opening.session).items()}
    given |= {f"event_{name}": value for name, value in event.items()}
    ended = await carry_out(
        connection, statement, given | {"of_account": opening.session.account_id, "at": opening.now}
    )
    events.say(opening.event, opening.origin)
    return ended


def ends_nothing(
    account_id: ColumnElement[Any], replaces: ColumnElement[Any], at: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Whether a browser's session can open so that no other ends, and no grants have to find their new parent."""
    living = sessions.c.ended_at.is_(None), sessions.c.expires_at > at
    own = select(sessions.c.id).where(sessions.c.account_id == account_id, sessions.c.client_id == OWN, *living)
    return ~or_(
        exists().where(sessions.c.id == replaces, *living),
        exists().where(sessions.c.parent_id == replaces),
        own.offset(MOST - 1).exists(),
    )


def rows_for(table: Table, name: str) -> Records:
    return Records(name, {column.name: column.type for column in table.c})


def bringing(table: Table, records: Records) -> Insert:
    rows = records.table()
    return insert(table).from_select(rows.c.keys(), select(rows))


OPENED, SAID = rows_for(sessions, "opened"), rows_for(events_table, "said")
OPEN_TOGETHER = bringing(sessions, OPENED).add_cte(bringing(events_table, SAID).cte("saying"))


async def open_together(connection: AsyncConnection, openings: Collection[Opening]) -> None:
    """Open browsers' sessions that end nothing, in one statement of PostgreSQL's. The caller says the events in the
    log, where they are committed."""
    opened = OPENED.parameters([row_of(one.session) for one in openings])
    said = SAID.parameters([events.row_of(one.event, one.origin, one.now) for one in openings])
    await connection.execute(OPEN_TOGETHER, opened | said)
