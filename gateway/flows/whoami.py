"""Who am I: the account, its identities and the session of whoever calls, in one statement."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from gateway import accounts, sessions
from gateway.accounts import Account, LinkedIdentity
from gateway.db import Database
from gateway.errors import InvalidToken
from gateway.schema import sessions as table
from gateway.sessions import Session

WHO = accounts.PROFILE.outerjoin(table, sessions.LIVING).add_columns(
    *(column.label(f"session_{column.name}") for column in sessions.FIELDS)
)


@dataclass(frozen=True, slots=True)
class Myself:
    account: Account
    identities: tuple[LinkedIdentity, ...]
    session: Session


async def look_up(database: Database, account_id: uuid.UUID, session_id: uuid.UUID, now: int) -> Myself:
    """InvalidToken when there is no such account any more, or the session has ended."""
    asked = {"account_id": account_id, "session_id": session_id, "now": now}
    async with database.read() as connection:
        rows = (await connection.execute(WHO, asked)).all()
    if not rows:
        raise InvalidToken("the account is gone")
    if rows[0].session_id is None:
        raise InvalidToken("the session has ended")
    session = {name: getattr(rows[0], f"session_{name}") for name in Session.__dataclass_fields__}
    return Myself(*accounts.to_profile(rows), Session(**session))
