"""Throw-away databases: an empty one on a PostgreSQL server, dropped at the end, or an SQLite file.

The server is the one that is named, or, where none answers there, one of our own for as long as it is needed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError

from .processes import OTHER_CORE, STOP, Missing, free_port, on

START = 30.0  # seconds


def statement(server: URL, sql: str) -> list[int]:
    """The first column of what it answers."""
    engine = create_engine(server.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            result = connection.execute(text(sql))
            return [row[0] for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


@contextmanager
def postgresql(server: URL, name: str = "one") -> Iterator[str]:
    """The URL of a new database on this server. Dropped when the block ends."""
    name = f"gateway_benchmark_{os.getpid()}_{name}"
    statement(server, f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        statement(server, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def reachable(server: str, folder: Path) -> Iterator[URL]:
    """This server, or one of our own in this folder. Raises Missing where there is neither."""
    url = make_url(server)
    try:
        statement(url, "SELECT 1")
    except OperationalError as error:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        if not programs:
            raise Missing(f"no PostgreSQL: {str(error.orig).strip()}") from error
        with own_server(programs[-1], folder) as own:
            yield own
    else:
        yield url


@contextmanager
def own_server(programs: Path, folder: Path) -> Iterator[URL]:
    """A new cluster on a free port, with PostgreSQL's own settings; it does not run as root."""
    folder.mkdir()
    port, run = free_port(), {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        run |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        shutil.chown(folder, owner.pw_uid)
        folder.parent.chmod(0o711)
    data = folder / "data"
    subprocess.run([programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust"], check=True, cwd="/", **run)
    options = ["-c", "listen_addresses=127.0.0.1", "-p", str(port), "-k", str(folder)]
    with on(OTHER_CORE):
        child = subprocess.Popen([programs / "postgres", "-D", data, *options], cwd="/", start_new_session=True, **run)
    try:
        url = make_url(f"postgresql://postgres@127.0.0.1:{port}/postgres")
        wait_for(url, child)
        yield url
    finally:
        child.send_signal(signal.SIGINT)  # at once, whoever is connected
        child.wait(STOP)


def wait_for(url: URL, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START
    while True:
        try:
            statement(url, "SELECT 1")
        except OperationalError as error:
            if child.poll() is not None or time.monotonic() > deadline:
                raise Missing(f"our own PostgreSQL does not answer: {error.orig}") from error
            time.sleep(0.05)
        else:
            return


def execute(database_url: str, script: str) -> None:
    """Several statements, in one transaction."""
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(script)
    finally:
        engine.dispose()


def place(database_url: str, cores: frozenset[int]) -> None:
    """Put PostgreSQL's processes for this database on these cores, where the system lets us."""
    url = make_url(database_url)
    for pid in statement(url, f"SELECT pid FROM pg_stat_activity WHERE datname = '{url.database}'"):  # noqa: S608
        with suppress(OSError):
            os.sched_setaffinity(pid, cores)
