"""Services: tokens for themselves, which count for nobody where a person is needed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from gateway import schema

from calling import Calling, assertion, basic, calling, claims_of


@pytest.fixture
async def called(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Calling]:
    apps = {"cron": {"type": "service", "client_secret": "not a real secret " + "x" * 20, "scopes": ["openly"]}}
    async with calling(sqlite_url, tmp_path, apps) as made:
        yield made


CRON = basic("cron", "not a real secret " + "x" * 20)


async def asking(called: Calling, headers: dict[str, str] | None = None, **form: str) -> Any:
    return await called.token(headers, grant_type="client_credentials", **form)


async def test_a_services_token(called: Calling) -> None:  # TOK-1, BCP-9
    answer = await asking(called, basic("robot"))
    body = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 300, "reports:read reports:write")
    claims = claims_of(body["access_token"])
    assert (claims["sub"], claims["client_id"], claims["roles"]) == ("app:robot", "robot", [])
    assert claims["aud"] == "https://api.example.com"
    assert claims.keys() == {"iss", "sub", "aud", "client_id", "iat", "exp", "jti", "scope", "roles"}


async def test_a_service_that_signs(called: Calling) -> None:  # BCP-5
    answer = await asking(called, **assertion("signer", called.clock.now))
    assert claims_of(answer.json()["access_token"])["sub"] == "app:signer"


async def test_nothing_is_kept_of_it(called: Calling) -> None:
    await asking(called, basic("robot"))
    async with called.gateway.parts.database.read() as connection:
        for table in (schema.sessions, schema.accounts, schema.spent):
            assert await connection.scalar(select(func.count()).select_from(table)) == 0


@pytest.mark.parametrize(
    ("scope", "answered"),
    [
        ("reports:read", "reports:read"),
        ("reports:write reports:read", "reports:write reports:read"),
        ("", "reports:read reports:write"),
        ("reports:delete", "invalid_scope"),
        ("reports:read openid", "invalid_scope"),
        ("reports:read  reports:write", "invalid_scope"),
    ],
)
async def test_scope_is_what_it_may_ask_for(called: Calling, scope: str, answered: str) -> None:  # AV-10.4.11
    body = (await asking(called, basic("robot"), scope=scope)).json()
    assert body.get("scope", body.get("error")) == answered


@pytest.mark.parametrize(
    ("headers", "form", "expected"),
    [
        ({}, {}, (401, "invalid_client")),
        ({}, {"client_id": "robot"}, (401, "invalid_client")),
        (basic("robot", "wrong"), {}, (401, "invalid_client")),
        (basic("web"), {}, (400, "unauthorized_client")),
        ({}, {"client_id": "spa"}, (400, "unauthorized_client")),
    ],
)
async def test_who_has_none(
    called: Calling, headers: dict[str, str], form: dict[str, str], expected: tuple[int, str]
) -> None:  # AV-10.4.10
    answer = await asking(called, headers, **form)
    assert (answer.status_code, answer.json()["error"]) == expected


PERSONAL = [
    ("GET", "/auth/me"),
    ("PATCH", "/auth/me"),
    ("DELETE", "/auth/me"),
    ("GET", "/auth/me/export"),
    ("GET", "/auth/identities"),
    ("GET", "/auth/sessions"),
    ("DELETE", "/auth/sessions"),
    ("GET", "/auth/verify"),
    ("GET", "/auth/merge"),
    ("POST", "/auth/logout"),
    ("GET", "/auth/account"),
    ("POST", "/auth/google/link"),
]


@pytest.mark.parametrize(("method", "path"), PERSONAL)
async def test_a_service_is_nobody(called: Calling, method: str, path: str) -> None:  # BCP-9
    token = (await asking(called, CRON)).json()["access_token"]
    assert claims_of(token)["aud"] == called.gateway.parts.settings.audience
    answer = await called.client.request(method, path, headers={"Authorization": f"Bearer {token}"})
    expected = (404, "unknown_provider") if path == "/auth/google/link" else (403, "insufficient_scope")
    assert (answer.status_code, answer.json()["error"]) == expected


@pytest.mark.parametrize(
    ("method", "path"), [call for call in PERSONAL if call[1] not in ("/auth/verify", "/auth/google/link")]
)
async def test_an_apps_token_does_not_speak_for_its_person(called: Calling, method: str, path: str) -> None:
    _, token = await called.grant("web")
    form = {"grant_type": "refresh_token", "refresh_token": token}
    access_token = (await called.token(basic("web"), **form)).json()["access_token"]
    answer = await called.client.request(method, path, headers={"Authorization": f"Bearer {access_token}"})
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope")


async def test_an_apps_token_reads_what_its_scopes_tell(called: Calling) -> None:
    _, token = await called.grant("web", scope="openid profile email offline_access")
    form = {"grant_type": "refresh_token", "refresh_token": token}
    access_token = (await called.token(basic("web"), **form)).json()["access_token"]
    bearer = {"Authorization": f"Bearer {access_token}"}
    assert (await called.client.get("/auth/me", headers=bearer)).status_code == 200
    assert (await called.client.get("/auth/verify", headers=bearer)).status_code == 200
