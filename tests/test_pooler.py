"""Behind PgBouncer in transaction mode: nothing that the gateway does needs a server connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from backends import pooled
from sqlalchemy import create_engine, text

from gateway import migrate

from harness import World
from harness import world as make_world
from processes import wait_until

pytestmark = pytest.mark.postgres

# psycopg prepares what it has executed five times; PgBouncer gives each transaction the other connection.
OFTEN = 12

# What a connection that nobody has used yet says.
AS_NEW = {
    "SHOW statement_timeout": "0",
    "SHOW default_transaction_read_only": "off",
    "SELECT count(*) FROM pg_prepared_statements": 0,
    "SELECT count(*) FROM pg_listening_channels()": 0,
    "SELECT count(*) FROM pg_class WHERE relpersistence = 't'": 0,
    "SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database"
    " WHERE locktype = 'advisory' AND datname = current_database()": 0,
}


@pytest.fixture(scope="module", params=[1, 2])
def world(request: pytest.FixtureRequest, lasting_postgres_url: str) -> Iterator[World]:
    """A gateway whose database has so many connections for everybody together."""
    with pooled(lasting_postgres_url, request.param) as url, make_world(url, account_linking="never") as made:
        yield made


def answered(browser: httpx2.Client, path: str) -> int:
    status = browser.get(path).status_code
    assert status in (200, 503)
    return status


def live(world: World, name: str) -> httpx2.Client:
    """Sign in as somebody, renew, look, sign in anew, and so on; in the end signed in."""
    browser = world.gateway.browser(Origin=world.gateway.url)
    for _ in range(OFTEN):
        assert world.sign_in(browser, name).status_code == 303
        assert browser.post("/auth/refresh").status_code == 200
        for path in ("/auth/me", "/auth/verify"):  # 503 where the list of ended sessions has not been read for long
            wait_until(lambda path=path: answered(browser, path) == 200)
        assert browser.post("/auth/logout").status_code == 303
    assert world.sign_in(browser, name).status_code == 303
    return browser


def test_two_people_sign_in_renew_and_sign_out_at_once(world: World) -> None:
    with ThreadPoolExecutor(2) as pool:
        browsers = list(pool.map(lambda name: live(world, name), ["google", "microsoft"]))
    ids = [browser.get("/auth/me").json()["id"] for browser in browsers]
    assert len(set(ids)) == 2


def test_an_end_elsewhere_is_known(world: World) -> None:
    browser = live(world, "google")
    session_id = browser.get("/auth/me").json()["session"]["id"]
    world.execute(f"UPDATE sessions SET ended_at = created_at, end_reason = 'elsewhere' WHERE id = '{session_id}'")  # noqa: S608
    wait_until(lambda: browser.get("/auth/verify").status_code == 401)


def test_nothing_is_left_at_the_servers_connections(world: World) -> None:
    assert world.sign_in(world.gateway.browser(), "google").status_code == 303
    wait_until(world.gateway.app.parts.ended.trustworthy)  # it has read, and reads on
    for question, answer in AS_NEW.items():
        assert {world.all(question)[0][0] for _ in range(4)} == {answer}, question


async def test_the_schema_is_brought_up_to_date_by_two_at_once(postgres_url: str) -> None:
    with pooled(postgres_url, 2) as url:
        await migrate.move(url, "base")
        await asyncio.gather(migrate.upgrade(url), migrate.upgrade(url))
        assert await migrate.schema_state(url) == "current"
        engine = create_engine(url, connect_args={"prepare_threshold": None})
        with engine.begin() as connection:
            assert connection.execute(text("SELECT count(*) FROM accounts")).scalar_one() == 0
        engine.dispose()
