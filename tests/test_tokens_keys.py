"""The signing keys: who makes them, how they follow each other, what is published, and what a stranger can cause."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from joserfc.jwk import KeySet
from sqlalchemy import select, update

from gateway.db import Database
from gateway.errors import Unavailable
from gateway.schema import signing_keys
from gateway.sealing import Sealer
from gateway.tokens.keys import PUBLISH_LEAD, RETIRE_MARGIN, KeyRefusal, Keyring, UnreadableKey
from gateway.tokens.signing import Algorithm, generate, public_jwk

SECRET = b"1" * 32
LIFE = 300


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def keyring(db: Database, clock: Clock, alg: Algorithm = "ES256", secrets: list[bytes] | None = None) -> Keyring:
    return Keyring(db, Sealer(secrets or [SECRET]), clock, alg, token_life=LIFE)


def states(keys: Keyring) -> dict[str, str]:
    return {key.state: kid for kid, key in keys.keys.items()}


async def rows(db: Database) -> list[Any]:
    async with db.read() as connection:
        return list((await connection.execute(select(signing_keys).order_by(signing_keys.c.state))).all())


async def test_a_first_start_makes_a_current_and_a_next_key(db: Database, clock: Clock) -> None:
    keys = keyring(db, clock)
    await keys.ensure()
    assert states(keys).keys() == {"current", "next"}
    assert keys.ready


async def test_a_second_start_makes_nothing_new(db: Database, clock: Clock) -> None:
    first, second = keyring(db, clock), keyring(db, clock)
    await first.ensure()
    await second.ensure()
    assert states(first) == states(second)


async def test_processes_that_start_together_agree(database_url: str, clock: Clock) -> None:
    databases = [Database(database_url) for _ in range(4)]
    rings = [keyring(database, clock) for database in databases]
    await asyncio.gather(*(ring.ensure() for ring in rings))
    for database in databases:
        await database.close()
    assert [states(ring) for ring in rings] == [states(rings[0])] * 4
    assert len(rings[0].keys) == 2


async def test_a_missing_next_key_is_made(db: Database, clock: Clock) -> None:
    keys = keyring(db, clock)
    await keys.ensure()
    before = states(keys)
    await keys.retire(before["next"])
    assert states(keys)["current"] == before["current"]
    assert states(keys)["next"] != before["next"]


@pytest.mark.parametrize(("alg", "kty"), [("ES256", "EC"), ("EdDSA", "OKP"), ("RS256", "RSA")])
async def test_what_is_published_is_public_and_complete(
    sqlite_url: str, clock: Clock, alg: Algorithm, kty: str
) -> None:
    database = Database(sqlite_url)
    keys = keyring(database, clock, alg)
    await keys.ensure()
    await database.close()
    published = keys.jwks()["keys"]
    for jwk in published:
        assert (jwk["kty"], jwk["use"], jwk["alg"]) == (kty, "sig", alg)
        assert not {"d", "p", "q", "dp", "dq", "qi", "k", "oth"} & jwk.keys()
    thumbprints = [key.thumbprint() for key in KeySet.import_key_set(json.loads(json.dumps(keys.jwks())))]
    assert [jwk["kid"] for jwk in published] == thumbprints
    assert len(set(thumbprints)) == 2


async def test_an_rsa_key_has_3072_bits(sqlite_url: str, clock: Clock) -> None:
    database = Database(sqlite_url)
    keys = keyring(database, clock, "RS256")
    await keys.ensure()
    await database.close()
    assert len(keys.jwks()["keys"][0]["n"]) == 3072 // 6


async def test_nothing_in_the_table_signs_without_a_secret_key(db: Database, clock: Clock) -> None:
    await keyring(db, clock).ensure()
    for row in await rows(db):
        assert b'"d"' not in row.private
        assert "d" not in row.public


async def test_rotation_moves_every_key_one_step(db: Database, clock: Clock) -> None:
    keys = keyring(db, clock)
    await keys.ensure()
    before = states(keys)
    clock.now += PUBLISH_LEAD
    await keys.rotate()
    after = states(keys)
    assert (after["previous"], after["current"]) == (before["current"], before["next"])
    assert after["next"] not in before.values()
    assert keys.keys[after["previous"]].retire_at == clock.now + LIFE + RETIRE_MARGIN


async def test_rotation_waits_until_everybody_can_know_the_next_key(db: Database, clock: Clock) -> None:
    keys = keyring(db, clock)
    await keys.ensure()
    before = states(keys)
    clock.now += PUBLISH_LEAD - 1
    with pytest.raises(KeyRefusal, match="wait 1 seconds"):
        await keys.rotate()
    assert states(keys) == before


async def test_rotation_can_be_forced(db: Database, clock: Clock) -> None:
    keys = keyring(db, clock)
    await keys.ensure()
    before = states(keys)
    await keys.rotate(force=True)
    assert states(keys)["current"] == before["next"]


async def test_of_two_rotations_at_once_one_is_refused(database_url: str, clock: Clock) -> None:
    databases = [Database(database_url) for _ in range(2)]
    rings = [keyring(database, clock) for database in databases]
    await rings[0].ensure()
    before = states(rings[0])
    clock.now += PUBLISH_LEAD
    results = await asyncio.gather(*(ring.rotate() for ring in rings), return_exceptions=True)
    await rings[0].reload()
    for database in databases:
        await database.close()
    assert [type(result) for result in results].count(KeyRefusal) == 1
    assert states(rings[0])["current"] == before["next"]


async def test_rotation_without_keys_says_so(db: Database, clock: Clock) -> None:
    with pytest.raises(KeyRefusal, match="no keys yet"):
        await keyring(db, clock).rotate()


async def test_a_previous_key_is_published_until_its_last_token_is_dead(db: Database, clock: Clock) -> None:
    keys = keyring(db, clock)
    await keys.ensure()
    old = states(keys)["current"]
    await keys.rotate(force=True)
    clock.now += LIFE + RETIRE_MARGIN - 1
    assert old in {jwk["kid"] for jwk in keys.jwks()["keys"]}
    clock.now += 1
    assert old not in {jwk["kid"] for jwk in keys.jwks()["keys"]}


async def test_upkeep_deletes_what_has_retired(db: Database, clock: Clock) -> None:
    keys = keyring(db, clock)
    await keys.ensure()
    await keys.rotate(force=True)
    clock.now += LIFE + RETIRE_MARGIN
    await keys.upkeep()
    assert keys.keys.keys() == {row.kid for row in await rows(db)}
    assert states(keys).keys() == {"current", "next"}


async def test_upkeep_touches_nothing_else(db: Database, clock: Clock) -> None:
    keys = keyring(db, clock)
    await keys.ensure()
    before, version = states(keys), keys.version
    clock.now += 365 * 86400
    await keys.upkeep()
    assert (states(keys), keys.version) == (before, version)


async def test_the_key_that_signs_cannot_be_retired(db: Database, clock: Clock) -> None:
    keys = keyring(db, clock)
    await keys.ensure()
    with pytest.raises(KeyRefusal, match="this key signs"):
        await keys.retire(states(keys)["current"])


async def test_an_unknown_key_cannot_be_retired(db: Database, clock: Clock) -> None:
    keys = keyring(db, clock)
    await keys.ensure()
    with pytest.raises(KeyRefusal, match="no such key"):
        await keys.retire("nothing")


async def test_a_retired_key_is_gone_at_once(db: Database, clock: Clock) -> None:
    keys = keyring(db, clock)
    await keys.ensure()
    await keys.rotate(force=True)
    previous, version = states(keys)["previous"], keys.version
    await keys.retire(previous)
    assert previous not in keys.keys
    assert keys.version != version


async def test_another_process_learns_by_reloading(db: Database, clock: Clock) -> None:
    here, there = keyring(db, clock), keyring(db, clock)
    await here.ensure()
    await there.ensure()
    await here.rotate(force=True)
    await there.reload()
    assert states(there) == states(here)


async def test_reloading_what_has_not_changed_keeps_the_version(db: Database, clock: Clock) -> None:
    keys = keyring(db, clock)
    await keys.ensure()
    version = keys.version
    await keys.reload()
    assert keys.version == version


async def test_a_key_that_nobody_can_open_is_named(db: Database, clock: Clock) -> None:
    first = keyring(db, clock)
    await first.ensure()
    stranger = keyring(db, clock, secrets=[b"2" * 32])
    with pytest.raises(UnreadableKey, match=states(first)["current"]):
        await stranger.ensure()
    assert not stranger.ready


async def test_a_lost_secret_key_is_survived_by_a_forced_rotation(db: Database, clock: Clock) -> None:
    await keyring(db, clock).ensure()
    keys = keyring(db, clock, secrets=[b"2" * 32])
    await keys.rotate(force=True)
    await keys.ensure()
    assert keys.ready


async def test_an_older_secret_key_still_opens(db: Database, clock: Clock) -> None:
    await keyring(db, clock).ensure()
    keys = keyring(db, clock, secrets=[b"2" * 32, SECRET])
    await keys.ensure()
    assert keys.ready


async def test_before_loading_there_is_nothing_to_sign_with(db: Database, clock: Clock) -> None:
    keys = keyring(db, clock)
    assert not keys.ready
    with pytest.raises(Unavailable):
        keys.signer("at+jwt")


async def test_a_database_that_is_gone_is_unavailable_and_forgets_nothing(clock: Clock, sqlite_url: str) -> None:
    database = Database(sqlite_url)
    keys = keyring(database, clock)
    await keys.ensure()
    before = states(keys)
    async with database.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE signing_keys RENAME TO elsewhere")
    with pytest.raises(Unavailable):
        await keys.reload()
    await database.close()
    assert states(keys) == before


async def test_another_algorithm_begins_once_its_key_has_been_published(db: Database, clock: Clock) -> None:
    await keyring(db, clock, "ES256").ensure()
    keys = keyring(db, clock, "EdDSA")
    await keys.ensure()
    assert [keys.keys[kid].alg for kid in (states(keys)["current"], states(keys)["next"])] == ["ES256", "EdDSA"]
    clock.now += PUBLISH_LEAD - 1
    await keys.upkeep()
    assert keys.current.alg == "ES256"
    clock.now += 1
    await keys.upkeep()
    assert keys.current.alg == "EdDSA"


async def test_a_process_that_still_has_the_old_algorithm_does_not_turn_it_back(db: Database, clock: Clock) -> None:
    old = keyring(db, clock, "ES256")
    await old.ensure()
    new = keyring(db, clock, "EdDSA")
    await new.ensure()
    clock.now += PUBLISH_LEAD
    await new.upkeep()
    clock.now += PUBLISH_LEAD
    await old.upkeep()
    assert old.current.alg == "EdDSA"


async def test_a_row_that_is_damaged_is_not_taken_for_a_key(db: Database, clock: Clock) -> None:
    keys = keyring(db, clock)
    await keys.ensure()
    async with db.write() as connection:
        await connection.execute(update(signing_keys).values(private=b"damaged"))
    with pytest.raises(UnreadableKey):
        await keyring(db, clock).load()


def test_no_key_id_passes_for_an_option_of_a_command() -> None:
    kids = {public_jwk(generate("ES256"), "ES256")["kid"] for _ in range(400)}
    assert len(kids) == 400
    assert not [kid for kid in kids if kid.startswith("-")]
