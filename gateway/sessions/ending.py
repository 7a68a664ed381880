"""Sessions that end: one, those of an account or an identity, or what a new one does not leave room for.

An application's session ends with the browser's that it came from, when somebody ends that; applications are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, Update, bindparam, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import logouts
from gateway.schema import sessions

from .rows import ACCOUNT, AT, CLIENT, FIELDS, GOING_ON, LAST_USED_FIRST, MOST, PARENT, REPLACED, WHICH, Session, read

OWN = "gateway"  # client_id of a browser's session; any other is an application's grant
NO_SESSION = UUID(int=0)
TOO_MANY = "too_many"  # why a session ended: the account has newer ones, and MOST of them
UNTOLD = frozenset({"revoked"})  # end reasons that the application itself gave


class Grant(Protocol):
    """Of an application's session, what it takes to tell it of the end: `facts["sid"]` is how it knows it."""

    @property
    def account_id(self) -> UUID: ...
    @property
    def client_id(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...


def with_grants(which: ColumnElement[bool]) -> ColumnElement[bool]:
    """These sessions, and the grants that came from them.

    A union and no OR: PostgreSQL would read the whole table for `which OR parent_id IN (…)`.
    """
    these, grants = select(sessions.c.id).where(which), sessions.alias()
    theirs = select(grants.c.id).where(grants.c.parent_id.in_(these))
    return sessions.c.id.in_(these.union_all(theirs))


def ending(which: ColumnElement[bool], reason: ColumnElement[str] | None = None) -> Update:
    # Locked in the order that refreshes lock in, so that the two never wait for each other.
    rows = select(sessions.c.id).where(which, *GOING_ON).order_by(sessions.c.id).with_for_update()
    return (
        update(sessions)
        .where(sessions.c.id.in_(rows), sessions.c.ended_at.is_(None))
        .values(ended_at=AT, end_reason=bindparam("reason", type_=String) if reason is None else reason)
        .returning(*FIELDS)
    )


def making_room() -> Update:
    is_replaced = (sessions.c.id == WHICH) | FOREIGN_GRANTS
    others = (sessions.c.account_id == ACCOUNT) & (sessions.c.client_id == OWN) & ~is_replaced
    leaving = select(sessions.c.id).where(is_replaced).union_all(select(surplus(others).subquery().c.id))
    return ending(sessions.c.id.in_(leaving), case((is_replaced, REPLACED), else_=TOO_MANY))


def surplus(which: ColumnElement[bool]) -> Select[tuple[UUID]]:
    """Those used least lately, beyond what leaves room for one more."""
    return select(sessions.c.id).where(which, *GOING_ON).order_by(*LAST_USED_FIRST).offset(MOST - 1)


FOREIGN_GRANTS = (sessions.c.parent_id == WHICH) & (sessions.c.account_id != ACCOUNT)

END = ending(with_grants(sessions.c.id == WHICH))
END_OF_ACCOUNT = ending(with_grants((sessions.c.id == WHICH) & (sessions.c.account_id == ACCOUNT)))
END_OTHERS = ending(
    (sessions.c.account_id == ACCOUNT) & ~((sessions.c.id == WHICH) | sessions.c.parent_id.is_not_distinct_from(WHICH))
)
END_ALL = ending(sessions.c.account_id == ACCOUNT)
END_FOR_IDENTITY = ending(with_grants(sessions.c.identity_id == WHICH))
END_GRANTS = ending(sessions.c.parent_id == PARENT)
MAKE_ROOM = making_room()
END_FOREIGN_GRANTS = ending(FOREIGN_GRANTS)
GRANTS = (sessions.c.account_id == ACCOUNT) & (sessions.c.client_id == CLIENT)
MAKE_ROOM_FOR_GRANT = ending(sessions.c.id.in_(surplus(GRANTS)))


async def end(
    connection: AsyncConnection, session_id: UUID, *, account_id: UUID | None = None, reason: str, now: int
) -> Session | None:
    """End one session, with `account_id` only if it is this account's. None when it was not there to end."""
    given = {"which": session_id, "reason": reason, "at": now}
    if account_id is None:
        ended = await carry_out(connection, END, given)
    else:
        ended = await carry_out(connection, END_OF_ACCOUNT, given | {"of_account": account_id})
    return next((session for session in ended if session.id == session_id), None)


async def end_others(connection: AsyncConnection, account_id: UUID, keep: UUID, *, reason: str, now: int) -> list[UUID]:
    """End the account's sessions but one; the ids of those that ended."""
    given = {"of_account": account_id, "which": keep, "reason": reason, "at": now}
    return [session.id for session in await carry_out(connection, END_OTHERS, given)]


async def make_room(connection: AsyncConnection, account_id: UUID, *, replaces: UUID | None, now: int) -> list[Session]:
    """End what a new session of the account does not leave room for; those that ended, each with its `end_reason`.

    "replaced": the session that the browser had, whosever it was, with its grants if it was somebody else's.
    "too_many": those used least lately, so that with the new one there are MOST, grants apart. One statement where the
    replaced one was the account's own, for the order of the locks.
    """
    given = {"of_account": account_id, "which": replaces or NO_SESSION, "at": now}
    ended = await carry_out(connection, MAKE_ROOM, given)
    return ended + await end_late_grants(connection, account_id, ended, replaces, now)


async def end_late_grants(
    connection: AsyncConnection, account_id: UUID, ended: Iterable[Session], replaces: UUID | None, now: int
) -> list[Session]:
    """Where somebody else's session was replaced: the grants of it that were being made when the statement that ended
    it began, which therefore could not see them and only waited for them."""
    if all(one.id != replaces or one.account_id == account_id for one in ended):
        return []
    given = {"of_account": account_id, "which": replaces, "reason": REPLACED, "at": now}
    return await carry_out(connection, END_FOREIGN_GRANTS, given)


async def make_room_for_grant(connection: AsyncConnection, account_id: UUID, client_id: str, now: int) -> list[Session]:
    """End the application's grants used least lately, so that with a new one it has MOST of the account; those that
    ended. Other applications' are left alone."""
    given = {"of_account": account_id, "of_client": client_id, "reason": TOO_MANY, "at": now}
    return await carry_out(connection, MAKE_ROOM_FOR_GRANT, given)


async def end_for_account(connection: AsyncConnection, account_id: UUID, *, reason: str, now: int) -> list[UUID]:
    """End all of the account's sessions; the ids of those that ended."""
    given = {"of_account": account_id, "reason": reason, "at": now}
    return [session.id for session in await carry_out(connection, END_ALL, given)]


async def end_for_identity(connection: AsyncConnection, identity_id: UUID, *, reason: str, now: int) -> list[UUID]:
    """End the sessions that came through an identity; the ids of those that ended."""
    given = {"which": identity_id, "reason": reason, "at": now}
    return [session.id for session in await carry_out(connection, END_FOR_IDENTITY, given)]


async def end_grants(connection: AsyncConnection, parent: UUID, *, reason: str, now: int) -> list[UUID]:
    """End the grants of a browser session that has ended already; the ids of those that ended."""
    given = {"of_parent": parent, "reason": reason, "at": now}
    return [session.id for session in await carry_out(connection, END_GRANTS, given)]


async def forget(connection: AsyncConnection, account_id: UUID, *, reason: str, now: int) -> list[UUID]:
    """End all of the account's sessions and empty their rows of what is personal; the ids of those that ended.

    The rows stay, as of any session that has ended: other processes learn of the end from them.
    """
    ended = await end_for_account(connection, account_id, reason=reason, now=now)
    emptied: dict[str, Any] = {"user_agent": "", "ip": "", "facts": {}, "provider_session": None, "id_token": None}
    over = {"ended_at": func.coalesce(sessions.c.ended_at, sessions.c.expires_at)}  # those that had only expired
    await connection.execute(update(sessions).where(sessions.c.account_id == account_id).values(emptied | over))
    return ended


async def carry_out(
    connection: AsyncConnection, ending: Update | Select[Any], given: Mapping[str, Any]
) -> list[Session]:
    """The sessions that ended by it; their applications will be told."""
    ended = [read(row) for row in await connection.execute(ending, given)]
    await tell(connection, [one for one in ended if one.end_reason not in UNTOLD], given["at"])
    return ended


async def tell(connection: AsyncConnection, ended: Iterable[Grant], now: int) -> None:
    """Have applications told that these ended. Whatever ends sessions here does so; what ends them elsewhere must."""
    grants = [one for one in ended if "sid" in one.facts]
    told = [logouts.Told(one.client_id, str(one.account_id), one.facts["sid"]) for one in grants]
    await logouts.enqueue(connection, told, now)
