"""What an operator does to the signing keys at the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from gateway.cli import gateway
from gateway.db import Database

from harness import SECRET, free_port, running, settings_for

Keys = Callable[..., Result]


@pytest.fixture
def keys(database_url: str, tmp_path: Path) -> Keys:
    """The command, for a gateway that has run once and so has keys."""
    config = tmp_path / "keys.toml"
    config.write_text(f'[gateway]\ndatabase_url = "{database_url}"\nsecret_keys = ["{SECRET}"]\n')
    with running(settings_for(database_url, port=free_port())):
        pass
    return lambda *arguments: CliRunner().invoke(gateway, ["keys", *arguments, "--config", str(config)])


def listed(keys: Keys) -> dict[str, str]:
    """The id of the key in each state."""
    return {key["state"]: key["kid"] for key in json.loads(keys("list", "--json").stdout)}


def recorded(database_url: str) -> list[tuple[str, Any]]:
    async def read() -> list[tuple[str, Any]]:
        database = Database(database_url)
        async with database.read() as connection:
            rows = await connection.execute(text("SELECT name, CAST(detail AS TEXT) FROM events"))
            found = [(row.name, json.loads(row[1])) for row in rows]
        await database.close()
        return found

    return asyncio.run(read())


def test_list_shows_the_current_and_the_next_key(keys: Keys) -> None:
    assert listed(keys).keys() == {"current", "next"}
    assert all(kid in keys("list").stdout for kid in listed(keys).values())


def test_a_key_that_was_hardly_published_does_not_sign_yet(keys: Keys) -> None:
    done = keys("rotate")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: The next key has not been published long enough")


def test_rotating_by_force_moves_the_keys_on_and_is_recorded(keys: Keys, database_url: str) -> None:
    before = listed(keys)
    assert keys("rotate", "--force").stdout == f"Signing with {before['next']}.\n"
    after = listed(keys)
    assert (after["previous"], after["current"]) == (before["current"], before["next"])
    assert recorded(database_url) == [("key_rotated", {"by": "operator", "kid": before["next"]})]


def test_retiring_a_previous_key_is_recorded(keys: Keys, database_url: str) -> None:
    kid = listed(keys)["current"]
    keys("rotate", "--force")
    assert keys("retire", kid).stdout == f"{kid} is retired.\n"
    assert "previous" not in listed(keys)
    assert recorded(database_url)[-1] == ("key_retired", {"by": "operator", "kid": kid})


@pytest.mark.parametrize(("kid", "fault"), [("current", "This key signs; rotate first"), ("?", "There is no such key")])
def test_what_cannot_be_retired_is_named(keys: Keys, kid: str, fault: str) -> None:
    done = keys("retire", listed(keys).get(kid, kid))
    assert (done.exit_code, done.stderr) == (1, f"Error: {fault}.\n")
