"""The rule of `rotation` as one `UPDATE … RETURNING` over the rows of many sessions.

Nothing it changes is indexed (`ended_at` only once it is set), so PostgreSQL updates in place (heap-only). There the
rows are locked in the order of their ids first: two processes whose batches overlap wait instead of deadlocking.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Row,
    SmallInteger,
    Text,
    Update,
    Uuid,
    and_,
    bindparam,
    case,
    literal,
    select,
    update,
)

from gateway.db import Database
from gateway.given import Given
from gateway.schema import sessions

from .rotation import OUTCOMES, Outcome, Policy, Presentation, SessionState, Unknown, Verdict

REUSE = "refresh_reuse"  # end_reason

PRESENTED = Given("presented", id=Uuid, n=BigInteger, client_id=Text)

old = sessions.c  # on the right of SET a column is what it was
now = bindparam("now", type_=BigInteger)
grace = bindparam("grace", type_=BigInteger)
idle_ttl = bindparam("idle_ttl", type_=BigInteger)


async def rotate(db: Database, presented: Sequence[Presentation], at: int, policy: Policy) -> dict[UUID, Outcome]:
    """Present tokens of distinct sessions at `at` (epoch seconds); each has its own outcome, which is committed."""
    parameters = PRESENTED.parameters(db.dialect, [(one.session_id, one.n, one.client_id) for one in presented])
    limits = {"now": at, "grace": policy.grace, "idle_ttl": policy.idle_ttl}
    rows = await db.execute(ROTATE[db.dialect], parameters | limits)
    outcomes: dict[UUID, Outcome] = {one.session_id: Unknown() for one in presented}
    outcomes.update((row.id, read(row)) for row in rows)
    return outcomes


def read(row: Row[Any]) -> Outcome:
    return OUTCOMES[Verdict(row.outcome)](SessionState(*tuple(row)[1:]))


def locked() -> FromClause:
    """The presented tokens whose sessions are there, their rows locked in order.

    Whether a session is usable is a value here and no condition: a planner that has not seen the table yet takes
    such conditions for selective, and then compares every row with every token.
    """
    presented = PRESENTED.table("postgresql")
    return (
        select(old.id, presented.c.n, usable(presented.c.client_id).label("usable"))
        .where(old.id == presented.c.id)
        .order_by(old.id)
        .with_for_update(of=sessions)
        .cte("locked")
    )


def usable(client_id: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(
        old.client_id == client_id,
        old.ended_at.is_(None),
        old.expires_at > now,
        old.last_used_at + idle_ttl > now,
    )


def statement(presented: FromClause, may_be_used: ColumnElement[bool]) -> Update:
    n = presented.c.n
    advances = n >= old.current
    is_parent = n == old.parent
    fresh = now - old.rotated_at < grace
    verdict = case(
        (n == old.current, known(Verdict.ROTATED)),
        (n > old.current, known(Verdict.FAST_FORWARDED)),
        (n != old.parent, known(Verdict.REUSED)),
        (fresh, known(Verdict.REPLAYED)),
        else_=known(Verdict.SUPERSEDED),
    )
    reused = and_(n < old.current, n != old.parent)
    return (
        update(sessions)
        .where(old.id == presented.c.id, may_be_used)
        .values(
            outcome=verdict,
            current=case((advances, n + 1), (is_parent & ~fresh, old.current + 1), else_=old.current),
            parent=case((advances, n), else_=old.parent),
            rotated_at=case((advances | is_parent & ~fresh, now), else_=old.rotated_at),
            last_used_at=case((reused, old.last_used_at), else_=now),
            ended_at=case((reused, now), else_=old.ended_at),
            end_reason=case((reused, REUSE), else_=old.end_reason),
        )
        .returning(old.outcome, *(old[name] for name in SessionState.__dataclass_fields__))
    )


def known(verdict: Verdict) -> ColumnElement[int]:
    return literal(int(verdict), SmallInteger)


def on_sqlite() -> Update:
    presented = PRESENTED.table("sqlite")
    return statement(presented, usable(presented.c.client_id))


def on_postgresql() -> Update:
    presented = locked()
    return statement(presented, presented.c.usable)


ROTATE = {"sqlite": on_sqlite(), "postgresql": on_postgresql()}  # by dialect
