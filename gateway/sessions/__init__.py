"""Sessions: a person signed in at one browser or application, from one sign-in until its end.

An application's session, a grant, came from a browser's, its parent, and ends with it: when somebody ends that, not
when it merely expires or is replaced.

A session that has ended keeps its row for a while: processes learn of the end from it, and a late token finds out why.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import logouts
from gateway.schema import sessions

from .rotation import Verdict

__all__ = [
    "Session",
    "adopt",
    "clear_spent_grants",
    "create",
    "end",
    "end_for_account",
    "end_for_identity",
    "end_grants",
    "end_others",
    "exists",
    "forget",
    "get",
    "grants_of",
    "hold",
    "list_for",
    "make_room",
    "make_room_for_grant",
    "prune",
    "retell",
    "tell",
    "was_replaced",
]

KEEP = 86_400  # seconds that the row of an ended or expired session stays
MAX_USER_AGENT = 400  # characters
REPLACED = "replaced"  # why a session ended: its browser signed in anew
MOST = 100  # living sessions of one account, and as many grants of it to each application
OWN = "gateway"  # client_id of a browser's session; any other is an application's grant
NO_SESSION = UUID(int=0)
UNTOLD = frozenset({"revoked"})  # end reasons that the application itself gave


class Grant(Protocol):
    """Of an application's session, what it takes to tell it of the end: `facts["sid"]` is how it knows it."""

    @property
    def account_id(self) -> UUID: ...
    @property
    def client_id(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session's row. Times are epoch seconds; `expires_at` is absolute, `id_token` sealed."""

    id: UUID
    account_id: UUID
    identity_id: UUID | None
    client_id: str
    provider: str
    created_at: int
    auth_time: int
    expires_at: int
    last_used_at: int
    user_agent: str
    ip: str
    facts: Mapping[str, Any]
    scope: str
    provider_session: str | None
    id_token: bytes | None
    current: int
    ended_at: int | None
    end_reason: str | None
    parent_id: UUID | None = None


LAST_USED_FIRST = (sessions.c.last_used_at.desc(), sessions.c.created_at.desc(), sessions.c.id)
FIELDS = [sessions.c[name] for name in Session.__dataclass_fields__]
LIVING = and_(
    sessions.c.id == bindparam("session_id"), sessions.c.ended_at.is_(None), sessions.c.expires_at > bindparam("now")
)
GET = select(*FIELDS).where(LIVING)


async def create(
    connection: AsyncConnection,
    *,
    account_id: UUID,
    identity_id: UUID | None,
    client_id: str,
    provider: str,
    auth_time: int,
    expires_at: int,
    user_agent: str,
    ip: str,
    facts: Mapping[str, Any],
    scope: str,
    provider_session: str | None = None,
    id_token: bytes | None = None,
    session_id: UUID | None = None,
    parent_id: UUID | None = None,
    now: int,
) -> Session:
    """A new session whose first refresh token has number 0. `facts`: what role rules look at, as JSON values."""
    session = Session(
        id=session_id or uuid.uuid4(),
        account_id=account_id,
        identity_id=identity_id,
        client_id=client_id,
        provider=provider,
        created_at=now,
        auth_time=auth_time,
        expires_at=expires_at,
        last_used_at=now,
        user_agent=printable(user_agent)[:MAX_USER_AGENT],
        ip=ip,
        facts=facts,
        scope=scope,
        provider_session=None if provider_session is None else printable(provider_session),
        id_token=id_token,
        current=0,
        ended_at=None,
        end_reason=None,
        parent_id=parent_id,
    )
    counters = {"parent": -1, "rotated_at": now, "outcome": int(Verdict.UNKNOWN)}
    values = {name: getattr(session, name) for name in Session.__dataclass_fields__}
    await connection.execute(insert(sessions), values | counters)
    return session


async def get(connection: AsyncConnection, session_id: UUID, now: int) -> Session | None:
    """The session, unless it has ended or expired."""
    found = await connection.execute(GET, {"session_id": session_id, "now": now})
    row = found.one_or_none()
    return None if row is None else Session(**row._mapping)


async def exists(connection: AsyncConnection, session_id: UUID) -> bool:
    """Whether there is such a session, also an ended one."""
    return (await connection.execute(select(sessions.c.id).where(sessions.c.id == session_id))).first() is not None


async def adopt(connection: AsyncConnection, parent: UUID, successor: Session) -> None:
    """Let the grants of a browser session go on under the one that replaced it, if that is the same account's."""
    mine = (sessions.c.parent_id == parent) & (sessions.c.account_id == successor.account_id)
    await connection.execute(update(sessions).where(mine).values(parent_id=successor.id))


async def clear_spent_grants(connection: AsyncConnection, parent: UUID, client_id: str, before: int) -> None:
    """Delete grants without a refresh token whose last access token has died: used before this time (epoch seconds)."""
    spent = (sessions.c.last_used_at < before) & ~sessions.c.scope.contains("offline_access")
    which = (sessions.c.parent_id == parent) & (sessions.c.client_id == client_id) & spent
    await connection.execute(delete(sessions).where(which))


async def was_replaced(connection: AsyncConnection, session_id: UUID, account_id: UUID) -> bool:
    """Whether this session of the account ended because its browser signed in anew."""
    which = (sessions.c.id == session_id) & (sessions.c.account_id == account_id) & (sessions.c.end_reason == REPLACED)
    return (await connection.execute(select(sessions.c.id).where(which))).one_or_none() is not None


async def hold(
    connection: AsyncConnection, account_ids: Sequence[UUID], now: int, *, beside: UUID | None = None
) -> None:
    """Hold every living session of these accounts, and the one `beside` them, until the transaction ends.

    For who ends or changes some of them in several steps: refreshes hold theirs in the order of ids, and two that hold
    in another order would wait for each other.
    """
    which = or_(sessions.c.account_id.in_(account_ids), sessions.c.id == beside)
    await connection.execute(
        select(sessions.c.id).where(which, *going_on(now)).order_by(sessions.c.id).with_for_update()
    )


async def list_for(connection: AsyncConnection, account_id: UUID, now: int, *, idle_ttl: int) -> list[Session]:
    """The account's sessions that can still be renewed, last used first, at most MOST. `idle_ttl` in seconds."""
    used_lately = sessions.c.last_used_at + idle_ttl > now
    query = (
        select(*FIELDS)
        .where(sessions.c.account_id == account_id, *going_on(now), used_lately)
        .order_by(*LAST_USED_FIRST)
        .limit(MOST)
    )
    return [Session(**row._mapping) for row in await connection.execute(query)]


async def end(
    connection: AsyncConnection, session_id: UUID, *, account_id: UUID | None = None, reason: str, now: int
) -> Session | None:
    """End one session, with `account_id` only if it is this account's. None when it was not there to end."""
    which = sessions.c.id == session_id
    if account_id is not None:
        which &= sessions.c.account_id == account_id
    ended = await end_where(connection, with_grants(which), reason, now)
    return next((session for session in ended if session.id == session_id), None)


async def end_others(connection: AsyncConnection, account_id: UUID, keep: UUID, *, reason: str, now: int) -> list[UUID]:
    """End the account's sessions but one; the ids of those that ended."""
    spared = (sessions.c.id == keep) | sessions.c.parent_id.is_not_distinct_from(keep)
    which = (sessions.c.account_id == account_id) & ~spared
    return [session.id for session in await end_where(connection, which, reason, now)]


async def make_room(connection: AsyncConnection, account_id: UUID, *, replaces: UUID | None, now: int) -> list[Session]:
    """End what a new session of the account does not leave room for; those that ended, each with its `end_reason`.

    "replaced": the session that the browser had, whosever it was, with its grants if it was somebody else's.
    "too_many": those used least lately, so that with the new one there are MOST, grants apart. One statement where the
    replaced one was the account's own, for the order of the locks.
    """
    foreign_grant = (sessions.c.parent_id == (replaces or NO_SESSION)) & (sessions.c.account_id != account_id)
    is_replaced = (sessions.c.id == (replaces or NO_SESSION)) | foreign_grant
    others = (sessions.c.account_id == account_id) & (sessions.c.client_id == OWN) & ~is_replaced
    surplus = select(sessions.c.id).where(others, *going_on(now)).order_by(*LAST_USED_FIRST).offset(MOST - 1)
    ending = select(sessions.c.id).where(is_replaced).union_all(select(surplus.subquery().c.id))
    reason = case((is_replaced, REPLACED), else_="too_many")
    ended = await end_where(connection, sessions.c.id.in_(ending), reason, now)
    if any(one.id == replaces and one.account_id != account_id for one in ended):
        # One that was being granted when the statement began it could not see: it only waited for it.
        ended += await end_where(connection, foreign_grant, REPLACED, now)
    return ended


async def end_for_account(connection: AsyncConnection, account_id: UUID, *, reason: str, now: int) -> list[UUID]:
    """End all of the account's sessions; the ids of those that ended."""
    which = sessions.c.account_id == account_id
    return [session.id for session in await end_where(connection, which, reason, now)]


async def end_for_identity(connection: AsyncConnection, identity_id: UUID, *, reason: str, now: int) -> list[UUID]:
    """End the sessions that came through an identity; the ids of those that ended."""
    which = with_grants(sessions.c.identity_id == identity_id)
    return [session.id for session in await end_where(connection, which, reason, now)]


async def make_room_for_grant(connection: AsyncConnection, account_id: UUID, client_id: str, now: int) -> list[Session]:
    """End the application's grants used least lately, so that with a new one it has MOST of the account; those that
    ended. Other applications' are left alone."""
    mine = (sessions.c.account_id == account_id) & (sessions.c.client_id == client_id)
    surplus = select(sessions.c.id).where(mine, *going_on(now)).order_by(*LAST_USED_FIRST).offset(MOST - 1)
    return await end_where(connection, sessions.c.id.in_(surplus), "too_many", now)


async def grants_of(connection: AsyncConnection, parent: UUID) -> list[Session]:
    """The grants that came from a browser session, those that have ended or expired among them."""
    query = select(*FIELDS).where(sessions.c.parent_id == parent)
    return [Session(**row._mapping) for row in await connection.execute(query)]


async def end_grants(connection: AsyncConnection, parent: UUID, *, reason: str, now: int) -> list[UUID]:
    """End the grants of a browser session that has ended already; the ids of those that ended."""
    ended = await end_where(connection, sessions.c.parent_id == parent, reason, now)
    return [session.id for session in ended]


def with_grants(which: ColumnElement[bool]) -> ColumnElement[bool]:
    """These sessions, and the grants that came from them.

    A union and no OR: PostgreSQL would read the whole table for `which OR parent_id IN (…)`.
    """
    these, grants = select(sessions.c.id).where(which), sessions.alias()
    theirs = select(grants.c.id).where(grants.c.parent_id.in_(these))
    return sessions.c.id.in_(these.union_all(theirs))


async def retell(connection: AsyncConnection, account_id: UUID, told: Mapping[str, Any], now: int) -> None:
    """Lay new facts of the account over those that its living sessions hold."""
    mine = sessions.c.account_id == account_id
    query = select(sessions.c.id, sessions.c.facts).where(mine, *going_on(now)).order_by(sessions.c.id)
    for row in (await connection.execute(query.with_for_update())).all():
        facts = {**row.facts, **told}
        await connection.execute(update(sessions).where(sessions.c.id == row.id).values(facts=facts))


async def forget(connection: AsyncConnection, account_id: UUID, *, reason: str, now: int) -> list[UUID]:
    """End all of the account's sessions and empty their rows of what is personal; the ids of those that ended.

    The rows stay, as of any session that has ended: other processes learn of the end from them.
    """
    ended = await end_for_account(connection, account_id, reason=reason, now=now)
    emptied: dict[str, Any] = {"user_agent": "", "ip": "", "facts": {}, "provider_session": None, "id_token": None}
    over = {"ended_at": func.coalesce(sessions.c.ended_at, sessions.c.expires_at)}  # those that had only expired
    await connection.execute(update(sessions).where(sessions.c.account_id == account_id).values(emptied | over))
    return ended


async def end_where(
    connection: AsyncConnection, which: ColumnElement[bool], reason: str | ColumnElement[str], now: int
) -> list[Session]:
    # Locked in the order that refreshes lock in, so that the two never wait for each other.
    rows = select(sessions.c.id).where(which, *going_on(now)).order_by(sessions.c.id).with_for_update()
    ending = (
        update(sessions)
        .where(sessions.c.id.in_(rows), sessions.c.ended_at.is_(None))
        .values(ended_at=now, end_reason=reason)
        .returning(*FIELDS)
    )
    ended = [Session(**row._mapping) for row in await connection.execute(ending)]
    await tell(connection, [one for one in ended if one.end_reason not in UNTOLD], now)
    return ended


async def tell(connection: AsyncConnection, ended: Iterable[Grant], now: int) -> None:
    """Have applications told that these ended. Whatever ends sessions here does so; what ends them elsewhere must."""
    grants = [one for one in ended if "sid" in one.facts]
    told = [logouts.Told(one.client_id, str(one.account_id), one.facts["sid"]) for one in grants]
    await logouts.enqueue(connection, told, now)


async def prune(connection: AsyncConnection, now: int, limit: int = 500) -> int:
    """Delete rows of sessions that ended or expired more than a day ago, at most `limit`; how many it were."""
    gone = or_(sessions.c.expires_at <= now - KEEP, sessions.c.ended_at <= now - KEEP)
    some = select(sessions.c.id).where(gone).limit(limit).with_for_update(skip_locked=True)
    return (await connection.execute(delete(sessions).where(sessions.c.id.in_(some)))).rowcount


def going_on(now: int) -> tuple[ColumnElement[bool], ...]:
    return sessions.c.ended_at.is_(None), sessions.c.expires_at > now


def printable(value: str) -> str:
    """PostgreSQL keeps neither NUL nor lone surrogates in a text."""
    return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
