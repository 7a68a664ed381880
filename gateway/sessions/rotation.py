"""What presenting a refresh token does to its session's counters, and what comes of it.

A session row holds `current`, the number of the newest token, and `parent`, the one it was issued for. Presented `n`:

    n == current                            rotate: parent = n, current = n + 1              ROTATED
    n == parent, within the grace           nothing moves: the same current again            REPLAYED
    n == parent, later                      the answer was lost: current + 1, same parent    SUPERSEDED
    n >  current                            an old backup is in use: as ROTATED              FAST_FORWARDED
    n <  current otherwise                  a spent token: the session ends                  REUSED
    no such session, another client's,      nothing                                          UNKNOWN
    ended, expired or idle for too long

`judge` is the rule as a pure function; `rotation_sql` does the same to many rows in one statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds. `grace`: how long a token that was just replaced is answered with its replacement; 0: never."""

    grace: int = 20
    idle_ttl: int = 14 * 86400


class Verdict(IntEnum):
    """Kept in column `outcome`, so that RETURNING can tell which case it was."""

    UNKNOWN = 0
    ROTATED = 1
    REPLAYED = 2
    SUPERSEDED = 3
    FAST_FORWARDED = 4
    REUSED = 5


@dataclass(frozen=True, slots=True)
class Counters:
    """Of a session's row, what the rule looks at. Times are epoch seconds."""

    current: int
    parent: int  # -1 before the first rotation
    rotated_at: int
    last_used_at: int
    expires_at: int
    client_id: str
    ended_at: int | None = None


def judge(row: Counters | None, n: int, client_id: str, now: int, policy: Policy) -> tuple[Verdict, Counters | None]:
    """What presenting token `n` at `now` comes to, and the row afterwards."""
    if row is None or not usable(row, client_id, now, policy):
        return Verdict.UNKNOWN, row
    if n == row.current:
        return Verdict.ROTATED, replace(row, parent=n, current=n + 1, rotated_at=now, last_used_at=now)
    if n > row.current:
        return Verdict.FAST_FORWARDED, replace(row, parent=n, current=n + 1, rotated_at=now, last_used_at=now)
    if n != row.parent:
        return Verdict.REUSED, replace(row, ended_at=now)
    if now - row.rotated_at < policy.grace:
        return Verdict.REPLAYED, replace(row, last_used_at=now)
    return Verdict.SUPERSEDED, replace(row, current=row.current + 1, rotated_at=now, last_used_at=now)


def usable(row: Counters, client_id: str, now: int, policy: Policy) -> bool:
    return (
        row.client_id == client_id
        and row.ended_at is None
        and row.expires_at > now
        and row.last_used_at + policy.idle_ttl > now
    )


@dataclass(frozen=True, slots=True)
class Presentation:
    """Token `n` of a session, presented by a client."""

    session_id: UUID
    n: int
    client_id: str


@dataclass(frozen=True, slots=True)
class SessionState:
    """The session as a presentation left it: what new tokens are made of. Times are epoch seconds."""

    id: UUID
    account_id: UUID
    identity_id: UUID | None
    client_id: str
    provider: str
    auth_time: int
    facts: Mapping[str, Any]
    scope: str
    expires_at: int
    current: int  # number of the refresh token to hand out


@dataclass(frozen=True, slots=True)
class Renewed:
    """The session goes on."""

    session: SessionState


class Rotated(Renewed):
    """The ordinary case."""


class Replayed(Renewed):
    """The same answer as a moment ago."""


class Superseded(Renewed):
    """A sibling of an answer that never arrived; that one is dead."""


class FastForwarded(Renewed):
    """The database was older than the token."""


@dataclass(frozen=True, slots=True)
class Reused:
    """A spent token: the session has ended, and that is committed."""

    session: SessionState


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is nothing to renew."""


Outcome = Renewed | Reused | Unknown

OUTCOMES: Mapping[Verdict, type[Renewed] | type[Reused]] = {
    Verdict.ROTATED: Rotated,
    Verdict.REPLAYED: Replayed,
    Verdict.SUPERSEDED: Superseded,
    Verdict.FAST_FORWARDED: FastForwarded,
    Verdict.REUSED: Reused,
}
