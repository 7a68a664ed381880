"""The token endpoint: its dispatch, its answers, and refresh tokens of applications."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from signed_in import NOW, row_of
from sqlalchemy import select

from gateway import schema

from calling import URL, Calling, basic, calling, claims_of


@pytest.fixture
async def called(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Calling]:
    async with calling(sqlite_url, tmp_path) as made:
        yield made


async def events(called: Calling) -> list[tuple[str, Any]]:
    async with called.gateway.parts.database.read() as connection:
        rows = await connection.execute(select(schema.events.c.name, schema.events.c.detail))
        return [tuple(row) for row in rows]


async def renew(called: Calling, token: str, client_id: str = "spa", **more: str) -> Any:
    headers = basic(client_id) if client_id == "web" else {}
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_id} | more
    return await called.token(headers, **form)


async def test_it_takes_posted_forms_alone(called: Calling) -> None:  # TOK-3
    assert (await called.client.get("/auth/token")).status_code == 405
    assert (await called.client.post("/auth/token", json={"grant_type": "refresh_token"})).status_code == 415


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("", "invalid_request"),
        ("grant_type=", "invalid_request"),
        ("grant_type=refresh_token&grant_type=refresh_token", "invalid_request"),
        ("grant_type=refresh_token&client_id=spa", "invalid_request"),
        ("grant_type=refresh_token&refresh_token=x&scope=admin&client_id=spa", "invalid_scope"),
        ("grant_type=refresh_token&refresh_token=x&client_id=spa&x=a&x=b", "invalid_grant"),
        ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
        ("grant_type=implicit", "unsupported_grant_type"),
        ("grant_type=__class__", "unsupported_grant_type"),
    ],
)
async def test_faults_have_registered_codes(called: Calling, body: str, error: str) -> None:  # TOK-2, TOK-3, AV-10.4.4
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await called.client.post("/auth/token", content=body, headers=form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["content-type"] == "application/json"
    assert answer.text.isascii()


@pytest.mark.parametrize("client_id", ["spa", "web"])
async def test_an_app_renews_its_grant(called: Calling, client_id: str) -> None:  # TOK-1
    session_id, token = await called.grant(client_id)
    answer = await renew(called, token, client_id)
    body = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert body.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "scope", "id_token"}
    assert (body["token_type"], body["scope"]) == ("Bearer", "openid email offline_access")
    assert body["refresh_token"] == called.gateway.parts.refresh.encode(session_id, 1, client_id)
    said = claims_of(body["access_token"])
    assert (said["client_id"], said["sid"]) == (client_id, str(session_id))


async def test_an_apps_access_token_is_for_its_audience(called: Calling) -> None:
    _, token = await called.grant("spa")
    access_token = (await renew(called, token)).json()["access_token"]
    assert claims_of(access_token)["aud"] == "https://api.example.com"
    own = await called.client.get("/auth/me", headers={"Authorization": f"Bearer {access_token}"})
    assert own.status_code == 401


async def test_a_renewed_id_token_tells_of_the_same_sign_in(called: Calling) -> None:  # OIDC-14
    _, token = await called.grant("spa")
    said = []
    for _ in range(2):
        called.clock.now += 100
        body = (await renew(called, token)).json()
        token = body["refresh_token"]
        said.append(claims_of(body["id_token"]))
    assert [one.pop("iat") for one in said] == [NOW + 100, NOW + 200]
    assert [one.pop("exp") for one in said] == [NOW + 400, NOW + 500]
    assert said[0].pop("at_hash") != said[1].pop("at_hash")
    assert said[0] == said[1]
    assert said[0].keys() == {"iss", "sub", "aud", "auth_time", "sid", "email", "email_verified"}  # above all no nonce
    assert (said[0]["iss"], said[0]["aud"], said[0]["auth_time"]) == (URL, "spa", NOW)


async def test_what_is_asked_may_be_less(called: Calling) -> None:  # AV-10.4.11, RT-4, BFF-4
    _, token = await called.grant("spa")
    answer = await renew(called, token, scope="email")
    assert answer.json()["scope"] == claims_of(answer.json()["access_token"])["scope"] == "email"
    assert "id_token" not in answer.json()
    wider = await renew(called, answer.json()["refresh_token"])
    assert wider.json()["scope"] == "openid email offline_access"


async def test_scope_never_grows(called: Calling) -> None:  # AV-10.4.11, RT-4
    _, token = await called.grant("spa")
    answer = await renew(called, token, scope="openid profile")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize(("scopes", "left"), [(["email", "offline_access"], "email offline_access"), (["orders"], "")])
async def test_what_an_app_may_not_ask_for_any_more_is_gone(
    sqlite_url: str, tmp_path: Path, scopes: list[str], left: str
) -> None:
    """RT-4: also where nothing of it is left."""
    apps = {"spa": {"type": "spa", "redirect_uris": ["https://a.example/"], "scopes": scopes}}
    async with calling(sqlite_url, tmp_path, apps) as called:
        _, token = await called.grant("spa")
        body = (await renew(called, token)).json()
        assert body["scope"] == claims_of(body["access_token"])["scope"] == left


async def test_a_spent_token_ends_the_grant(called: Calling) -> None:  # AV-10.4.5
    session_id, token = await called.grant("spa")
    second = (await renew(called, token)).json()["refresh_token"]
    third = (await renew(called, second)).json()["refresh_token"]
    assert (await renew(called, token)).json()["error"] == "invalid_grant"
    assert (await renew(called, third)).json()["error"] == "invalid_grant"
    assert (await row_of(called.gateway.parts.database, session_id)).end_reason == "refresh_reuse"


async def test_a_token_that_is_newer_than_the_database_is_renewed_and_told_of(called: Calling) -> None:
    """As after a database was put back from its backup."""
    session_id, _ = await called.grant("spa")
    ahead = called.gateway.parts.refresh.encode(session_id, 5, "spa")
    answer = await renew(called, ahead)
    assert claims_of(answer.json()["access_token"])["sid"] == str(session_id)
    assert (await row_of(called.gateway.parts.database, session_id)).current == 6
    assert await events(called) == [("refresh_fast_forward", {})]


@pytest.mark.parametrize(("owner", "presenter"), [("web", "spa"), ("spa", "web"), ("spa", "phone"), ("gateway", "spa")])
async def test_another_clients_token_is_worth_nothing(called: Calling, owner: str, presenter: str) -> None:  # RT-5
    session_id, token = await called.grant(owner)
    answer = await renew(called, token, presenter)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert await events(called) == [("refresh_wrong_client", {"client": presenter, "owner": owner})]
    row = await row_of(called.gateway.parts.database, session_id)
    assert (row.current, row.ended_at) == (0, None)


async def test_an_apps_token_without_the_app_is_worth_nothing(called: Calling) -> None:
    _, token = await called.grant("spa")
    answer = await called.token(grant_type="refresh_token", refresh_token=token)
    assert answer.json()["error"] == "invalid_grant"


async def test_a_provider_that_an_app_does_not_take_any_more(sqlite_url: str, tmp_path: Path) -> None:
    provider = {
        "discovery_url": "https://op.example/.well-known/openid-configuration",
        "client_id": "x",
        "client_auth": "none",
    }
    settings = {"providers": {"other": provider}}
    apps = {"spa": {"type": "spa", "redirect_uris": ["https://a.example/"], "providers": ["other"]}}
    async with calling(sqlite_url, tmp_path, apps, tables=settings) as called:
        session_id, token = await called.grant("spa")  # through google
        assert (await renew(called, token)).json()["error"] == "invalid_grant"
        row = await row_of(called.gateway.parts.database, session_id)
        assert row.end_reason == "provider_not_allowed"
        assert called.gateway.parts.ended.has(session_id)
        assert [name for name, _ in await events(called)] == ["session_ended"]
