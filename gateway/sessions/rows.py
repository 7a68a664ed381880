"""The rows of sessions: made, found, held, changed; each in the caller's transaction.

Statements are made once and given their values: to put one together takes SQLAlchemy 0.1 ms and more.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Text, Uuid, and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.schema import sessions

from .rotation import Verdict

KEEP = 86_400  # seconds that the row of an ended or expired session stays
MAX_USER_AGENT = 400  # characters
REPLACED = "replaced"  # why a session ended: its browser signed in anew
MOST = 100  # living sessions of one account, and as many grants of it to each application


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


# What statements are given; no name is a column's, since an UPDATE would take it for one to set.
WHICH = bindparam("which", type_=Uuid)
PARENT = bindparam("of_parent", type_=Uuid)
ACCOUNT = bindparam("of_account", type_=Uuid)
CLIENT = bindparam("of_client", type_=Text)
AT = bindparam("at", type_=BigInteger)
BEFORE = bindparam("before", type_=BigInteger)

NAMES = list(Session.__dataclass_fields__)
FIELDS = [sessions.c[name] for name in NAMES]
GOING_ON = (sessions.c.ended_at.is_(None), sessions.c.expires_at > AT)
LAST_USED_FIRST = (sessions.c.last_used_at.desc(), sessions.c.created_at.desc(), sessions.c.id)

MAKE = insert(sessions)
GET = select(*FIELDS).where(sessions.c.id == WHICH, *GOING_ON)
REPLACED_ONE = select(sessions.c.id).where(
    sessions.c.id == WHICH, sessions.c.account_id == ACCOUNT, sessions.c.end_reason == REPLACED
)
ADOPT = (
    update(sessions)
    .where(sessions.c.parent_id == PARENT, sessions.c.account_id == ACCOUNT)
    .values(parent_id=bindparam("successor"))
)
# Grants of a parent to an application that nobody can renew, and whose last access token has died.
SPENT = and_(
    sessions.c.parent_id == PARENT,
    sessions.c.client_id == CLIENT,
    sessions.c.last_used_at < BEFORE,
    ~sessions.c.scope.contains("offline_access"),
)
CLEAR = delete(sessions).where(SPENT)
HOLD = (
    select(sessions.c.id)
    .where(
        or_(sessions.c.account_id.in_(bindparam("of_accounts", expanding=True)), sessions.c.id == WHICH),
        *GOING_ON,
    )
    .order_by(sessions.c.id)
    .with_for_update()
)
HELD = (
    select(*FIELDS)
    .where(or_(and_(sessions.c.account_id == ACCOUNT, *GOING_ON), sessions.c.id == WHICH))
    .order_by(sessions.c.id)
    .with_for_update()
    .cte("held")
)
HOLD_AND_FIND = select(HELD).where(HELD.c.id.in_([bindparam("living", type_=Uuid), WHICH]))
LIST = (
    select(*FIELDS)
    .where(sessions.c.account_id == ACCOUNT, *GOING_ON, sessions.c.last_used_at > bindparam("used_after"))
    .order_by(*LAST_USED_FIRST)
    .limit(MOST)
)
GRANTS = select(*FIELDS).where(sessions.c.parent_id == PARENT)


def read(row: Sequence[Any]) -> Session:
    """From a row of FIELDS."""
    return Session(**dict(zip(NAMES, row, strict=True)))


def new(
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
    """A session that begins. `facts`: what role rules look at, as JSON values."""
    return Session(
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


def row_of(session: Session) -> dict[str, Any]:
    """The row of a new session, whose first refresh token has number 0."""
    counters = {"parent": -1, "rotated_at": session.created_at, "outcome": int(Verdict.UNKNOWN)}
    return {name: getattr(session, name) for name in NAMES} | counters


async def add(connection: AsyncConnection, session: Session) -> None:
    await connection.execute(MAKE, row_of(session))


async def get(connection: AsyncConnection, session_id: UUID, now: int) -> Session | None:
    """The session, unless it has ended or expired."""
    row = (await connection.execute(GET, {"which": session_id, "at": now})).one_or_none()
    return None if row is None else read(row)


async def adopt(connection: AsyncConnection, parent: UUID, successor: Session) -> None:
    """Let the grants of a browser session go on under the one that replaced it, if that is the same account's."""
    given = {"of_parent": parent, "of_account": successor.account_id, "successor": successor.id}
    await connection.execute(ADOPT, given)


async def clear_spent_grants(connection: AsyncConnection, parent: UUID, client_id: str, before: int) -> None:
    """Delete grants without a refresh token whose last access token has died: used before this time (epoch seconds)."""
    await connection.execute(CLEAR, {"of_parent": parent, "of_client": client_id, "before": before})


async def was_replaced(connection: AsyncConnection, session_id: UUID, account_id: UUID) -> bool:
    """Whether this session of the account ended because its browser signed in anew."""
    given = {"which": session_id, "of_account": account_id}
    return (await connection.execute(REPLACED_ONE, given)).one_or_none() is not None


async def hold(
    connection: AsyncConnection, account_ids: Sequence[UUID], now: int, *, beside: UUID | None = None
) -> None:
    """Hold every living session of these accounts, and the one `beside` them, until the transaction ends.

    For who ends or changes some of them in several steps: refreshes hold theirs in the order of ids, and two that hold
    in another order would wait for each other.
    """
    await connection.execute(HOLD, {"of_accounts": list(account_ids), "which": beside, "at": now})


async def hold_and_find(
    connection: AsyncConnection, account_id: UUID, living: UUID, other: UUID, now: int
) -> tuple[Session | None, Session | None]:
    """As `hold`, for one account; of its living sessions the one named, and another that need not live."""
    given = {"of_account": account_id, "which": other, "living": living, "at": now}
    found = {row.id: read(row) for row in await connection.execute(HOLD_AND_FIND, given)}
    return found.get(living), found.get(other)


async def list_for(connection: AsyncConnection, account_id: UUID, now: int, *, idle_ttl: int) -> list[Session]:
    """The account's sessions that can still be renewed, last used first, at most MOST. `idle_ttl` in seconds."""
    given = {"of_account": account_id, "at": now, "used_after": now - idle_ttl}
    return [read(row) for row in await connection.execute(LIST, given)]


async def grants_of(connection: AsyncConnection, parent: UUID) -> list[Session]:
    """The grants that came from a browser session, those that have ended or expired among them."""
    return [read(row) for row in await connection.execute(GRANTS, {"of_parent": parent})]


async def retell(connection: AsyncConnection, account_id: UUID, told: Mapping[str, Any], now: int) -> None:
    """Lay new facts of the account over those that its living sessions hold."""
    mine = sessions.c.account_id == account_id
    query = select(sessions.c.id, sessions.c.facts).where(mine, *GOING_ON).order_by(sessions.c.id).with_for_update()
    for row in (await connection.execute(query, {"at": now})).all():
        facts = {**row.facts, **told}
        await connection.execute(update(sessions).where(sessions.c.id == row.id).values(facts=facts))


async def prune(connection: AsyncConnection, now: int, limit: int = 500) -> int:
    """Delete rows of sessions that ended or expired more than a day ago, at most `limit`; how many it were."""
    gone = or_(sessions.c.expires_at <= now - KEEP, sessions.c.ended_at <= now - KEEP)
    some = select(sessions.c.id).where(gone).limit(limit).with_for_update(skip_locked=True)
    return (await connection.execute(delete(sessions).where(sessions.c.id.in_(some)))).rowcount


def printable(value: str) -> str:
    """PostgreSQL keeps neither NUL nor lone surrogates in a text."""
    return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
