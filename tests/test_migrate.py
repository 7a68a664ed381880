"""The schema: up, down, state, and nothing left behind by a migration that fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from gateway import migrate, schema
from gateway.db import Database


async def tables(url: str) -> set[str]:
    database = Database(url)
    try:
        async with database.read() as connection:
            return set(await connection.run_sync(lambda c: inspect(c).get_table_names()))
    finally:
        await database.close()


async def test_head_is_what_the_schema_says(database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), schema.complete()))

    database = Database(database_url)
    async with database.read() as connection:
        found = await connection.run_sync(differences)
    await database.close()
    assert found == []


async def test_partial_indexes_are_those_of_the_schema(database_url: str) -> None:
    def partial(connection: Connection) -> set[str | None]:
        option, found = f"{connection.dialect.name}_where", inspect(connection)
        indexes = [index for table in found.get_table_names() for index in found.get_indexes(table)]
        return {index["name"] for index in indexes if option in index.get("dialect_options", {})}

    database = Database(database_url)
    async with database.read() as connection:
        found = await connection.run_sync(partial)
    await database.close()
    indexes = [index for table in schema.complete().tables.values() for index in table.indexes]
    wanted = {index.name for index in indexes if index.dialect_options[database.dialect]["where"] is not None}
    assert found == wanted != set()


async def test_up_and_down_again(database_url: str) -> None:
    await migrate.move(database_url, "base")
    assert await tables(database_url) == {"alembic_version"}
    assert await migrate.schema_state(database_url) == "empty"
    await migrate.upgrade(database_url)
    assert await migrate.schema_state(database_url) == "current"


async def test_an_unknown_revision_is_newer(database_url: str) -> None:
    database = Database(database_url)
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = 'from-tomorrow'"))
    await database.close()
    assert await migrate.schema_state(database_url) == "newer"


async def test_a_migration_that_fails_leaves_everything_as_it_was(database_url: str) -> None:
    await migrate.move(database_url, "base")
    database = Database(database_url)
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE spent (obstacle INTEGER)"))
    await database.close()
    before = await tables(database_url)

    with pytest.raises(Exception, match="spent"):
        await migrate.upgrade(database_url)

    assert await tables(database_url) == before


async def test_several_processes_may_upgrade_at_once(database_url: str) -> None:
    await migrate.move(database_url, "base")
    await asyncio.gather(*(migrate.upgrade(database_url) for _ in range(4)))
    assert await migrate.schema_state(database_url) == "current"


def test_the_folder_is_found_in_a_checkout() -> None:
    assert migrate.migrations_folder() == Path(__file__).parents[1] / "migrations"


ROWS = """
INSERT INTO accounts (id, email_verified, created_at) VALUES ('{account}', true, 1);
INSERT INTO identities (id, account_id, provider, issuer, subject, email_verified, ids, linked_at, last_used_at)
    VALUES ('{identity}', '{account}', 'google', 'https://accounts.google.com', '1', true, '{{}}', 1, 1);
INSERT INTO sessions (id, account_id, identity_id, client_id, provider, created_at, auth_time, expires_at, last_used_at,
    user_agent, ip, facts, scope, current, parent, rotated_at, outcome)
    VALUES ('{session}', '{account}', '{identity}', 'gateway', 'google', 1, 1, 9, 1, '', '', '{{}}', '', 0, -1, 1, 0)
"""


async def test_every_step_down_and_up_keeps_the_rows(database_url: str) -> None:
    ids = {name: str(n) * 32 for n, name in enumerate(("account", "identity", "session"), 1)}
    database = Database(database_url)
    async with database.write() as connection:
        for statement in ROWS.format(**ids).split(";"):
            await connection.execute(text(statement))
    await database.close()
    steps = [step.revision for step in ScriptDirectory.from_config(migrate.configuration()).walk_revisions()]

    for revision in [*steps[1:], *reversed(steps[:-1])]:
        await migrate.move(database_url, revision)

        database = Database(database_url)
        async with database.read() as connection:
            joined = text(
                "SELECT count(*) FROM sessions JOIN identities ON identity_id = identities.id"
                " JOIN accounts ON identities.account_id = accounts.id"
            )
            assert await connection.scalar(joined) == 1, revision
        await database.close()
