"""What is worth auditing: each security-relevant step, a row in the transaction it happened in, and a log line."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from sqlalchemy import Uuid, delete, insert, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from . import schema

log = logging.getLogger("gateway.events")

EventName = Literal[
    "account_created",
    "identity_linked",
    "identity_unlinked",
    "join_offered",
    "account_merged",
    "account_unmerged",
    "deletion_requested",
    "deletion_cancelled",
    "profile_changed",
    "role_granted",
    "role_withdrawn",
    "invited",
    "invitation_used",
    "signed_in",
    "sign_in_refused",
    "session_ended",
    "sessions_ended",
    "signed_out",
    "app_signed_in",
    "code_reuse",
    "refresh_reuse",
    "refresh_fast_forward",
    "refresh_wrong_client",
    "logout_undelivered",
    "account_disabled",
    "account_enabled",
    "account_deleted",
    "key_rotated",
    "key_retired",
]
NAMES: tuple[str, ...] = get_args(EventName)

RECORD = insert(schema.events)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from, as events and sessions record it."""

    ip: str = ""
    user_agent: str = ""
    request_id: str = ""
    session_id: uuid.UUID | None = None  # of whoever asked for it, signed in


NOWHERE = Origin()  # an operator at the command line


@dataclass(frozen=True, slots=True)
class Event:
    """Who, what, by which provider, in which session. `detail` holds codes and ids, never an address or a token."""

    name: EventName
    account_id: uuid.UUID | None = None
    session_id: uuid.UUID | None = None
    provider: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


async def record(connection: AsyncConnection, event: Event, origin: Origin, now: int) -> None:
    """Write the event in the caller's transaction, and say it in the log."""
    await connection.execute(RECORD, row_of(event, origin, now))
    say(event, origin)


def row_of(event: Event, origin: Origin, now: int) -> dict[str, Any]:
    return {
        "id": uuid.uuid4(),
        "at": now,
        "name": event.name,
        "account_id": event.account_id,
        "session_id": event.session_id or origin.session_id,
        "provider": event.provider,
        "ip": origin.ip,
        "user_agent": origin.user_agent,
        "request_id": origin.request_id,
        "detail": dict(event.detail),
    }


def say(event: Event, origin: Origin) -> None:
    """An event that was written, in the log."""
    session_id = event.session_id or origin.session_id
    log.info(
        event.name,
        extra={
            "fields": {
                "account": str(event.account_id) if event.account_id else None,
                "session": str(session_id) if session_id else None,
                "provider": event.provider,
                "ip": origin.ip,
                **event.detail,
            }
        },
    )


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it was written. Times are epoch seconds."""

    id: uuid.UUID
    at: int
    name: str
    account_id: uuid.UUID | None
    session_id: uuid.UUID | None
    provider: str | None
    ip: str | None
    user_agent: str | None
    request_id: str | None
    detail: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in Recorded.__slots__}
        return {name: str(value) if isinstance(value, uuid.UUID) else value for name, value in values.items()}


async def of_account(connection: AsyncConnection, account_id: uuid.UUID, limit: int) -> list[Recorded]:
    """What happened to an account, newest first."""
    mine = schema.events.c
    query = select(schema.events).where(mine.account_id == account_id).order_by(mine.at.desc(), mine.id).limit(limit)
    return [Recorded(**row._mapping) for row in await connection.execute(query)]


async def since(connection: AsyncConnection, at: int, limit: int, after: Recorded | None = None) -> list[Recorded]:
    """What happened from a time on (epoch seconds), oldest first; behind `after`, to go on from a page before."""
    mine = schema.events.c
    query = select(schema.events).where(mine.at >= at).order_by(mine.at, mine.id).limit(limit)
    if after:
        query = query.where(tuple_(mine.at, mine.id) > tuple_(literal(after.at), literal(after.id, Uuid)))
    return [Recorded(**row._mapping) for row in await connection.execute(query)]


async def forget(connection: AsyncConnection, account_id: uuid.UUID) -> None:
    """Take what is personal out of an account's events: where from, and with what."""
    emptied = update(schema.events).where(schema.events.c.account_id == account_id)
    await connection.execute(emptied.values(ip=None, user_agent=None))


async def prune(connection: AsyncConnection, before: int, limit: int, *, of_nobody_before: int) -> int:
    """Delete up to `limit` events older than `before` (epoch seconds), or `of_nobody_before` where they concern no
    account: those anybody can cause. How many went."""
    mine = schema.events.c
    old = (mine.at < before) | ((mine.at < of_nobody_before) & mine.account_id.is_(None))
    oldest = select(mine.id).where(old).limit(limit)
    result = await connection.execute(delete(schema.events).where(schema.events.c.id.in_(oldest)))
    return result.rowcount
