"""The commands: what they print and where, and their exit status: 0 done, 1 a fault that was named, 2 wrong usage."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway import __version__
from gateway.cli import main
from gateway.tokens.keys import PUBLISH_LEAD

from harness import SECRET
from processes import run, write_config


@dataclass(frozen=True, slots=True)
class Done:
    status: int
    out: str
    err: str


Gateway = Callable[..., Done]

COMMANDS = ["accounts", "apps", "check", "demo", "events", "keys", "migrate", "proxy-config", "prune", "serve"]
WITH_DATABASE = [
    ["migrate"],
    ["keys", "list"],
    ["keys", "rotate"],
    ["keys", "retire", "x"],
    ["prune"],
    ["accounts", "list"],
]
WITH_CONFIG = [*WITH_DATABASE, ["check", "--offline"], ["apps", "list"]]


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Gateway:
    """`gateway …` in an empty folder, without starting a process."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["gateway", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, *capsys.readouterr())

    return command


@pytest.fixture
def configured(gateway: Gateway, tmp_path: Path) -> Gateway:
    """The same beside a providers.toml that names an empty SQLite file."""
    configure(tmp_path)
    return gateway


def configure(folder: Path, **general: Any) -> Path:
    tables = {"gateway": {"database_url": "sqlite:///gateway.db", "secret_keys": [SECRET]} | general}
    return write_config(folder, tables)


def label(arguments: list[str]) -> str:
    return " ".join(arguments)


# Usage


def test_version(gateway: Gateway) -> None:
    assert gateway("--version") == Done(0, f"gateway, version {__version__}\n", "")


@pytest.mark.parametrize("asked", ["--help", "-h"])
def test_help_names_every_command(gateway: Gateway, asked: str) -> None:
    done = gateway(asked)
    assert (done.status, done.err) == (0, "")
    listed = done.out.partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines()] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(gateway: Gateway, command: str) -> None:
    done = gateway(command, "-h")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"Usage: gateway {command}")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["--nonsense"],
        ["serve", "--port", "0"],
        ["serve", "--port", "65536"],
        ["serve", "--port", "http"],
        ["serve", "--workers", "0"],
        ["serve", "surplus"],
        ["demo", "--port", "-1"],
        ["check", "--online"],
        ["keys"],
        ["keys", "nonsense"],
        ["keys", "retire"],
        ["keys", "rotate", "--forcefully"],
        ["accounts", "show"],
        ["accounts", "disable", "not-an-id"],
    ],
    ids=label,
)
def test_wrong_usage_is_2_and_says_how_it_goes(configured: Gateway, arguments: list[str]) -> None:
    done = configured(*arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("Usage: gateway")


# Faults


@pytest.mark.parametrize("arguments", WITH_CONFIG, ids=label)
def test_a_missing_file_is_named(gateway: Gateway, arguments: list[str]) -> None:
    done = gateway(*arguments, "--config", "nowhere.toml")
    assert done.status == 1
    assert "nowhere.toml: no such file or directory" in done.err + done.out
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", WITH_CONFIG, ids=label)
def test_every_fault_of_the_file_is_named_at_once(gateway: Gateway, tmp_path: Path, arguments: list[str]) -> None:
    configure(tmp_path, public_url="http://login.example.com", nonsense=1, signup="sometimes")
    done = gateway(*arguments)
    assert done.status == 1
    told = done.err if arguments[0] != "check" else done.out
    assert all(name in told for name in ("public_url", "nonsense", "signup"))
    assert SECRET not in done.err + done.out


def test_a_fault_says_where_what_and_what_mends_it(gateway: Gateway, tmp_path: Path) -> None:
    configure(tmp_path, signup="sometimes")
    first, second = gateway("migrate").err.splitlines()
    assert first == 'providers.toml [gateway] signup: "sometimes"'
    assert second.startswith("    ")


def test_a_variable_outweighs_the_file_and_is_named(configured: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_SIGNUP", "sometimes")
    done = configured("migrate")
    assert done.status == 1
    assert "GATEWAY_SIGNUP" in done.err


@pytest.mark.parametrize("arguments", WITH_DATABASE, ids=label)
@pytest.mark.parametrize(
    "url", ["postgresql://gateway:pass-w0rd@127.0.0.1:1/gateway", "sqlite:///nowhere/gateway.db", "sqlite:///broken.db"]
)
def test_a_database_that_cannot_be_opened_is_a_sentence(
    gateway: Gateway, tmp_path: Path, arguments: list[str], url: str
) -> None:
    (tmp_path / "broken.db").write_text("this is no database, whatever its name says" * 50)
    configure(tmp_path, database_url=url)
    done = gateway(*arguments)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("The ")
    assert len(done.err.splitlines()) == 2
    assert "pass-w0rd" not in done.err


@pytest.mark.parametrize("arguments", WITH_DATABASE, ids=label)
def test_a_newer_schema_is_a_sentence(configured: Gateway, tmp_path: Path, arguments: list[str]) -> None:
    assert configured("migrate").status == 0
    execute(tmp_path, "UPDATE alembic_version SET version_num = 'from-tomorrow'")
    done = configured(*arguments)
    assert done.status == 1
    assert done.err.startswith("The database schema is newer than this version of the gateway.")


def test_a_missing_driver_is_a_sentence(gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    configure(tmp_path, database_url="postgresql://127.0.0.1:1/gateway")
    done = gateway("migrate")
    assert done.status == 1
    assert "login-gateway[postgres]" in done.err


def execute(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "gateway.db") as connection:
        connection.execute(statement)
    connection.close()


# Work


def test_migrate_makes_the_schema_and_does_nothing_the_second_time(configured: Gateway) -> None:
    assert configured("migrate") == Done(0, "The schema is up to date.\n", "")
    assert configured("migrate") == Done(0, "The schema is up to date.\n", "")


def test_the_file_may_be_named_by_a_variable(gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(tmp_path).rename(tmp_path / "other.toml")
    monkeypatch.setenv("GATEWAY_CONFIG", "other.toml")
    assert gateway("migrate").status == 0


PRUNED = """sessions: 0 deleted
spent: 2 deleted
pending: 0 deleted
logouts: 0 deleted
invitations: 0 deleted
events: 0 deleted
accounts: 0 deleted
"""


def test_prune_tells_what_it_deleted(configured: Gateway, tmp_path: Path) -> None:
    configured("migrate")
    execute(tmp_path, "INSERT INTO spent (digest, expires_at) VALUES (x'00', 1), (x'01', 2), (x'02', 9999999999)")
    assert configured("prune") == Done(0, PRUNED, "")


def test_check_is_0_when_all_is_well(configured: Gateway) -> None:
    assert configured("check", "--offline").status == 0


# Keys


@pytest.fixture
def keyed(configured: Gateway, tmp_path: Path) -> Gateway:
    """With keys, as a server that has started leaves them."""
    from asyncio import run as run_now

    from gateway.app import create_app
    from gateway.settings import load

    async def start() -> None:
        app = create_app(load(tmp_path / "providers.toml", {}))
        await app.start()
        await app.stop()

    run_now(start())
    return configured


def listed(gateway: Gateway) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(gateway("keys", "list", "--json").out)
    return found


def states(gateway: Gateway) -> dict[str, str]:
    return {key["state"]: key["kid"] for key in listed(gateway)}


def test_without_keys_the_list_says_so(configured: Gateway) -> None:
    done = configured("keys", "list")
    assert (done.status, done.out) == (0, "")
    assert "No keys yet" in done.err


def test_keys_are_listed_without_their_secret_part(keyed: Gateway) -> None:
    lines = keyed("keys", "list").out.splitlines()
    assert sorted(line.split()[:2] for line in lines) == [["current", "ES256"], ["next", "ES256"]]
    assert {*listed(keyed)[0]} == {"kid", "alg", "state", "created_at", "activated_at", "retire_at"}


def test_a_key_that_was_hardly_published_does_not_sign_yet(keyed: Gateway) -> None:
    before = listed(keyed)
    done = keyed("keys", "rotate")
    assert (done.status, done.out) == (1, "")
    assert "published long enough" in done.err
    assert listed(keyed) == before


def test_rotating_lets_the_next_key_sign(keyed: Gateway, tmp_path: Path) -> None:
    before = states(keyed)
    execute(tmp_path, f"UPDATE signing_keys SET created_at = created_at - {PUBLISH_LEAD + 1}")  # noqa: S608  a number
    done = keyed("keys", "rotate")
    assert done == Done(0, f"Signing with {before['next']}.\n", "")
    after = states(keyed)
    assert (after["previous"], after["current"]) == (before["current"], before["next"])
    assert after["next"] not in before.values()


def test_force_rotates_at_once(keyed: Gateway) -> None:
    assert keyed("keys", "rotate", "--force").status == 0
    assert len(listed(keyed)) == 3


def test_retiring_withdraws_a_key(keyed: Gateway) -> None:
    keyed("keys", "rotate", "--force")
    previous = states(keyed)["previous"]
    assert keyed("keys", "retire", previous) == Done(0, f"{previous} is retired.\n", "")
    assert "previous" not in states(keyed)


def test_the_key_that_signs_is_not_retired(keyed: Gateway) -> None:
    done = keyed("keys", "retire", states(keyed)["current"])
    assert done.status == 1
    assert "rotate first" in done.err
    assert len(listed(keyed)) == 2


def test_an_unknown_key_is_named_as_such(keyed: Gateway) -> None:
    assert keyed("keys", "retire", "nonsense") == Done(1, "", "Error: There is no such key.\n")


# The program itself


def test_python_m_gateway_is_the_same_program(tmp_path: Path) -> None:
    done = run("--version", folder=tmp_path)
    assert (done.process.returncode, done.out, done.err) == (0, f"gateway, version {__version__}\n", "")


def test_a_fault_of_the_program_itself_has_no_stack(tmp_path: Path) -> None:
    done = run("migrate", folder=tmp_path)
    assert (done.process.returncode, done.out) == (1, "")
    assert done.err == "providers.toml: no such file or directory\n    Name the file with --config.\n"
