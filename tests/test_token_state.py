"""Revocation and introspection: an application about its own tokens, and about nobody else's."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from signed_in import DAY, row_of
from sqlalchemy import select

from gateway import schema
from gateway.tokens.access import AccessGrant

from calling import APP_SECRET, URL, Calling, assertion, basic, calling, claims_of

NOT_ACTIVE = b'{"active":false}'
API = {"type": "service", "client_secret": APP_SECRET, "audience": "https://api.example.com"}


@pytest.fixture
async def called(database_url: str, tmp_path: Path) -> AsyncIterator[Calling]:
    async with calling(database_url, tmp_path, {"api": API}) as made:
        yield made


def told(client_id: str) -> tuple[dict[str, str], dict[str, str]]:
    """How this application says who it is: headers, fields."""
    return ({}, {"client_id": client_id}) if client_id in ("spa", "phone") else (basic(client_id), {})


async def revoke(called: Calling, client_id: str, token: str, **more: str) -> Any:
    headers, form = told(client_id)
    return await called.post("/auth/revoke", headers, token=token, **form, **more)


async def introspect(called: Calling, client_id: str, token: str, **more: str) -> Any:
    headers, form = told(client_id)
    return await called.post("/auth/introspect", headers, token=token, **form, **more)


async def pair(called: Calling, client_id: str) -> tuple[uuid.UUID, str, str]:
    """A grant, its newest refresh token and an access token."""
    session_id, token = await called.grant(client_id)
    headers, form = told(client_id)
    answer = await called.token(headers, grant_type="refresh_token", refresh_token=token, **form)
    return session_id, answer.json()["refresh_token"], answer.json()["access_token"]


async def living(called: Calling, session_id: uuid.UUID) -> bool:
    return (await row_of(called.gateway.parts.database, session_id)).ended_at is None


@pytest.mark.parametrize("hint", ["refresh_token", "access_token", "nonsense", ""])
@pytest.mark.parametrize("kind", ["refresh", "access"])
async def test_revoking_ends_the_grant(called: Calling, kind: str, hint: str) -> None:  # REV-1, REV-2
    session_id, refresh, access = await pair(called, "web")
    answer = await revoke(called, "web", refresh if kind == "refresh" else access, token_type_hint=hint)
    assert (answer.status_code, answer.content) == (200, b"")
    assert not await living(called, session_id)
    renewal = await called.token(basic("web"), grant_type="refresh_token", refresh_token=refresh)
    assert renewal.json()["error"] == "invalid_grant"
    assert (await introspect(called, "web", access)).content == NOT_ACTIVE
    assert (await called.client.get("/auth/verify", headers={"Authorization": f"Bearer {access}"})).status_code == 401


async def test_it_is_told_who_revoked(called: Calling) -> None:
    session_id, refresh, _ = await pair(called, "web")
    for _ in range(2):
        assert (await revoke(called, "web", refresh)).status_code == 200
    async with called.gateway.parts.database.read() as connection:
        query = select(schema.events.c.name, schema.events.c.session_id, schema.events.c.detail)
        rows = [tuple(row) for row in await connection.execute(query)]
    assert rows == [("session_ended", session_id, {"reason": "revoked", "client": "web"})]


@pytest.mark.parametrize("client_id", ["spa", "phone"])
async def test_a_public_app_revokes_its_own_by_its_id_alone(called: Calling, client_id: str) -> None:
    session_id, refresh, _ = await pair(called, client_id)
    assert (await revoke(called, client_id, refresh)).status_code == 200
    assert not await living(called, session_id)


@pytest.mark.parametrize(("owner", "presenter"), [("web", "spa"), ("spa", "web"), ("spa", "phone"), ("spa", "api")])
async def test_anothers_tokens_are_left_alone(called: Calling, owner: str, presenter: str) -> None:  # REV-1
    session_id, refresh, access = await pair(called, owner)
    for token in (refresh, access):
        assert (await revoke(called, presenter, token)).status_code == 200
    assert await living(called, session_id)


async def test_the_browsers_own_session_is_left_alone(called: Calling) -> None:
    session_id, refresh = await called.grant("gateway")
    assert (await revoke(called, "web", refresh)).status_code == 200
    assert await living(called, session_id)


@pytest.mark.parametrize("token", ["x", "gwr_" + "A" * 76, "a.b.c", "é" * 200, "x" * 9000])
async def test_what_nobody_issued_is_revoked_already(called: Calling, token: str) -> None:  # REV-1
    assert (await revoke(called, "web", token)).status_code == 200
    assert (await introspect(called, "web", token)).content == NOT_ACTIVE


async def test_a_services_token_expires_by_itself(called: Calling) -> None:
    answer = await called.token(basic("robot"), grant_type="client_credentials")
    refused = await revoke(called, "robot", answer.json()["access_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "unsupported_token_type")


@pytest.mark.parametrize("path", ["/auth/revoke", "/auth/introspect"])
@pytest.mark.parametrize(
    ("headers", "form", "expected"),
    [
        ({}, {"token": "x"}, (401, "invalid_client")),
        (basic("web", "wrong"), {"token": "x"}, (401, "invalid_client")),
        ({}, {"token": "x", "client_id": "web"}, (401, "invalid_client")),
        ({}, {"token": "x", "client_id": "nobody"}, (401, "invalid_client")),
        (basic("web"), {}, (400, "invalid_request")),
        (basic("web"), {"token": "x", "client_secret": "x"}, (400, "invalid_request")),
    ],
)
async def test_who_may_not_ask(
    called: Calling, path: str, headers: dict[str, str], form: dict[str, str], expected: tuple[int, str]
) -> None:  # AV-10.4.10
    answer = await called.post(path, headers, **form)
    assert (answer.status_code, answer.json()["error"]) == expected
    assert expected[0] != 401 or answer.headers["www-authenticate"] == 'Basic realm="gateway"'


async def test_a_signed_assertion_serves_here_as_well(called: Calling) -> None:
    now = called.clock.now
    answer = await called.post("/auth/introspect", token="x", **assertion("keyed", now))
    assert answer.content == NOT_ACTIVE


async def test_an_app_without_a_secret_learns_nothing(called: Calling) -> None:  # AV-10.4.10
    _, refresh, _ = await pair(called, "spa")
    assert (await introspect(called, "spa", refresh)).status_code == 401


async def test_a_living_access_token(called: Calling) -> None:  # INT-1
    session_id, _, access = await pair(called, "web")
    answer = await introspect(called, "web", access)
    said, claims = answer.json(), claims_of(access)
    assert answer.headers["cache-control"] == "no-store"
    assert (said["active"], said["token_type"], said["sid"]) == (True, "Bearer", str(session_id))
    same = {"client_id", "sub", "scope", "iss", "aud", "iat", "exp", "jti"}
    assert {name: said[name] for name in same} == {name: claims[name] for name in same}


async def test_a_living_refresh_token(called: Calling) -> None:  # INT-1
    session_id, refresh, _ = await pair(called, "web")
    said = (await introspect(called, "web", refresh)).json()
    assert (said["active"], said["client_id"], said["sid"]) == (True, "web", str(session_id))
    assert said["exp"] == called.clock.now + 14 * DAY
    assert "token_type" not in said


async def test_a_services_token_is_known_as_such(called: Calling) -> None:
    token = (await called.token(basic("robot"), grant_type="client_credentials")).json()["access_token"]
    said = (await introspect(called, "robot", token)).json()
    assert (said["sub"], "sid" in said) == ("app:robot", False)


async def test_an_api_is_told_of_the_tokens_meant_for_it(called: Calling) -> None:
    _, refresh, access = await pair(called, "spa")  # its audience is the API
    assert (await introspect(called, "api", access)).json()["client_id"] == "spa"
    assert (await introspect(called, "api", refresh)).content == NOT_ACTIVE


async def test_whatever_is_not_active_looks_the_same(called: Calling) -> None:  # INT-1
    parts, now = called.gateway.parts, called.clock.now
    _, replaced = await called.grant("web")
    await called.token(basic("web"), grant_type="refresh_token", refresh_token=replaced)
    _, expired = await called.grant("web", expires_at=now)
    _, idle = await called.grant("web", now=now - 14 * DAY)
    _, refresh, access = await pair(called, "web")
    await revoke(called, "web", refresh)
    _, foreign_refresh, foreign_access = await pair(called, "spa")
    own = AccessGrant(subject=str(uuid.uuid4()), session_id=uuid.uuid4(), auth_time=int(now), idp="google")
    dead = parts.access.mint(AccessGrant(subject="x", session_id=None, auth_time=0, idp="", client_id="web"))
    tokens = [replaced, expired, idle, refresh, access, foreign_refresh, foreign_access, parts.access.mint(own)]
    tokens += [dead, access[:-2], "garbage", "gwr_", APP_SECRET]
    answers = [await introspect(called, "web", token) for token in tokens]
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, NOT_ACTIVE)}


async def test_an_expired_access_token_is_not_active(called: Calling) -> None:
    _, _, access = await pair(called, "web")
    called.clock.now += 300
    assert (await introspect(called, "web", access)).content == NOT_ACTIVE


async def test_the_metadata_says_so(called: Calling) -> None:
    said = (await called.client.get("/.well-known/oauth-authorization-server")).json()
    assert said["revocation_endpoint"] == f"{URL}/auth/revoke"
    assert said["introspection_endpoint"] == f"{URL}/auth/introspect"
    assert "none" in said["revocation_endpoint_auth_methods_supported"]
    assert "none" not in said["introspection_endpoint_auth_methods_supported"]
    assert {"client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"} <= {*said["grant_types_supported"]}
    assert said["backchannel_logout_supported"]
