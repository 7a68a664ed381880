"""Throw-away databases: an empty one on the PostgreSQL server, dropped at the end, or an SQLite file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError

from .processes import OTHER_CORE


class NoServer(Exception):
    """PostgreSQL cannot be reached."""


def statement(server: URL, sql: str) -> list[int]:
    engine = create_engine(server.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            result = connection.execute(text(sql))
            return [row[0] for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


@contextmanager
def postgresql(server: str) -> Iterator[str]:
    """The URL of a new database on this server; raises NoServer. It is dropped when the block ends."""
    url, name = make_url(server), f"gateway_benchmark_{os.getpid()}"
    try:
        statement(url, f"CREATE DATABASE {name}")
    except OperationalError as error:
        raise NoServer(str(error.orig).strip()) from error
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        statement(url, f"DROP DATABASE {name} WITH (FORCE)")


def keep_off_the_server_core(database_url: str) -> None:
    """Put PostgreSQL's processes for this database on the other core, where the system lets us."""
    url = make_url(database_url)
    for pid in statement(url, f"SELECT pid FROM pg_stat_activity WHERE datname = '{url.database}'"):  # noqa: S608
        with suppress(OSError):
            os.sched_setaffinity(pid, {OTHER_CORE})
