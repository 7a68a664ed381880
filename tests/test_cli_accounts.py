"""What an operator may do to accounts at the command line, and what running servers make of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from gateway import accounts, sessions
from gateway.accounts import Policy
from gateway.cli import gateway
from gateway.db import Database
from gateway.events import Origin
from gateway.flows import operate
from gateway.flows.admit import Desk as Admissions
from gateway.flows.admit import Newcomer, Terms
from gateway.identity import Identity
from gateway.sealing import Sealer
from gateway.sessions.ended import EndedSessions

from harness import SECRET, World

T = TypeVar("T")

NOW = int(time.time())
LIFE = 86_400
ISSUER = "https://accounts.google.com"
ORIGIN = Origin("198.51.100.7", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", "r-1")


class Desk:
    """An operator's desk: a configuration, its database, and the command."""

    def __init__(self, database_url: str, folder: Path) -> None:
        self.url = database_url
        self.config = folder / "desk.toml"
        self.config.write_text(f'[gateway]\ndatabase_url = "{database_url}"\nsecret_keys = ["{SECRET}"]\n')

    def run(self, *arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(gateway, ["accounts", *arguments, "--config", str(self.config)], input=typed)

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def signed_in(
        self, subject: str, email: str | None = None, name: str | None = None, *, at: int = NOW, life: int = LIFE
    ) -> str:
        """Somebody signs in, for the first time or again; the id of the account."""
        identity = Identity("google", ISSUER, subject, email, bool(email), name=name)

        async def work(database: Database) -> str:
            admissions = Admissions(database, Sealer((SECRET.encode(),)), Terms(Policy(linking="never"), life))
            admission = await admissions.admit(Newcomer(identity), ORIGIN, at)
            assert admission.session
            return str(admission.session.account_id)

        return self.with_database(work)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        async def work(database: Database) -> list[tuple[Any, ...]]:
            async with database.read() as connection:
                return [tuple(row) for row in await connection.execute(text(query))]

        return self.with_database(work)

    def with_database(self, work: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
        async def run() -> T:
            database = Database(self.url)
            try:
                return await work(database)
            finally:
                await database.close()

        return asyncio.run(run())


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Desk:
    return Desk(database_url, tmp_path)


@pytest.fixture
def lite(sqlite_url: str, tmp_path: Path) -> Desk:
    return Desk(sqlite_url, tmp_path)


def test_list_shows_accounts_oldest_first(desk: Desk) -> None:
    ids = [desk.signed_in(str(n), f"p{n}@example.com", at=NOW + offset) for n, offset in ((1, 5), (2, 0), (3, 9))]
    assert [each["id"] for each in desk.json("list")] == [ids[1], ids[0], ids[2]]


def test_a_listed_account_has_these_members(lite: Desk) -> None:
    lite.signed_in("1", "ada@example.com", "Ada")
    (account,) = lite.json("list")
    assert (account["email"], account["email_verified"], account["name"]) == ("ada@example.com", True, "Ada")
    assert (account["created_at"], account["disabled_at"]) == (NOW, None)
    assert account["identities"][0].keys() == {
        *("id", "provider", "issuer", "subject", "email", "email_verified", "linked_at", "last_used_at")
    }


def test_paging_meets_every_account_once(desk: Desk) -> None:
    ids = {desk.signed_in(str(n), at=NOW + n // 3) for n in range(7)}
    seen: list[str] = []
    while page := desk.json("list", "--limit", "2", *(["--after", seen[-1]] if seen else [])):
        seen += [each["id"] for each in page]
    assert len(seen) == 7
    assert set(seen) == ids


def test_there_being_more_is_said_beside_the_list(lite: Desk) -> None:
    first, _ = lite.signed_in("1", at=NOW), lite.signed_in("2", at=NOW + 1)
    done = lite.run("list", "--limit", "1")
    assert f"--after {first}" in done.stderr
    assert first in done.stdout


@pytest.mark.parametrize("search", ["LOVELACE", "ada@", "subject-1", "Example.com"])
def test_search_finds_names_addresses_and_subjects(desk: Desk, search: str) -> None:
    ada = desk.signed_in("subject-1", "ada@example.com", "Ada Lovelace")
    desk.signed_in("subject-2", "grace@example.org", "Grace Hopper")
    assert [each["id"] for each in desk.json("list", "--search", search)] == [ada]


@pytest.mark.parametrize("search", ["%", "a_a", "\\"])
def test_search_takes_wildcards_literally(desk: Desk, search: str) -> None:
    desk.signed_in("1", "ada@example.com", "Ada")
    assert desk.json("list", "--search", search) == []


def test_list_says_when_there_is_nobody(lite: Desk) -> None:
    done = lite.run("list")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "No accounts.\n")


def test_show_finds_by_id_and_by_address_alike(desk: Desk) -> None:
    ada = desk.signed_in("1", "Ada@Example.com")
    desk.signed_in("2", "grace@example.com")
    assert desk.json("show", ada) == desk.json("show", "ada@example.com")


def test_show_lists_living_sessions_only(lite: Desk) -> None:
    ada = lite.signed_in("1", "ada@example.com")
    lite.signed_in("1", "ada@example.com", at=NOW - 2 * LIFE)
    (session,) = lite.json("show", ada)["sessions"]
    assert (session["ip"], session["user_agent"], session["expires_at"]) == (ORIGIN.ip, ORIGIN.user_agent, NOW + LIFE)


def test_show_names_all_accounts_of_an_ambiguous_address(lite: Desk) -> None:
    ids = [lite.signed_in(subject, "ada@example.com") for subject in "12"]
    done = lite.run("show", "ada@example.com")
    assert done.exit_code == 1
    assert all(each in done.stderr for each in ids)


def test_nothing_a_name_holds_reaches_the_terminal(lite: Desk) -> None:
    ada = lite.signed_in("1", "ada@example.com", "Ada\x1b[2J\u202eevil")
    assert not {"\x1b", "\u202e"} & set(lite.run("list").stdout + lite.run("show", ada).stdout)


@pytest.mark.parametrize("command", ["show", "disable", "enable", "sign-out"])
def test_an_account_that_is_not_there_is_a_fault(lite: Desk, command: str) -> None:
    done = lite.run(command, str(uuid.uuid4()))
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "Error: No such account.\n")


@pytest.mark.parametrize(
    "arguments", [("show", "ada"), ("disable", "ada@example.com"), ("list", "--limit", "0"), ("list", "--after", "x")]
)
def test_what_is_no_id_is_wrong_usage(lite: Desk, arguments: tuple[str, ...]) -> None:
    assert lite.run(*arguments).exit_code == 2


def test_a_faulty_configuration_is_named_without_a_stack(tmp_path: Path) -> None:
    config = tmp_path / "faulty.toml"
    config.write_text('[gateway]\npublic_url = "ftp://x"\n')
    command = [sys.executable, "-m", "gateway", "accounts", "list", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "public_url" in done.stderr
    assert "Traceback" not in done.stderr


def test_disable_ends_the_sessions_and_is_recorded(desk: Desk) -> None:
    ada = desk.signed_in("1")
    done = desk.run("disable", ada)
    assert done.stdout == f"{ada} is disabled; 1 session ended.\n"
    assert desk.rows("SELECT end_reason FROM sessions WHERE ended_at IS NOT NULL") == [("account_disabled",)]
    assert desk.rows("SELECT count(*) FROM events WHERE name = 'account_disabled'") == [(1,)]


def test_disabling_twice_keeps_the_first_time(lite: Desk) -> None:
    ada = lite.signed_in("1")
    lite.run("disable", ada)
    first = lite.json("show", ada)["disabled_at"]
    assert "was disabled already" in lite.run("disable", ada).stdout
    assert lite.json("show", ada)["disabled_at"] == first
    assert lite.rows("SELECT count(*) FROM events WHERE name = 'account_disabled'") == [(1,)]


def test_enable_takes_disabling_back(lite: Desk) -> None:
    ada = lite.signed_in("1")
    lite.run("disable", ada)
    assert lite.run("enable", ada).stdout == f"{ada} is enabled.\n"
    assert lite.json("show", ada)["disabled_at"] is None
    assert lite.rows("SELECT count(*) FROM events WHERE name = 'account_enabled'") == [(1,)]


def test_sign_out_ends_all_sessions_of_this_account_alone(desk: Desk) -> None:
    ada, grace = desk.signed_in("1"), desk.signed_in("2")
    desk.signed_in("1")
    assert desk.run("sign-out", ada).stdout == f"{ada}: 2 sessions ended.\n"
    assert desk.json("show", ada)["sessions"] == []
    assert len(desk.json("show", grace)["sessions"]) == 1


def test_delete_asks_and_takes_no_for_an_answer(lite: Desk) -> None:
    ada = lite.signed_in("1", "ada@example.com")
    done = lite.run("delete", ada, typed="n\n")
    assert done.exit_code == 1
    assert "ada@example.com" in done.stderr
    assert lite.json("show", ada)["sessions"]


def test_delete_does_not_go_on_without_an_answer(lite: Desk) -> None:
    ada = lite.signed_in("1")
    assert lite.run("delete", ada).exit_code == 1
    assert lite.json("show", ada)


def test_delete_leaves_nothing_of_the_person(desk: Desk) -> None:
    ada = desk.signed_in("1", "ada@example.com", "Ada")
    assert desk.run("delete", ada, "--yes").stdout == f"{ada} is deleted; 1 session ended.\n"
    assert desk.rows("SELECT count(*) FROM accounts") == desk.rows("SELECT count(*) FROM identities") == [(0,)]
    ((account, identity, ip, agent, facts),) = desk.rows(
        "SELECT account_id, identity_id, ip, user_agent, CAST(facts AS TEXT) FROM sessions WHERE ended_at IS NOT NULL"
    )
    assert (account, identity, ip, agent, facts) == (None, None, "", "", "{}")
    assert desk.rows("SELECT count(*) FROM events WHERE name = 'account_deleted'") == [(1,)]


def test_delete_copes_with_sessions_that_ended_or_expired_before(desk: Desk) -> None:
    ada = desk.signed_in("1", at=NOW - 2 * LIFE)
    desk.run("sign-out", ada)
    assert desk.run("delete", ada, "--yes").exit_code == 0
    assert desk.rows("SELECT ended_at FROM sessions") == [(NOW - LIFE,)]


async def test_an_account_with_a_living_session_cannot_just_be_removed(database_url: str) -> None:
    database = Database(database_url)
    who = Newcomer(Identity("google", ISSUER, "1"))
    admissions = Admissions(database, Sealer((SECRET.encode(),)), Terms(Policy(linking="never"), LIFE))
    admission = await admissions.admit(who, ORIGIN, NOW)
    assert admission.session
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await accounts.remove(connection, admission.session.account_id)
    async with database.read() as connection:
        assert await sessions.get(connection, admission.session.id, NOW)
    await database.close()


def eventually(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("command", [("disable",), ("sign-out",), ("delete", "--yes")], ids=lambda it: it[0])
def test_a_running_server_learns_of_it(
    world: World, database_url: str, tmp_path: Path, command: tuple[str, ...]
) -> None:
    desk = Desk(database_url, tmp_path)
    with world.gateway.browser() as browser:
        world.sign_in(browser, "google")
        me = browser.get("/auth/me", headers={"Accept": "application/json"})
        assert desk.run(*command, me.json()["id"]).exit_code == 0
        assert eventually(lambda: browser.get("/auth/verify").status_code == 401)
        assert browser.get("/auth/me", headers={"Accept": "application/json"}).status_code == 401
        assert browser.post("/auth/refresh", headers={"Origin": world.gateway.url}).status_code == 401


async def test_a_process_that_starts_after_the_deletion_knows_the_sessions(database_url: str) -> None:
    database = Database(database_url)
    who = Newcomer(Identity("google", ISSUER, "1"))
    admissions = Admissions(database, Sealer((SECRET.encode(),)), Terms(Policy(linking="never"), LIFE))
    admission = await admissions.admit(who, ORIGIN, NOW)
    assert admission.session
    await operate.delete(database, admission.session.account_id, NOW)
    ended = EndedSessions(database)
    await ended.start()
    await ended.stop()
    await database.close()
    assert ended.has(admission.session.id)


def test_a_disabled_account_cannot_be_signed_in_to(world: World, database_url: str, tmp_path: Path) -> None:
    desk = Desk(database_url, tmp_path)
    with world.gateway.browser() as browser:
        world.sign_in(browser, "google")
        account = browser.get("/auth/me", headers={"Accept": "application/json"}).json()["id"]
        desk.run("disable", account)
        refused = world.sign_in(browser, "google")
    assert refused.status_code == 403
    assert 'data-error="account_disabled"' in refused.text
