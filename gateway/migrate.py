"""The schema's state and the way to head: Alembic run in process, from a checkout or an installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from .db import Database, brief
from .errors import CannotStart

SchemaState = Literal["current", "empty", "outdated", "newer"]

# One upgrade at a time on a server database; held for the transaction (any constant number serves).
MIGRATION_LOCK = 0x6C6F67696E


def migrations_folder() -> Path:
    """Inside the wheel the migrations lie in the package, in a checkout beside it."""
    inside = Path(__file__).parent / "migrations"
    return inside if (inside / "env.py").exists() else Path(__file__).parents[1] / "migrations"


def configuration(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def schema_state(url: str) -> SchemaState:
    """How the database's schema stands to this program's. Raises SQLAlchemyError when it cannot be reached."""
    database = Database(url, pool_size=1)
    try:
        async with database.read() as connection:
            return await connection.run_sync(compare)
    finally:
        await database.close()


async def upgrade(url: str) -> None:
    """Bring the schema to head in one transaction: a migration that fails leaves everything as it was. CannotStart."""
    try:
        await move(url, "head")
    except CommandError as error:
        raise newer() from error
    except (SQLAlchemyError, OSError) as error:
        hint = "Nothing has been changed. Is the database running, is `database_url` right, and may it be altered?"
        raise CannotStart(f"The schema cannot be brought up to date: {brief(error)}.", hint) from error


def newer() -> CannotStart:
    hint = "Install the newer version, or restore a backup from before it."
    return CannotStart("The database schema is newer than this version of the gateway.", hint)


async def move(url: str, revision: str) -> None:
    """Upgrade or downgrade to a revision, in one transaction."""
    database = Database(url, pool_size=1, foreign_keys=False)
    try:
        async with database.write() as connection:
            if database.dialect == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            await connection.run_sync(run, revision)
            if database.dialect == "sqlite" and (await connection.execute(text("PRAGMA foreign_key_check"))).first():
                raise RuntimeError("the migration leaves rows that refer to nothing")
    finally:
        await database.close()


def run(connection: Connection, revision: str) -> None:
    config = configuration(connection)
    script = ScriptDirectory.from_config(config)
    present = MigrationContext.configure(connection).get_current_revision()
    known = [step.revision for step in script.walk_revisions()]  # newest first
    down = revision == "base" or (
        present in known and revision in known and known.index(revision) > known.index(present)
    )
    (command.downgrade if down else command.upgrade)(config, revision)


def compare(connection: Connection) -> SchemaState:
    script = ScriptDirectory.from_config(configuration())
    present = MigrationContext.configure(connection).get_current_revision()
    if present is None:
        return "outdated" if inspect(connection).has_table("accounts") else "empty"
    if present == script.get_current_head():
        return "current"
    return "outdated" if present in {step.revision for step in script.walk_revisions()} else "newer"
