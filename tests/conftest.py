"""Fixtures every test may use: an empty migrated database of each kind, by URL."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import create_engine, inspect, make_url, text
from sqlalchemy.exc import OperationalError

from gateway import migrate, schema
from gateway.db import Database

from harness import World
from harness import world as make_world

SERVER = os.environ.get("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres")
STRICT = os.environ.get("CI") == "true"  # there, what is missing is a failure, not a skip


# A loaded machine is slow, not wrong.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "gateway.db"
    asyncio.run(migrate.upgrade(f"sqlite:///{path}"))
    return path


def missing(what: str) -> None:
    if STRICT:
        pytest.fail(f"{what} is needed when CI=true")
    pytest.skip(f"{what} is not there")


@pytest.fixture(scope="session")
def postgres_template() -> Iterator[str]:
    """The name of a migrated database that others are made from; dropped at the end."""
    name = f"gateway_template_{os.getpid()}"
    try:
        sql(f"CREATE DATABASE {name}")
    except OperationalError:
        missing("PostgreSQL at 127.0.0.1:5432")
    asyncio.run(migrate.upgrade(database(name)))
    yield name
    sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    shutil.copy(sqlite_template, tmp_path / "gateway.db")
    return f"sqlite:///{tmp_path / 'gateway.db'}"


@pytest.fixture(scope="session")
def postgres_stock(postgres_template: str) -> Iterator[list[str]]:
    """Names of migrated databases that are as good as new."""
    stock: list[str] = []
    yield stock
    for name in stock:
        sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_template: str, postgres_stock: list[str]) -> Iterator[str]:
    name = postgres_stock.pop() if postgres_stock else copy(postgres_template)
    yield database(name)
    if empty(name):
        postgres_stock.append(name)
    else:
        sql(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def copied(template: str) -> Iterator[str]:
    """The URL of a PostgreSQL database like the template; dropped at the end."""
    name = copy(template)
    yield database(name)
    sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_copy() -> Callable[[str], AbstractContextManager[str]]:
    """Makes another of the database at this URL, which nobody has open; dropped at the end."""
    return lambda url: copied(make_url(url).database or "")


def copy(template: str) -> str:
    name = f"gateway_test_{uuid.uuid4().hex[:12]}"
    sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    return name


DISCONNECT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()"
TABLES = [table.name for table in reversed(schema.metadata.sorted_tables)]


def empty(name: str) -> bool:
    """Whether the database could be made as new: its schema is untouched, and nobody has it open any more."""
    sql(DISCONNECT.format(name))
    engine = create_engine(database(name), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            if {*inspect(connection).get_table_names()} != {*TABLES, "alembic_version"}:
                return False
            connection.execute(text("; ".join(f"DELETE FROM {table}" for table in TABLES)))  # noqa: S608  our own tables
            connection.execute(text("TRUNCATE sessions; SELECT pg_stat_reset()"))  # one test looks at pages and counts
            return connection.scalar(text("SELECT version_num FROM alembic_version")) == schema.HEAD
    finally:
        engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty, migrated database; each test runs once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


def database(name: str) -> str:
    return SERVER.rpartition("/")[0] + "/" + name


def sql(statement: str) -> None:
    engine = create_engine(SERVER, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """A gateway on a real socket with a stand-in Google and a stand-in Microsoft, once on each database."""
    with make_world(database_url) as made:
        yield made


@pytest.fixture
def sqlite_world(sqlite_url: str) -> Iterator[World]:
    with make_world(sqlite_url) as made:
        yield made


@pytest.fixture(scope="module")
def lasting_sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('lasting') / 'gateway.db'}"


@pytest.fixture(scope="module")
def lasting_postgres_url(postgres_template: str) -> Iterator[str]:
    with copied(postgres_template) as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def lasting_database_url(request: pytest.FixtureRequest) -> str:
    """As `database_url`, but one for all tests of a module."""
    url: str = request.getfixturevalue(f"lasting_{request.param}_url")
    return url


@pytest.fixture(scope="module")
def lasting_sqlite_world(lasting_sqlite_url: str) -> Iterator[World]:
    with make_world(lasting_sqlite_url) as made:
        yield made


@pytest.fixture(scope="module")
def lasting_world(lasting_database_url: str) -> Iterator[World]:
    """As `world`, but one for all tests of a module: for those that only throw things at it."""
    with make_world(lasting_database_url) as made:
        yield made
