"""The database: a write transaction, a read, a single statement. SQLite (WAL, FULL, one writer) or PostgreSQL.

On PostgreSQL nothing outlives its transaction: no `SET`, no prepared statement, no lock of a session. What is between
may therefore hand each transaction to another server connection, as poolers do.
"""

from __future__ import annotations

import asyncio
import logging
import math
import select
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Literal

from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    Executable,
    QueuePool,
    Row,
    StaticPool,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

log = logging.getLogger("gateway.db")

LONGEST_CAUSE = 160  # characters of somebody else's error message
FRESH = 1.0  # seconds for which it is believed that the database answers, or does not
PATIENCE = 10.0  # seconds for a connection to come about, for one in the pool to be free, for a sign of life
BUSY_TIMEOUT = 15_000  # milliseconds a SQLite writer waits for another process

# A prepared statement belongs to a server connection, and a pooler gives the next transaction another one.
UNPREPARED = {"prepare_threshold": None}

# The options of asyncpg that libpq has, too, and what it calls them.
LIBPQ = {"ssl": "sslmode", "host": "host", "port": "port"}

Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Rows = Sequence[Row[*tuple[Any, ...]]]


def normalise(url: str) -> URL:
    """The URL with the driver the gateway uses. ValueError for a database it does not serve."""
    parsed = make_url(url)
    match parsed.get_backend_name():
        case "sqlite":
            return parsed.set(drivername="sqlite+aiosqlite")
        case "postgresql" | "postgres":
            options = dict(parsed.query)
            if parsed.drivername.endswith("+asyncpg"):
                options = {LIBPQ[name]: value for name, value in options.items() if name in LIBPQ}
            return parsed.set(drivername="postgresql+psycopg", query=options)
        case other:
            raise ValueError(f"{other} is not served; use sqlite:///… or postgresql://…")


def brief(error: BaseException) -> str:
    """The first line of what a driver says: its own words, without the statement and its values."""
    words = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
    return words[0][:LONGEST_CAUSE].rstrip(".")


def is_outage(error: BaseException) -> bool:
    """Whether the database could not be reached or did not answer, as against having been asked wrongly."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError | InterfaceError | PoolTimeout | OSError)


class Probe:
    """One question at a time, and its answer for `FRESH` seconds: however many ask, the database is not kept busy."""

    def __init__(self, ask: Callable[[float], Awaitable[bool]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._turn = asyncio.Lock()
        self._answer = False
        self._fresh_until = -math.inf

    async def __call__(self, patience: float) -> bool:
        async with self._turn:
            if self._clock() >= self._fresh_until:
                self._answer = await self._ask(patience)
                self._fresh_until = self._clock() + FRESH
            return self._answer


class Lane:
    """A thread with a connection of its own, where a statement is one step: begin, execute, fetch all, commit.

    aiosqlite has a thread for a connection, too, and goes there and back for each of these, and for cursors besides.
    """

    def __init__(self, engine: Engine) -> None:
        """`engine` has one connection, and nobody else uses it."""
        self.engine = engine
        self._thread = ThreadPoolExecutor(1, "gateway-statement")  # which begins with the first statement

    def carry_out(self, statement: Executable, parameters: Parameters | None) -> asyncio.Future[Rows]:
        """What has begun is finished, whoever waits for it."""
        return asyncio.get_running_loop().run_in_executor(self._thread, self._step, statement, parameters)

    def _step(self, statement: Executable, parameters: Parameters | None) -> Rows:
        with self.engine.begin() as connection:
            return all_rows(connection.execute(statement, parameters))

    async def close(self) -> None:
        """Finish what has been asked, then end the thread and the connection. A later statement begins anew."""
        thread, self._thread = self._thread, ThreadPoolExecutor(1, "gateway-statement")
        closing = asyncio.get_running_loop().run_in_executor(thread, self.engine.dispose)
        thread.shutdown(wait=False)
        await asyncio.shield(closing)


def all_rows(result: CursorResult[*tuple[Any, ...]]) -> Rows:
    return result.all() if result.returns_rows else []


class Database:
    """Owns the connections of one process.

    `write()` is one transaction, `read()` a connection for statements that stand alone. `execute()` and `query()` are
    for a single statement, the quickest way.
    """

    def __init__(self, url: str, *, pool_size: int = 10, foreign_keys: bool = True) -> None:
        """`foreign_keys=False` is for migrations: SQLite changes a table by making it anew, and dropping the old one
        would delete whatever refers to it."""
        self.url = normalise(url)
        self.dialect: Literal["sqlite", "postgresql"] = (
            "sqlite" if self.url.get_backend_name() == "sqlite" else "postgresql"
        )
        if self.dialect == "sqlite":
            self.engine = create_async_engine(
                self.url, connect_args={"timeout": BUSY_TIMEOUT / 1000}, hide_parameters=True
            )
            open_first(self.engine.sync_engine)
            listen_sqlite(self.engine.sync_engine, foreign_keys=foreign_keys)
            self._writer = self.engine.execution_options(immediate=True)
            self._reader = self.engine
            in_memory = isinstance(self.engine.pool, StaticPool)  # it lives in one connection
            self._writing = None if in_memory else Lane(self._single_writer(foreign_keys=foreign_keys))
            self._reading = None if in_memory else Lane(self.reader(BUSY_TIMEOUT / 1000))
        else:
            self.engine = create_async_engine(
                self.url,
                connect_args=UNPREPARED | within(PATIENCE),
                hide_parameters=True,
                pool_size=pool_size,
                max_overflow=0,
                pool_timeout=PATIENCE,
                pool_recycle=1800,
                # A single statement, such as a refresh, has nothing to begin, commit, set or reset around it.
                isolation_level="AUTOCOMMIT",
                skip_autocommit_rollback=True,
            )
            listen_postgresql(self.engine.sync_engine)
            self._writer = self.engine.execution_options(isolation_level="READ COMMITTED")
            self._reader = self.engine
            self._writing = self._reading = None
        # SQLite has one writer: waiting here is fair and cheap, waiting in the file lock is neither.
        self._turn = asyncio.Lock()
        self._probe = Probe(self._ask)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end, rolled back when an exception leaves the block."""
        if self.dialect == "sqlite":
            async with self._turn, self._writer.begin() as connection:
                yield connection
        else:
            async with self._writer.begin() as connection:
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection without a transaction: each statement stands alone."""
        async with self._reader.connect() as connection:
            yield connection

    async def execute(self, statement: Executable, parameters: Parameters | None = None) -> Rows:
        """One statement that writes, a transaction of its own: its rows, once they are committed.

        On PostgreSQL that is one round trip instead of three, on SQLite one step of one thread. Whoever is to go away
        while it is under way sees it finished, so that the next in turn finds the way free.
        """
        if self._writing is None:
            async with self.write() if self.dialect == "sqlite" else self.read() as connection:
                return all_rows(await connection.execute(statement, parameters))
        async with self._turn:
            doing = self._writing.carry_out(statement, parameters)
            try:
                return await asyncio.shield(doing)
            except asyncio.CancelledError:
                await asyncio.wait([doing])
                doing.exception()  # heard by nobody else
                raise

    async def query(self, statement: Executable, parameters: Parameters | None = None) -> Rows:
        """One statement that only reads: its rows. On SQLite it is one step of one thread, and waits for no writer."""
        if self._reading is None:
            async with self.read() as connection:
                return all_rows(await connection.execute(statement, parameters))
        return await self._reading.carry_out(statement, parameters)

    @property
    def engines(self) -> list[Engine]:
        """All that statements go through, for who listens to them. A lane's hooks are called in its thread."""
        return [self.engine.sync_engine, *(lane.engine for lane in (self._writing, self._reading) if lane)]

    def _single_writer(self, *, foreign_keys: bool) -> Engine:
        engine = create_engine(
            self.url.set(drivername="sqlite"),
            connect_args={"timeout": BUSY_TIMEOUT / 1000},
            execution_options={"immediate": True},
            hide_parameters=True,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
        )
        listen_sqlite(engine, foreign_keys=foreign_keys)
        return engine

    def reader(self, patience: float) -> Engine:
        """A synchronous engine for a thread that only reads, with one connection.

        What takes longer than `patience` (seconds) fails. Dispose of it in the end.
        """
        lite = self.dialect == "sqlite"
        engine = create_engine(
            self.url.set(drivername="sqlite") if lite else self.url,
            connect_args={"timeout": patience} if lite else UNPREPARED | within(patience),
            execution_options={} if lite else {"postgresql_readonly": True},
            hide_parameters=True,
            isolation_level="AUTOCOMMIT" if lite else "READ COMMITTED",
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            pool_timeout=patience,
            pool_recycle=1800,
        )
        if lite:
            only_read(engine)
        else:
            listen_postgresql(engine)
            limit(engine, patience)
        return engine

    async def answers(self, patience: float) -> bool:
        """Whether the database answers within `patience` seconds, or did when it was asked a moment ago."""
        return await self._probe(patience)

    async def _ask(self, patience: float) -> bool:
        try:
            async with asyncio.timeout(patience), self.read() as connection:
                await connection.execute(text("SELECT 1"))
        except (TimeoutError, SQLAlchemyError, OSError) as error:
            log.warning("database_unreachable", extra={"fields": {"cause": type(error).__name__}})
            return False
        return True

    async def revision(self) -> str | None:
        """The migration the database is at; None for one without our tables. SQLAlchemyError when unreachable."""
        async with self.read() as connection:
            if not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
                return None
            return (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar()

    async def close(self) -> None:
        """Whoever waits for a turn has it first."""
        if self._writing:
            async with self._turn:
                await self._writing.close()
        if self._reading:
            await self._reading.close()
        await self.engine.dispose()


def open_first(engine: Engine) -> None:
    """Fail before aiosqlite if the file cannot be opened: its thread would still be telling when the loop is closed."""
    import sqlite3  # a megabyte, which a server on PostgreSQL does without

    @event.listens_for(engine, "do_connect")
    def try_first(_dialect: Any, _entry: ConnectionPoolEntry, arguments: list[Any], options: dict[str, Any]) -> None:
        sqlite3.connect(arguments[0], uri=options.get("uri", False)).close()


def listen_sqlite(engine: Engine, *, foreign_keys: bool) -> None:
    """Own the transactions on SQLite: the driver's implicit ones let two readers spend one row."""

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"foreign_keys={'ON' if foreign_keys else 'OFF'}",
            f"busy_timeout={BUSY_TIMEOUT}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        if connection.get_execution_options().get("immediate"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")


def listen_postgresql(engine: Engine) -> None:
    """Notice before a connection is used that the server has closed it: after a restart nobody is refused for it.

    There is no round trip to it. A server has nothing to say to a connection that asks for nothing, except good-bye.
    """

    @event.listens_for(engine, "checkout")
    def look(_connection: Any, entry: ConnectionPoolEntry, _proxy: object) -> None:
        if entry.info.get("used") and is_closing(entry.driver_connection):
            raise InvalidatePoolError  # SQLAlchemy connects again, and drops all connections from before this moment
        entry.info["used"] = True


def is_closing(connection: Any) -> bool:
    """Whether the server has ended the connection, or the driver has."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def within(patience: float) -> dict[str, int]:
    """How libpq notices a server that is gone. (One that is there ends the statement itself.)"""
    return {
        "connect_timeout": max(2, int(patience)),
        "tcp_user_timeout": int(patience * 1000),
        "keepalives_idle": max(1, int(patience)),
        "keepalives_interval": 1,
        "keepalives_count": 3,
    }


def limit(engine: Engine, patience: float) -> None:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {int(patience * 1000)}")


def only_read(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _entry: ConnectionPoolEntry) -> None:
        connection.execute("PRAGMA query_only=ON")
