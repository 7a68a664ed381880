"""What standards ask of us towards applications, where no other test carries the row's id."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from signed_in import NOW, add_session
from sqlalchemy import select

from gateway import schema

from calling import APP_SECRET, RETURN, URL, Calling, basic, calling, claims_of
from shops import challenge_of

VERIFIER = "v" * 43
API = "https://api.example.com"
ALWAYS = {"iss", "sub", "aud", "client_id", "iat", "exp", "jti"}  # RFC 9068 section 2.2
PERSONAL = {"email", "email_verified", "name", "picture", "groups"}
EMAIL = "ada@example.com"
FACTS = {"verified": [], "groups": ["staff"], "email": EMAIL, "email_verified": True, "name": "Ada", "picture": None}
RESOURCE = "https://other.example.com"


@pytest.fixture
async def called(database_url: str, tmp_path: Path) -> AsyncIterator[Calling]:
    async with calling(database_url, tmp_path) as made:
        yield made


async def code_of(called: Calling, scope: str, **other: str) -> dict[str, str]:
    """What comes back to the page of an application from a browser with a session of its own."""
    parts = called.gateway.parts
    session = await add_session(parts.database, scope="openid profile email groups", facts=FACTS)
    pair = parts.renewal.issuer.issue(session, int(called.clock.now))
    params = {
        "client_id": "spa",
        "redirect_uri": RETURN[0],
        "response_type": "code",
        "scope": scope,
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
    }
    cookie = {"Cookie": f"{parts.cookies.access}={pair.access_token}"}
    answer = await called.client.get("/auth/authorize", params=params | other, headers=cookie)
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


async def redeem(called: Calling, code: str, **other: str) -> Any:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": RETURN[0], "code_verifier": VERIFIER}
    return await called.token(client_id="spa", **form, **other)


async def renew(called: Calling, refresh_token: str, **other: str) -> Any:
    return await called.token(client_id="spa", grant_type="refresh_token", refresh_token=refresh_token, **other)


async def everything_stored(called: Calling) -> str:
    """Every value of every table, as text and as bytes would be read."""
    async with called.gateway.parts.database.read() as connection:
        rows = [row for table in schema.metadata.sorted_tables for row in await connection.execute(select(table))]
    return "\n".join(
        f"{value}{bytes(value).hex() if isinstance(value, bytes) else ''}" for row in rows for value in row
    )


async def test_the_database_holds_nothing_that_could_be_presented(called: Calling) -> None:
    """RT-1, AV-14.2.4: neither a code nor a token, nor the 256 bits that make a refresh token good."""
    code = (await code_of(called, "openid offline_access"))["code"]
    tokens = (await redeem(called, code)).json()
    await called.token(basic("robot"), grant_type="client_credentials")
    stored = await everything_stored(called)
    tag = urlsafe_b64decode(tokens["refresh_token"].removeprefix("gwr_"))[-32:]
    assert str(claims_of(tokens["access_token"])["sub"]) in stored
    for secret in (code, tokens["refresh_token"], tokens["access_token"], tokens["id_token"], tag.hex(), APP_SECRET):
        assert secret not in stored


async def test_fifty_who_renew_at_once_get_one_successor(called: Calling) -> None:
    """RT-2, AV-15.4.1: never two heads, and nobody is thrown out."""
    _, token = await called.grant("spa")
    answers = await asyncio.gather(*(renew(called, token) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    [successor] = {answer.json()["refresh_token"] for answer in answers}
    assert (await renew(called, successor)).status_code == 200


async def test_what_an_access_token_says_whatever_it_came_by(called: Calling) -> None:
    """AT-1, AT-2, AT-3, AT-4, AT-5, AT-8: the profile of RFC 9068, the sign-in's time for good, and nothing personal
    that was not asked for."""
    signed_in = (await redeem(called, (await code_of(called, "openid offline_access"))["code"])).json()
    called.clock.now += 250
    renewed = (await renew(called, signed_in["refresh_token"])).json()
    service = (await called.token(basic("robot"), grant_type="client_credentials")).json()
    for answer in (signed_in, renewed, service):
        token = answer["access_token"]
        header = json.loads(urlsafe_b64decode(token.split(".")[0] + "=="))
        assert (header["typ"], header["alg"], header.keys()) == ("at+jwt", "ES256", {"typ", "alg", "kid"})
        said = claims_of(token)
        assert said.keys() >= ALWAYS
        assert PERSONAL.isdisjoint(said)
        assert (said["iss"], said["aud"], said["scope"]) == (URL, API, answer["scope"])
    assert claims_of(renewed["access_token"])["auth_time"] == claims_of(signed_in["access_token"])["auth_time"] == NOW


@pytest.mark.parametrize("name", ["resource", "audience"])
async def test_another_api_than_the_applications_own(called: Calling, name: str) -> None:
    """AT-5, AV-9.2.4: refused on every way to a token, where a token for the wrong API would do harm."""
    other, own = {name: RESOURCE}, {name: API}
    assert (await code_of(called, "openid", **other))["error"] == "invalid_target"
    code = (await code_of(called, "openid offline_access", **own))["code"]
    assert (await redeem(called, code, **other)).json()["error"] == "invalid_target"
    token = (await redeem(called, code, **own)).json()["refresh_token"]
    assert (await renew(called, token, **other)).json()["error"] == "invalid_target"
    assert (await renew(called, token, **own)).status_code == 200
    form = {"grant_type": "client_credentials"}
    assert (await called.token(basic("robot"), **form, **other)).json()["error"] == "invalid_target"
    assert claims_of((await called.token(basic("robot"), **form, **own)).json()["access_token"])["aud"] == API
    twice = f"grant_type=refresh_token&client_id=spa&refresh_token={token}&{name}={API}&{name}={RESOURCE}"
    typed = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await called.client.post("/auth/token", content=twice, headers=typed)).json()["error"] == "invalid_request"


async def test_a_resource_is_shown_a_token_in_one_way(called: Calling) -> None:
    """BRR-1, BRR-2, BRR-3, BRR-4: RFC 6750 at the userinfo endpoint."""
    tokens = (await redeem(called, (await code_of(called, "openid email"))["code"])).json()
    token, address = tokens["access_token"], "/auth/userinfo"
    narrow = (await redeem(called, (await code_of(called, "email"))["code"])).json()["access_token"]

    async def asked(query: str = "", **headers: str) -> tuple[int, str | None, str | None]:
        answer = await called.client.get(address + query, headers=headers)
        assert answer.headers["cache-control"] == "no-store"
        return answer.status_code, answer.json().get("error"), answer.headers.get("www-authenticate")

    nothing = (401, "not_signed_in", 'Bearer realm="gateway"')
    assert await asked() == await asked(Authorization=f"Basic {token}") == nothing
    for odd in ("x", 'x", realm="y', token[:-2], "\x7f"):
        assert await asked(Authorization=f"Bearer {odd}") == (401, "invalid_token", 'Bearer error="invalid_token"')
    lacking = (403, "insufficient_scope", 'Bearer error="insufficient_scope"')
    assert await asked(Authorization=f"Bearer {narrow}") == lacking
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert await asked(Authorization=f"{scheme} {token}") == (200, None, None)
    assert (await asked(f"?access_token={token}"))[:2] == (400, "invalid_request")
    assert (await asked(f"?access_token={token}", Authorization=f"Bearer {token}"))[:2] == (400, "invalid_request")
    posted = await called.post(address, access_token=token)
    assert (posted.status_code, posted.json()["error"], posted.headers["www-authenticate"]) == nothing


@pytest.mark.parametrize("path", ["/auth/token", "/auth/revoke", "/auth/introspect", "/auth/userinfo"])
async def test_programs_are_answered_in_json_whatever_they_say_they_take(called: Calling, path: str) -> None:
    """TOK-2, AV-4.1.1: Java's own client says by default that it takes text/html."""
    accept = {"Accept": "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"}
    for answer in (await called.post(path, accept), await called.client.put(path, headers=accept)):
        assert answer.headers["content-type"] == "application/json"
        assert answer.json().keys() == {"error", "error_description", "request_id"}


async def test_keys_change_under_tokens_that_live(called: Calling) -> None:
    """META-2, AV-11.2.2: what was signed before a rotation holds through it, for applications and for us."""
    parts = called.gateway.parts
    before = (await redeem(called, (await code_of(called, "openid email"))["code"])).json()
    coming = {key["kid"] for key in (await published(called)).as_dict()["keys"]}
    await parts.keyring.rotate(force=True)
    after = (await redeem(called, (await code_of(called, "openid email"))["code"])).json()
    keys = await published(called)
    kids = set()
    for answer in (before, after):
        verified = jwt.decode(answer["id_token"], keys, algorithms=["ES256"])
        kids.add(verified.header["kid"])
        bearer = {"Authorization": f"Bearer {answer['access_token']}"}
        assert (await called.client.get("/auth/userinfo", headers=bearer)).status_code == 200
        hint = {"id_token_hint": answer["id_token"]}
        assert (await called.client.get("/auth/end-session", params=hint)).status_code == 303
    assert len(kids) == 2
    assert kids <= coming  # whoever keeps the key set for a while has the one that signs by now
    assert all(key.keys().isdisjoint({"d", "p", "q", "k"}) for key in keys.as_dict()["keys"])


async def published(called: Calling) -> KeySet:
    return KeySet.import_key_set((await called.client.get("/.well-known/jwks.json")).json())


async def test_nobody_registers_an_application(called: Calling) -> None:
    """AV-10.4.7, AV-10.4.12, DCR-1: nor is anything else on offer that is not there."""
    said = (await called.client.get("/.well-known/oauth-authorization-server")).json()
    absent = ("registration_endpoint", "pushed_authorization_request_endpoint", "device_authorization_endpoint")
    assert said.keys().isdisjoint(absent)
    assert (said["response_types_supported"], said["response_modes_supported"]) == (["code"], ["query"])
    assert {"password", "implicit"}.isdisjoint(said["grant_types_supported"])
    assert (await called.client.post("/auth/register", json={"redirect_uris": RETURN})).status_code == 404
