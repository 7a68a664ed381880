"""Accounts and sessions written straight into a database, for tests of what happens to them afterwards."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import insert, select

from gateway import sessions
from gateway.db import Database
from gateway.schema import accounts, identities
from gateway.schema import sessions as table
from gateway.sessions import Session

NOW = 1_800_000_000
DAY = 86_400


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def add_account(db: Database) -> uuid.UUID:
    """An account without anything but one identity of the same id."""
    account_id = uuid.uuid4()
    async with db.write() as connection:
        row: dict[str, Any] = {"id": account_id, "email_verified": False, "created_at": NOW}
        await connection.execute(insert(accounts).values(row))
        key = {"account_id": account_id, "provider": "google", "issuer": "https://op.example", "ids": {}}
        used = {"subject": str(account_id), "email_verified": False, "linked_at": NOW, "last_used_at": NOW}
        await connection.execute(insert(identities).values(id=account_id, **key, **used))
    return account_id


async def add_session(db: Database, account_id: uuid.UUID | None = None, **given: Any) -> Session:
    """A session of this account, or of one of its own, as a sign-in would leave it."""
    account_id = account_id or await add_account(db)
    values: dict[str, Any] = {
        "account_id": account_id,
        "identity_id": account_id,
        "client_id": "gateway",
        "provider": "google",
        "auth_time": NOW,
        "expires_at": NOW + 90 * DAY,
        "user_agent": "Mozilla/5.0",
        "ip": "192.0.2.1",
        "facts": {"verified": ["ada@example.com"], "groups": []},
        "scope": "openid email",
        "now": NOW,
    }
    session = sessions.new(**values | given)
    async with db.write() as connection:
        await sessions.add(connection, session)
    return session


async def row_of(db: Database, session_id: uuid.UUID) -> Any:
    async with db.read() as connection:
        return (await connection.execute(select(table).where(table.c.id == session_id))).one()
