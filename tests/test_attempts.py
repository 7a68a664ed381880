"""Attempts: bound to browser, provider and one use, with nothing secret in the cookie."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from listening import listen, statements_of
from sqlalchemy.exc import DBAPIError

from gateway import attempts
from gateway.attempts import LIFETIME, Attempt, Attempts, Claims
from gateway.db import Database
from gateway.errors import AttemptExpired, AttemptMismatch, AttemptMissing, AttemptUsed, Unavailable
from gateway.sealing import Sealer

NOW = 1_800_000_000
OLD, NEW = b"o" * 32, b"n" * 32


@pytest.fixture
def ours() -> Attempts:
    return Attempts(Sealer([NEW]))


def test_what_is_packed_is_unpacked(ours: Attempts) -> None:
    attempt = ours.start("google", "/somewhere", NOW)
    assert ours.unpack(ours.pack(attempt)) == attempt


def test_an_altered_cookie_is_nothing(ours: Attempts) -> None:
    packed = ours.pack(ours.start("google", "/", NOW))
    altered = [packed[:i] + ("A" if packed[i] != "A" else "B") + packed[i + 1 :] for i in range(len(packed) - 1)]
    assert {ours.unpack(value) for value in altered} == {None}


def test_a_cookie_of_another_key_is_nothing(ours: Attempts) -> None:
    assert Attempts(Sealer([OLD])).unpack(ours.pack(ours.start("google", "/", NOW))) is None


def test_a_sign_in_under_way_survives_a_new_secret_key() -> None:
    before, after = Attempts(Sealer([OLD])), Attempts(Sealer([NEW, OLD]))
    attempt = before.start("google", "/", NOW)
    carried = after.unpack(before.pack(attempt))
    assert carried is not None
    assert after.code_verifier(carried) == before.code_verifier(attempt)
    assert after.nonce(carried) == before.nonce(attempt)


def test_the_cookie_holds_neither_nonce_nor_verifier(ours: Attempts) -> None:  # PKCE-1
    attempt = ours.start("google", "/", NOW)
    packed = ours.pack(attempt)
    assert ours.nonce(attempt) not in packed
    assert ours.code_verifier(attempt) not in packed


def test_derived_values_are_long_distinct_and_url_safe(ours: Attempts) -> None:  # PKCE-1
    found = [ours.start("google", "/", NOW) for _ in range(1000)]
    values = {derive(attempt) for attempt in found for derive in (ours.nonce, ours.code_verifier)}
    assert len(values) == 2000
    assert all(len(value) == 43 and value.replace("-", "").replace("_", "").isalnum() for value in values)


def test_judge_lets_a_fresh_one_pass() -> None:
    attempt = Attempt("a" * 32, "google", "/", NOW)
    assert attempts.judge(attempt, "a" * 32, "google", NOW + LIFETIME) is attempt


@pytest.mark.parametrize(
    ("attempt", "now", "error"),
    [
        (None, NOW, AttemptMissing),
        (Attempt("b" * 32, "google", "/", NOW), NOW, AttemptMismatch),
        (Attempt("a" * 32, "microsoft", "/", NOW), NOW, AttemptMismatch),
        (Attempt("a" * 32, "google", "/", NOW), NOW + LIFETIME + 1, AttemptExpired),
        (Attempt("a" * 32, "google", "/", NOW), NOW - 61, AttemptExpired),
    ],
)
def test_judge_refuses(attempt: Attempt | None, now: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        attempts.judge(attempt, "a" * 32, "google", now)


async def test_of_parallel_claims_one_wins_in_whichever_process(database_url: str, ours: Attempts) -> None:
    databases = [Database(database_url) for _ in range(2)]
    processes = [Claims(database) for database in databases]
    wanted = [ours.start("google", "/", NOW) for _ in range(10)]
    asked = [(process, attempt) for _ in range(3) for attempt in wanted for process in processes]
    outcomes = await asyncio.gather(*(process.claim(one, NOW) for process, one in asked), return_exceptions=True)
    for database in databases:
        await database.close()
    assert {type(outcome) for outcome in outcomes} == {type(None), AttemptUsed}
    won = [attempt for (_, attempt), outcome in zip(asked, outcomes, strict=True) if outcome is None]
    assert sorted(attempt.id for attempt in won) == sorted(attempt.id for attempt in wanted)


async def test_those_who_come_back_together_share_a_statement(database_url: str, ours: Attempts) -> None:
    database = Database(database_url)
    statements = statements_of(database)
    claims = Claims(database)
    await asyncio.gather(*(claims.claim(ours.start("google", "/", NOW), NOW) for _ in range(50)))
    await database.close()
    assert len([one for one in statements if one.startswith("INSERT")]) == 1


class CutOff(Exception):
    """A connection that ends before the answer has come."""


@pytest.mark.postgres
async def test_a_claim_that_nobody_knows_the_outcome_of_is_not_made_again(postgres_url: str, ours: Attempts) -> None:
    database, tried = Database(postgres_url), list[Any]()

    def cut(*seen: Any) -> None:
        tried.append(seen)
        raise DBAPIError("INSERT", {}, CutOff(), connection_invalidated=True)

    listen(database, "after_cursor_execute", cut)
    with pytest.raises(Unavailable):
        await Claims(database).claim(ours.start("google", "/", NOW), NOW)
    await database.close()
    assert len(tried) == 1


async def test_prune_forgets_only_what_has_expired(database_url: str) -> None:
    database = Database(database_url)
    async with database.write() as connection:
        await attempts.spend(connection, "old", NOW - 1)
        await attempts.spend(connection, "young", NOW + 1)
        gone = await attempts.prune(connection, NOW, 10)
        again = await attempts.spend(connection, "young", NOW + 1)
    await database.close()
    assert (gone, again) == (1, False)


def test_the_oldest_beyond_the_youngest_few() -> None:
    assert [attempt.id for attempt in attempts.oldest(found(5, 1, 9, 3), 2, room=400)] == ["5", "9"]


def test_the_oldest_that_have_no_room() -> None:
    assert [attempt.id for attempt in attempts.oldest(found(5, 1, 9, 3), 4, room=250)] == ["5", "9"]


def found(*ages: int) -> dict[Attempt, int]:
    """Attempts of these ages, 100 bytes each."""
    return {Attempt(str(age), "google", "/", NOW - age): 100 for age in ages}
