"""Fills the tables with accounts, their identities and sessions, as so many sign-ins would leave them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url


@dataclass(frozen=True, slots=True)
class Size:
    """How many of each there are in all; an account has one identity and at most one session."""

    sessions: int
    accounts: int

    def __str__(self) -> str:
        return f"{self.sessions:,} sessions, {self.accounts:,} accounts"


# Ids are random, as the gateway's are: indexes are as wide apart as they will be.
NUMBERS = {
    "sqlite": "(WITH RECURSIVE one(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM one LIMIT :count) SELECT n FROM one)",
    "postgresql": "generate_series(1, :count) AS one(n)",
}
ID = {"sqlite": "lower(hex(randomblob(16)))", "postgresql": "gen_random_uuid()"}
AFTERWARDS = {"sqlite": ("ANALYZE", "PRAGMA wal_checkpoint(TRUNCATE)"), "postgresql": ("VACUUM (ANALYZE)",)}
ACCOUNTS = """
INSERT INTO accounts (id, email, email_verified, name, created_at)
SELECT {id}, 'grown-' || n || '@example.net', true, 'Person ' || n, :now FROM {numbers}
"""
IDENTITIES = """
INSERT INTO identities
    (id, account_id, provider, issuer, subject, email, email_key, email_verified, name, ids, linked_at, last_used_at)
SELECT {id}, id, 'google', 'https://issuer.example.net', email, email, email, true, name, '{{}}', :now, :now
FROM accounts WHERE email LIKE 'grown-%'
"""
SESSIONS = """
INSERT INTO sessions
    (id, account_id, identity_id, client_id, provider, created_at, auth_time, expires_at, last_used_at, user_agent, ip,
     facts, scope, current, parent, rotated_at, outcome)
SELECT {id}, account_id, id, 'gateway', 'google', :now, :now, :now + 7776000, :now,
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36', '192.0.2.1', '{{}}', 'openid email profile', 0, -1, :now, 0
FROM identities WHERE subject LIKE 'grown-%' LIMIT :sessions
"""


def fill(database_url: str, size: Size) -> None:
    """Bring the tables to this size, and let the database know of it."""
    url = make_url(database_url)
    kind = url.get_backend_name()
    engine = create_engine(url.set(drivername="sqlite" if kind == "sqlite" else "postgresql+psycopg"))
    try:
        with engine.begin() as connection:
            accounts = size.accounts - connection.scalar(text("SELECT count(*) FROM accounts"))
            sessions = size.sessions - connection.scalar(text("SELECT count(*) FROM sessions"))
            work = ((ACCOUNTS, {"count": accounts}), (IDENTITIES, {}), (SESSIONS, {"sessions": sessions}))
            for statement, given in work:
                told = text(statement.format(id=ID[kind], numbers=NUMBERS[kind]))
                connection.execute(told, given | {"now": int(time.time())})
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            for statement in AFTERWARDS[kind]:
                connection.execute(text(statement))
    finally:
        engine.dispose()
