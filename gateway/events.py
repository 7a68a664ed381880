"""What is worth auditing: each security-relevant step, a row in the transaction it happened in, and a log line."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from . import schema

log = logging.getLogger("gateway.events")

EventName = Literal[
    "account_created",
    "signed_in",
    "sign_in_refused",
    "session_ended",
    "sessions_ended",
    "signed_out",
    "refresh_reuse",
    "refresh_fast_forward",
    "account_disabled",
    "account_enabled",
    "account_deleted",
    "key_rotated",
    "key_retired",
]
NAMES: tuple[str, ...] = get_args(EventName)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from, as events and sessions record it."""

    ip: str = ""
    user_agent: str = ""
    request_id: str = ""


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
    row = {
        "id": uuid.uuid4(),
        "at": now,
        "name": event.name,
        "account_id": event.account_id,
        "session_id": event.session_id,
        "provider": event.provider,
        "ip": origin.ip,
        "user_agent": origin.user_agent,
        "request_id": origin.request_id,
        "detail": dict(event.detail),
    }
    await connection.execute(insert(schema.events), row)
    log.info(
        event.name,
        extra={
            "fields": {
                "account": str(event.account_id) if event.account_id else None,
                "session": str(event.session_id) if event.session_id else None,
                "provider": event.provider,
                "ip": origin.ip,
                **event.detail,
            }
        },
    )


async def prune(connection: AsyncConnection, before: int, limit: int, *, of_nobody_before: int) -> int:
    """Delete up to `limit` events older than `before` (epoch seconds), or `of_nobody_before` where they concern no
    account: those anybody can cause. How many went."""
    mine = schema.events.c
    old = (mine.at < before) | ((mine.at < of_nobody_before) & mine.account_id.is_(None))
    oldest = select(mine.id).where(old).limit(limit)
    result = await connection.execute(delete(schema.events).where(schema.events.c.id.in_(oldest)))
    return result.rowcount
