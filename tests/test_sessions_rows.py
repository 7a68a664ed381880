"""Session rows: made, found, listed, ended by their owner only, and deleted when nobody needs them any more."""

from __future__ import annotations

import uuid

from signed_in import DAY, NOW, add_account, add_session, row_of

from gateway import sessions
from gateway.db import Database
from gateway.sessions import MOST

IDLE = 14 * DAY


async def listed(db: Database, account_id: uuid.UUID, now: int = NOW) -> list[uuid.UUID]:
    async with db.read() as connection:
        return [one.id for one in await sessions.list_for(connection, account_id, now, idle_ttl=IDLE)]


async def found(db: Database, session_id: uuid.UUID, now: int = NOW) -> sessions.Session | None:
    async with db.read() as connection:
        return await sessions.get(connection, session_id, now)


async def test_what_is_made_is_found(db: Database) -> None:
    made = await add_session(db, provider_session="s1", id_token=b"sealed", facts={"groups": ["größe", "\x01"]})
    assert await found(db, made.id) == made


async def test_a_new_session_has_handed_out_number_nought(db: Database) -> None:
    made = await add_session(db)
    row = await row_of(db, made.id)
    assert (row.current, row.parent, row.rotated_at, row.outcome) == (0, -1, NOW, 0)


async def test_what_a_browser_calls_itself_is_kept_short_and_clean(db: Database) -> None:
    made = await add_session(db, user_agent="a\x00b\ud800" + "c" * 1000)
    kept = await found(db, made.id)
    assert kept is not None
    assert kept.user_agent == "ab?" + "c" * 397


async def make_room(db: Database, account_id: uuid.UUID, replaces: uuid.UUID | None = None) -> list[tuple[str, str]]:
    """What ended, by the address it came from, and why."""
    async with db.write() as connection:
        ended = await sessions.make_room(connection, account_id, replaces=replaces, now=NOW)
    return sorted((one.ip, one.end_reason or "") for one in ended)


async def fill(db: Database, account_id: uuid.UUID, count: int) -> list[uuid.UUID]:
    """Sessions from addresses 000, 001, …, each used later than the one before."""
    made = [await add_session(db, account_id, ip=f"{n:03}", now=NOW - 200 + n) for n in range(count)]
    return [one.id for one in made]


async def test_the_sessions_used_least_lately_make_room(db: Database) -> None:
    account_id, other = await add_account(db), await add_session(db)
    await fill(db, account_id, MOST + 2)
    assert await make_room(db, account_id) == [("000", "too_many"), ("001", "too_many"), ("002", "too_many")]
    assert len(await listed(db, account_id)) == MOST - 1
    assert await found(db, other.id) == other


async def test_where_there_is_room_only_the_replaced_one_ends(db: Database) -> None:
    account_id = await add_account(db)
    made = await fill(db, account_id, 3)
    assert await make_room(db, account_id) == []
    assert await make_room(db, account_id, made[1]) == [("001", "replaced")]


async def test_the_replaced_one_makes_room_for_the_new_one(db: Database) -> None:
    account_id = await add_account(db)
    made = await fill(db, account_id, MOST)
    assert await make_room(db, account_id, made[-1]) == [(f"{MOST - 1:03}", "replaced")]


async def test_the_list_has_an_end(db: Database) -> None:
    account_id = await add_account(db)
    await fill(db, account_id, MOST + 1)
    assert len(await listed(db, account_id)) == MOST


async def test_a_session_that_ended_or_expired_is_not_found(db: Database) -> None:
    ended, expired = await add_session(db), await add_session(db, expires_at=NOW + 5)
    async with db.write() as connection:
        await sessions.end(connection, ended.id, reason="ended", now=NOW)
    assert await found(db, ended.id) is None
    assert await found(db, expired.id, NOW + 4) is not None
    assert await found(db, expired.id, NOW + 5) is None


async def test_the_list_is_the_accounts_own_and_last_used_first(db: Database) -> None:
    account_id = await add_account(db)
    older = await add_session(db, account_id, now=NOW - 10)
    newer = await add_session(db, account_id, now=NOW - 5)
    await add_session(db)
    assert await listed(db, account_id) == [newer.id, older.id]


async def test_the_list_leaves_out_what_cannot_be_renewed(db: Database) -> None:
    account_id = await add_account(db)
    await add_session(db, account_id, now=NOW - IDLE)
    await add_session(db, account_id, expires_at=NOW)
    almost = await add_session(db, account_id, now=NOW - IDLE + 1)
    assert await listed(db, account_id) == [almost.id]


async def test_a_session_ends_once(db: Database) -> None:
    made = await add_session(db)
    async with db.write() as connection:
        first = await sessions.end(connection, made.id, reason="signed_out", now=NOW + 1)
        second = await sessions.end(connection, made.id, reason="ended", now=NOW + 2)
    assert first is not None
    assert (first.id, first.account_id, first.end_reason) == (made.id, made.account_id, "signed_out")
    assert second is None
    row = await row_of(db, made.id)
    assert (row.ended_at, row.end_reason) == (NOW + 1, "signed_out")


async def test_nobody_ends_a_session_of_somebody_else(db: Database) -> None:
    made, stranger = await add_session(db), await add_account(db)
    async with db.write() as connection:
        ended = await sessions.end(connection, made.id, account_id=stranger, reason="ended", now=NOW)
    assert ended is None
    assert await found(db, made.id) == made


async def test_the_owner_ends_it(db: Database) -> None:
    made = await add_session(db)
    async with db.write() as connection:
        ended = await sessions.end(connection, made.id, account_id=made.account_id, reason="ended", now=NOW)
    assert ended is not None


async def test_ending_what_was_never_there_ends_nothing(db: Database) -> None:
    async with db.write() as connection:
        assert await sessions.end(connection, uuid.uuid4(), reason="ended", now=NOW) is None


async def test_ending_the_others_leaves_this_one_and_everybody_elses(db: Database) -> None:
    account_id = await add_account(db)
    kept = await add_session(db, account_id)
    others = {(await add_session(db, account_id)).id for _ in range(3)}
    stranger = await add_session(db)
    async with db.write() as connection:
        ended = await sessions.end_others(connection, account_id, kept.id, reason="ended", now=NOW)
    assert set(ended) == others
    assert await listed(db, account_id) == [kept.id]
    assert await found(db, stranger.id) is not None


async def test_ending_all_of_an_account_leaves_everybody_elses(db: Database) -> None:
    account_id = await add_account(db)
    own = {(await add_session(db, account_id)).id for _ in range(3)}
    stranger = await add_session(db)
    async with db.write() as connection:
        ended = await sessions.end_for_account(connection, account_id, reason="disabled", now=NOW)
        again = await sessions.end_for_account(connection, account_id, reason="disabled", now=NOW)
    assert (set(ended), again) == (own, [])
    assert await found(db, stranger.id) is not None


async def test_pruning_deletes_what_is_over_for_a_day_and_only_that(db: Database) -> None:
    expired = await add_session(db, expires_at=NOW - DAY)
    just_expired = await add_session(db, expires_at=NOW - DAY + 1)
    ended, just_ended, alive = [await add_session(db) for _ in range(3)]
    async with db.write() as connection:
        await sessions.end(connection, ended.id, reason="ended", now=NOW - DAY)
        await sessions.end(connection, just_ended.id, reason="ended", now=NOW - DAY + 1)
        assert await sessions.prune(connection, NOW, 10) == 2
    for kept in (just_expired, just_ended, alive):
        assert await row_of(db, kept.id)
    assert await found(db, expired.id, 0) is None
    assert await found(db, ended.id, 0) is None


async def test_pruning_takes_small_bites(db: Database) -> None:
    for _ in range(3):
        await add_session(db, expires_at=NOW - DAY)
    async with db.write() as connection:
        bites = [await sessions.prune(connection, NOW, 2) for _ in range(3)]
    assert bites == [2, 1, 0]
