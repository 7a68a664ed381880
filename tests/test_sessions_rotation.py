"""The rule of refresh tokens: as a table, as the statement that applies it, and as a life of many steps."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from signed_in import DAY, NOW, Clock, add_account, add_session, row_of
from sqlalchemy import delete, select, text, update

from gateway.db import Database
from gateway.schema import sessions
from gateway.sealing import Sealer
from gateway.sessions.queue import Rotations
from gateway.sessions.rotation import (
    OUTCOMES,
    Counters,
    FastForwarded,
    Outcome,
    Policy,
    Presentation,
    Renewed,
    Replayed,
    Reused,
    Rotated,
    Superseded,
    Unknown,
    Verdict,
    judge,
)
from gateway.sessions.rotation_sql import rotate
from gateway.tokens.refresh import RefreshTokens

POLICY = Policy(grace=20, idle_ttl=14 * DAY)
ROW = Counters(current=5, parent=4, rotated_at=NOW, last_used_at=NOW, expires_at=NOW + 90 * DAY, client_id="gateway")


def after(n: int, later: int = 0, policy: Policy = POLICY, client_id: str = "gateway", **changes: Any) -> Any:
    """Verdict, current and parent after presenting `n` to ROW `later` seconds on."""
    row = Counters(**asdict(ROW) | changes)
    verdict, left = judge(row, n, client_id, NOW + later, policy)
    assert left is not None
    return verdict, left.current, left.parent


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (after(5), (Verdict.ROTATED, 6, 5)),
        (after(5, later=DAY), (Verdict.ROTATED, 6, 5)),
        (after(4), (Verdict.REPLAYED, 5, 4)),
        (after(4, later=19), (Verdict.REPLAYED, 5, 4)),
        (after(4, later=-5), (Verdict.REPLAYED, 5, 4)),
        (after(4, later=20), (Verdict.SUPERSEDED, 6, 4)),
        (after(4, policy=Policy(grace=0)), (Verdict.SUPERSEDED, 6, 4)),
        (after(6), (Verdict.FAST_FORWARDED, 7, 6)),
        (after(900), (Verdict.FAST_FORWARDED, 901, 900)),
        (after(3), (Verdict.REUSED, 5, 4)),
        (after(0, later=DAY), (Verdict.REUSED, 5, 4)),
        (after(4, parent=3), (Verdict.REUSED, 5, 3)),
        (after(0, current=0, parent=-1), (Verdict.ROTATED, 1, 0)),
        (after(5, client_id="other"), (Verdict.UNKNOWN, 5, 4)),
        (after(3, ended_at=NOW), (Verdict.UNKNOWN, 5, 4)),
        (after(5, later=14 * DAY), (Verdict.UNKNOWN, 5, 4)),
        (after(5, later=14 * DAY - 1), (Verdict.ROTATED, 6, 5)),
        (after(5, expires_at=NOW), (Verdict.UNKNOWN, 5, 4)),
        (after(5, expires_at=NOW + 1), (Verdict.ROTATED, 6, 5)),
        (after(3, expires_at=NOW), (Verdict.UNKNOWN, 5, 4)),
    ],
)
def test_the_table(result: Any, expected: Any) -> None:
    assert result == expected


def test_a_replay_does_not_move_the_window() -> None:
    _, row = judge(ROW, 4, "gateway", NOW + 19, POLICY)
    assert row is not None
    assert row.rotated_at == NOW
    assert judge(row, 4, "gateway", NOW + 20, POLICY)[0] == Verdict.SUPERSEDED


def test_no_presentation_moves_the_end() -> None:  # RT-3
    rows = [judge(ROW, n, "gateway", NOW + later, POLICY)[1] for n in range(8) for later in (0, 30)]
    assert {row.expires_at for row in rows if row} == {ROW.expires_at}


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


@pytest.fixture
def db(database_url: str, runner: asyncio.Runner) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    runner.run(database.close())


MOMENTS = st.sampled_from([NOW - 14 * DAY, NOW - 14 * DAY + 1, NOW - 21, NOW - 20, NOW - 19, NOW - 1, NOW, NOW + 1])


@st.composite
def counters(draw: st.DrawFn) -> Counters:
    current = draw(st.integers(0, 6))
    return Counters(
        current=current,
        parent=draw(st.integers(-1, current - 1)),
        rotated_at=draw(MOMENTS),
        last_used_at=draw(MOMENTS),
        expires_at=draw(st.sampled_from([NOW + DAY] * 5 + [NOW - 1, NOW, NOW + 1])),
        client_id=draw(st.sampled_from(["gateway"] * 5 + ["app"])),
        ended_at=draw(st.sampled_from([None] * 5 + [NOW - 5])),
    )


PRESENTATIONS = st.lists(
    st.tuples(counters() | st.none(), st.integers(0, 8), st.sampled_from(["gateway"] * 5 + ["app"])),
    min_size=1,
    max_size=12,
)


async def present(db: Database, cases: list[Any], account_id: uuid.UUID, policy: Policy) -> list[Any]:
    """Put these rows there, present to all of them at once, and say what came of each."""
    ids = [uuid.uuid4() for _ in cases]
    for session_id, (row, _, _) in zip(ids, cases, strict=True):
        if row is not None:
            made = await add_session(db, account_id)
            async with db.write() as connection:
                change = update(sessions).where(sessions.c.id == made.id)
                await connection.execute(change.values(id=session_id, **asdict(row)))
    asked = [Presentation(one, n, client_id) for one, (_, n, client_id) in zip(ids, cases, strict=True)]
    outcomes = await rotate(db, asked, NOW, policy)
    left = [await counters_of(db, one) for one in ids]
    return list(zip([outcomes[one] for one in ids], left, strict=True))


async def counters_of(db: Database, session_id: uuid.UUID) -> Counters | None:
    columns = [sessions.c[name] for name in Counters.__dataclass_fields__]
    async with db.read() as connection:
        row = (await connection.execute(select(*columns).where(sessions.c.id == session_id))).one_or_none()
    return None if row is None else Counters(**row._mapping)


def test_the_statement_does_what_the_rule_says(db: Database, runner: asyncio.Runner) -> None:
    account_id = runner.run(add_account(db))

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(PRESENTATIONS, st.sampled_from([0, 20]))
    def check(cases: list[Any], grace: int) -> None:
        policy = Policy(grace=grace, idle_ttl=14 * DAY)
        for (outcome, left), (row, n, client_id) in zip(
            runner.run(present(db, cases, account_id, policy)), cases, strict=True
        ):
            verdict, expected = judge(row, n, client_id, NOW, policy)
            assert left == expected
            assert type(outcome) is OUTCOMES.get(verdict, Unknown)
            if isinstance(outcome, Renewed | Reused):
                assert expected is not None
                assert outcome.session.current == expected.current

    check()


def test_the_outcome_carries_what_new_tokens_are_made_of(db: Database, runner: asyncio.Runner) -> None:
    made = runner.run(add_session(db, facts={"groups": ["größe"], "verified": []}, scope="openid"))

    async def once() -> Outcome:
        return (await rotate(db, [Presentation(made.id, 0, "gateway")], NOW, POLICY))[made.id]

    outcome = runner.run(once())
    assert isinstance(outcome, Rotated)
    assert {name: getattr(outcome.session, name) for name in outcome.session.__dataclass_fields__} == {
        "id": made.id,
        "account_id": made.account_id,
        "identity_id": made.identity_id,
        "client_id": "gateway",
        "provider": "google",
        "auth_time": NOW,
        "facts": {"groups": ["größe"], "verified": []},
        "scope": "openid",
        "expires_at": NOW + 90 * DAY,
        "current": 1,
    }


class Life(RuleBasedStateMachine):
    """One session and everything that can happen to its tokens, against the words of the contract.

    The model knows tokens, not counters: which one is current, which one it was issued for, which were spent.
    """

    db: Database
    runner: asyncio.Runner

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.tokens = RefreshTokens(Sealer([b"1" * 32]))
        self.rotations = Rotations(self.db, POLICY, self.clock)
        self.made = self.runner.run(add_session(self.db))
        self.current = self.tokens.encode(self.made.id, 0)
        self.parent: str | None = None
        self.issued = [self.current]
        self.unseen: set[str] = set()  # issued after the backup that is now in use
        self.rotated_at = self.used_at = self.clock.now
        self.alive = True
        self.backup: Any = None

    @property
    def usable(self) -> bool:
        now = self.clock.now
        return self.alive and now < self.used_at + POLICY.idle_ttl and now < self.made.expires_at

    @rule(seconds=st.sampled_from([0, 1, 10, 19, 20, 21, 3600, 13 * DAY, 14 * DAY]))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule(data=st.data())
    def present_any(self, data: st.DataObject) -> None:
        self.present(data.draw(st.sampled_from(self.issued)))

    @rule()
    def present_the_current(self) -> None:
        self.present(self.current)

    @precondition(lambda self: self.parent is not None)
    @rule()
    def present_the_parent(self) -> None:
        assert self.parent is not None
        self.present(self.parent)

    @rule(data=st.data())
    def present_an_altered_one(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.current) - 1))
        altered = self.current[:place] + "!" + self.current[place + 1 :]
        assert self.tokens.decode(altered) is None

    @rule()
    def back_up(self) -> None:
        row = self.runner.run(row_of(self.db, self.made.id))._asdict()
        model = (self.current, self.parent, self.rotated_at, self.used_at, self.alive)
        self.backup = (row, model, list(self.issued), set(self.unseen))

    @precondition(lambda self: self.backup is not None)
    @rule()
    def restore(self) -> None:
        row, model, known, unseen = self.backup
        self.runner.run(self.put_back(row))
        self.current, self.parent, self.rotated_at, self.used_at, self.alive = model
        self.unseen = unseen | (set(self.issued) - set(known))

    async def put_back(self, row: dict[str, Any]) -> None:
        async with self.db.write() as connection:
            await connection.execute(delete(sessions).where(sessions.c.id == self.made.id))
            await connection.execute(sessions.insert().values(row))

    def present(self, token: str) -> None:
        decoded = self.tokens.decode(token)
        assert decoded is not None
        outcome = self.runner.run(self.rotations.rotate(decoded))
        now = self.clock.now
        if not self.usable:
            assert isinstance(outcome, Unknown)
        elif token == self.current:
            assert type(outcome) is Rotated
            self.advance(token, outcome)
        elif token in self.unseen:
            assert type(outcome) is FastForwarded
            self.advance(token, outcome)
        elif token != self.parent:
            assert isinstance(outcome, Reused)
            self.alive = False
        elif now - self.rotated_at < POLICY.grace:
            assert type(outcome) is Replayed
            assert self.answer(outcome) == self.current
            self.used_at = now
        else:
            assert type(outcome) is Superseded
            self.advance(token, outcome)

    def advance(self, parent: str, outcome: Renewed) -> None:
        answer = self.answer(outcome)
        if answer not in self.unseen:
            assert answer not in self.issued
            self.issued.append(answer)
        self.parent, self.current = parent, answer
        # What a backup did not know and what is now behind is spent like any other.
        passed = self.number(answer)
        self.unseen = {token for token in self.unseen if self.number(token) > passed}
        self.rotated_at = self.used_at = self.clock.now

    def answer(self, outcome: Renewed) -> str:
        return self.tokens.encode(self.made.id, outcome.session.current)

    def number(self, token: str) -> int:
        decoded = self.tokens.decode(token)
        assert decoded is not None
        return decoded.counter

    @invariant()
    def what_was_said_is_committed(self) -> None:
        row = self.runner.run(row_of(self.db, self.made.id))
        assert row.current == self.number(self.current)
        assert (row.ended_at is None) is self.alive
        assert row.end_reason == (None if self.alive else "refresh_reuse")
        assert row.expires_at == self.made.expires_at


def test_a_life_of_many_refreshes(db: Database, runner: asyncio.Runner) -> None:
    machine = type("Life", (Life,), {"db": db, "runner": runner})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.postgres
async def test_a_refresh_changes_no_index(postgres_url: str) -> None:
    db = Database(postgres_url)
    ids = [(await add_session(db)).id for _ in range(3)]  # few enough that their versions fit one page
    for n in range(4):
        await rotate(db, [Presentation(one, n, "gateway") for one in ids], NOW + n, POLICY)
    async with db.read() as connection:
        await connection.execute(text("SELECT pg_stat_force_next_flush()"))
        query = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sessions'"
        updated, in_place = (await connection.execute(text(query))).one()
    await db.close()
    assert (updated, in_place) == (12, 12)
