"""accounts invite, grant, withdraw, unmerge and the rest as JSON: stable members for programs."""

from __future__ import annotations

from typing import Any

import pytest
from test_cli_accounts import Desk, lite

__all__ = ["lite"]


def test_an_invitation_as_json(lite: Desk) -> None:
    said = lite.json("invite", "--email", "grace@example.net", "--role", "editor")
    assert (said["email"], said["role"]) == ("grace@example.net", "editor")
    assert said["link"].startswith("http://localhost:8000/auth/login?invitation=")


def test_granting_and_withdrawing_as_json(lite: Desk) -> None:
    ada = lite.signed_in("subject-1")
    did = [lite.json(what, ada, "admin") for what in ("grant", "grant", "withdraw", "withdraw")]
    assert [each["changed"] for each in did] == [True, False, True, False]
    assert all((each["id"], each["role"]) == (ada, "admin") for each in did)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("disable",), {"changed": True, "sessions_ended": 1}),
        (("enable",), {"changed": False, "sessions_ended": 0}),
        (("sign-out",), {"changed": True, "sessions_ended": 1}),
        (("delete", "--yes"), {"changed": True, "sessions_ended": 1}),
    ],
    ids=["disable", "enable", "sign-out", "delete"],
)
def test_what_was_done_as_json(lite: Desk, command: tuple[str, ...], expected: dict[str, Any]) -> None:
    ada = lite.signed_in("subject-1")
    assert lite.json(command[0], ada, *command[1:]) == {"id": ada, **expected}
