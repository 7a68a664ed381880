"""What a session's tokens say of a person, and that they fit the cookies that carry them."""

from __future__ import annotations

import asyncio
import logging
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.db import Database
from gateway.flows.renew import LONGEST_TOKEN, Issuer, Pair
from gateway.sealing import Sealer
from gateway.settings import RoleRule
from gateway.tokens.access import AccessClaims, AccessTokens
from gateway.tokens.keys import Keyring
from gateway.tokens.refresh import RefreshTokens
from gateway.web.cookies import Cookies

NOW = 1_800_000_000
URL = "https://login.example.com"
COOKIE = 4096  # bytes of name and value that browsers keep
SCOPE = "openid profile email groups"
SEALER = Sealer([b"1" * 32])

characters = st.characters(exclude_categories=["Cs"])
texts = st.builds(lambda text, times: text * times, st.text(characters, max_size=8), st.integers(1, 400))
many = st.builds(lambda text, count: [f"{text}{n}" for n in range(count)], texts, st.integers(0, 300))


@pytest.fixture(scope="module")
def access(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> AccessTokens:
    """With the algorithm that has the longest signatures."""
    path = tmp_path_factory.mktemp("keys") / "gateway.db"
    shutil.copy(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    keyring = Keyring(database, SEALER, lambda: NOW, "RS256", token_life=300)

    async def ensure() -> None:
        await keyring.ensure()
        await database.close()

    asyncio.run(ensure())
    return AccessTokens(URL, URL, 300, keyring, lambda: NOW)


def issue(access: AccessTokens, roles: Sequence[str] = (), **facts: Any) -> Pair:
    known: dict[str, Any] = {"email": None, "email_verified": True, "name": None}
    known |= {"verified": [], "groups": [], "provider_roles": []}
    session = SimpleNamespace(
        id=uuid.uuid4(),
        account_id=uuid.uuid4(),
        client_id="gateway",
        provider="google",
        auth_time=NOW,
        expires_at=NOW + 1000,
        scope=SCOPE,
        current=0,
        facts=known | facts,
    )
    rules = [RoleRule(role=role, provider="google") for role in roles]
    return Issuer(access, RefreshTokens(SEALER), rules, 1000).issue(session, NOW)


def said(access: AccessTokens, roles: Sequence[str] = (), **facts: Any) -> AccessClaims:
    return access.verify(issue(access, roles, **facts).access_token)


@given(email=texts, name=texts, groups=many, roles=many)
def test_whoever_signs_in_the_cookies_are_kept(
    access: AccessTokens, email: str, name: str, groups: list[str], roles: list[str]
) -> None:
    pair = issue(access, roles, email=email, name=name, groups=groups)
    cookies = Cookies.of(URL, "", "example.com")
    written = cookies.set_session(pair.access_token, 300, pair.refresh_token, 1000, "0" * 32)
    assert all(len(cookie.partition(";")[0].encode()) <= COOKIE for cookie in written)


def test_what_fits_is_said(access: AccessTokens) -> None:
    claims = said(access, ["staff"], email="ada@example.com", name="Ada", groups=["größe"])
    assert (claims.email, claims.name) == ("ada@example.com", "Ada")
    assert (claims.groups, claims.roles) == (("größe",), ("staff",))


@pytest.mark.parametrize(
    ("long", "left"),
    [
        ({"groups": ["語" * 400]}, ("ada@example.com", "Ada", None, ("staff",))),
        ({"groups": ["a" * 1000], "name": "é" * 100}, ("ada@example.com", "é" * 100, None, ("staff",))),
        ({"email": "é" * 150, "name": "é" * 100}, ("é" * 150, None, None, ("staff",))),
        ({"email": "é" * 320}, (None, None, None, ("staff",))),
    ],
)
def test_groups_go_first_then_the_name_then_the_address(
    access: AccessTokens, long: dict[str, Any], left: tuple[Any, ...]
) -> None:
    claims = said(access, ["staff"], **{"email": "ada@example.com", "name": "Ada", "groups": []} | long)
    assert (claims.email, claims.name, claims.groups, claims.roles) == left


def test_of_too_many_roles_none_is_said_and_the_log_tells(
    access: AccessTokens, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "gateway.flows.renew"):
        claims = said(access, [f"role-number-{n}" for n in range(500)])
    assert claims.roles == ()
    assert [record.message for record in caplog.records] == ["roles_left_out"]


def test_a_token_is_short_enough_for_many_readers(access: AccessTokens) -> None:
    pair = issue(access, ["staff"], groups=[f"group-{n}" for n in range(1000)])
    assert len(pair.access_token) <= LONGEST_TOKEN
