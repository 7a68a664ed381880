"""The application as a whole: below a path, inside another application, across origins, its metadata and health."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from gateway import create_app
from gateway.db import Database

import harness
from harness import World


def test_below_a_path(sqlite_url: str) -> None:
    port = harness.free_port()
    settings = harness.settings_for(sqlite_url, port=port, public_url=f"http://localhost:{port}/sso")
    with harness.running(settings), httpx2.Client(base_url=f"http://localhost:{port}", trust_env=False) as browser:
        direct = browser.get("/sso/auth/account", headers={"Accept": "text/html"})
        stripped = browser.get("/auth/account", headers={"Accept": "text/html"})
        metadata = browser.get("/sso/.well-known/openid-configuration").json()
    assert direct.headers["location"] == "/sso/auth/login?redirect_to=%2Fsso%2Fauth%2Faccount"
    assert stripped.headers["location"] == direct.headers["location"]
    assert metadata["jwks_uri"] == f"http://localhost:{port}/sso/.well-known/jwks.json"


def test_mounted_in_another_application(sqlite_url: str) -> None:
    """It starts with the first request; the other application only has to end it."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await ours.stop()

    port = harness.free_port()
    settings = harness.settings_for(sqlite_url, port=port, public_url=f"http://localhost:{port}/login")
    ours = create_app(settings)
    hello = Route("/hello", lambda _: PlainTextResponse("hello"))
    theirs = Starlette(routes=[hello, Mount("/login", ours)], lifespan=lifespan)
    with harness.serving(theirs, port), httpx2.Client(base_url=f"http://localhost:{port}", trust_env=False) as browser:
        assert browser.get("/hello").text == "hello"
        assert browser.get("/login/health/ready").json()["status"] == "ok"
        assert browser.get("/login/auth/me").json()["error"] == "not_signed_in"
        assert browser.get("/login/auth/nowhere").json()["error"] == "not_found"


async def test_a_server_database_with_an_old_schema_is_left_alone(postgres_url: str) -> None:
    from gateway import migrate
    from gateway.errors import CannotStart

    await migrate.move(postgres_url, "base")
    app = create_app(harness.settings_for(postgres_url))
    with pytest.raises(CannotStart, match="gateway migrate"):
        await app.start()
    await app.stop()
    assert await migrate.schema_state(postgres_url) == "empty"


async def test_sqlite_is_brought_up_to_date(tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    app = create_app(harness.settings_for(url))
    await app.start()
    await app.stop()
    database = Database(url)
    assert await database.revision() is not None
    await database.close()


@pytest.fixture
def with_a_friend(sqlite_url: str) -> object:
    with harness.world(sqlite_url, cors_origins=["https://app.example.com"]) as world:
        yield world


def preflight(world: World, origin: str, path: str) -> httpx2.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return httpx2.options(f"{world.gateway.url}{path}", headers=headers, trust_env=False)


def test_a_configured_origin_may_call_with_credentials(with_a_friend: World) -> None:
    answer = preflight(with_a_friend, "https://app.example.com", "/auth/refresh")
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert answer.headers["access-control-allow-credentials"] == "true"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://app.example.com.evil.example", "http://app.example.com"]
)
def test_no_other_origin_may(with_a_friend: World, origin: str) -> None:
    answer = preflight(with_a_friend, origin, "/auth/refresh")
    assert "access-control-allow-origin" not in answer.headers


def test_a_configured_origin_may_renew(with_a_friend: World) -> None:
    with with_a_friend.gateway.browser() as browser:
        with_a_friend.sign_in(browser, "google")
        answer = browser.post("/auth/refresh", headers={"Origin": "https://app.example.com"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"


def test_the_steps_of_a_sign_in_answer_no_other_origin(with_a_friend: World) -> None:
    url = f"{with_a_friend.gateway.url}/auth/google/login"
    answer = httpx2.get(url, headers={"Origin": "https://app.example.com"}, trust_env=False)
    assert "access-control-allow-origin" not in answer.headers


def test_the_key_set_verifies_our_tokens(sqlite_world: World) -> None:
    with sqlite_world.gateway.browser() as browser:
        sqlite_world.sign_in(browser, "google")
        published = browser.get("/.well-known/jwks.json")
        verified = jwt.decode(browser.cookies["gateway"], KeySet.import_key_set(published.json()), ["ES256"])
    assert verified.claims["iss"] == sqlite_world.gateway.url
    assert published.headers["cache-control"] == "public, max-age=300"
    assert not {"d", "p", "q", "k"} & {member for key in published.json()["keys"] for member in key}
    assert all({"kid", "alg", "use"} <= key.keys() for key in published.json()["keys"])


def test_metadata_names_the_issuer_of_our_tokens(sqlite_world: World) -> None:
    with sqlite_world.gateway.browser() as browser:
        sqlite_world.sign_in(browser, "google")
        claims = json.loads(urlsafe_b64decode(browser.cookies["gateway"].split(".")[1] + "=="))
        documents = [
            browser.get(f"/.well-known/{name}").json()
            for name in ("openid-configuration", "oauth-authorization-server")
        ]
    assert documents[0] == documents[1]
    assert documents[0]["issuer"] == claims["iss"]


def test_ready_says_so_and_says_when_not(sqlite_world: World) -> None:
    with sqlite_world.gateway.api() as api:
        assert api.get("/health/live").json() == {"status": "ok"}
        assert api.get("/health/ready").json() == {"status": "ok", "database": True, "keys": True}


def test_third_party_initiated_login_starts_the_provider_of_that_issuer(sqlite_world: World) -> None:
    with sqlite_world.gateway.browser() as browser:
        query = {"iss": sqlite_world.google.issuer, "target_link_uri": "/app", "login_hint": "ada@example.com"}
        answer = browser.get("/auth/login", params=query)
        assert answer.headers["location"] == "/auth/google/login?redirect_to=%2Fapp&login_hint=ada%40example.com"
        assert browser.get("/auth/login", params={"iss": "https://evil.example"}).status_code == 404
        assert browser.get("/auth/login", params=query | {"target_link_uri": "//evil.example"}).status_code == 400


def test_the_first_address_leads_on(sqlite_world: World) -> None:
    with sqlite_world.gateway.browser() as browser:
        assert browser.get("/").headers["location"] == "/auth/login"
        sqlite_world.sign_in(browser, "google")
        assert browser.get("/").headers["location"] == "/auth/account"


def test_the_list_of_providers(sqlite_world: World) -> None:
    with sqlite_world.gateway.api() as api:
        listed = api.get("/auth/providers").json()
    assert listed == [
        {"name": name, "label": label, "login_url": f"{sqlite_world.gateway.url}/auth/{name}/login"}
        for name, label in (("google", "Google"), ("microsoft", "Microsoft"))
    ]
