"""Test clients of every framework, signed in without a gateway: what an API's verifier makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import django
import fastapi
import fastapi.testclient
import flask
import httpx2
import pytest
from django.conf import settings as django_settings

from gateway.resource import InvalidToken, Verifier
from gateway.resource.fastapi import Protection
from gateway.resource.flask import Protection as FlaskProtection
from gateway.resource.wsgi import Protect as WsgiProtect
from gateway.testing import Issuer, issuer, login_as

API = "https://api.example.com"


@pytest.fixture
def audience() -> Iterator[None]:
    issuer().audience = API
    yield
    issuer().audience = None


@pytest.fixture
def verifier(audience: None) -> Verifier:
    return Verifier(issuer().url, audience=API)


def of_fastapi(verifier: Verifier, **needs: Any) -> Any:
    app, protection = fastapi.FastAPI(), Protection(verifier, cookie="gateway")

    @app.get("/", dependencies=[protection.require(**needs)])
    def orders() -> str:
        return "orders"

    return fastapi.testclient.TestClient(app)


def of_flask(verifier: Verifier, **needs: Any) -> Any:
    app, protection = flask.Flask("orders"), FlaskProtection(verifier, cookie="gateway")
    app.get("/")(protection.require(**needs)(lambda: "orders"))
    return app.test_client()


def of_httpx(verifier: Verifier, **needs: Any) -> Any:
    def app(_environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        start("200 OK", [])
        return [b"orders"]

    protected = WsgiProtect(app, verifier, cookie="gateway", **needs)
    return httpx2.Client(transport=httpx2.WSGITransport(protected), base_url="https://api.example.com")


def of_django(verifier: Verifier, **needs: Any) -> Any:
    django_site(verifier, **needs)
    from django.test import Client

    return Client()


def django_site(verifier: Verifier, **needs: Any) -> None:
    from django.http import HttpResponse
    from django.urls import path

    from gateway.resource.django import Protection as DjangoProtection

    protection = DjangoProtection(verifier, cookie="gateway")
    urls = type("urls", (), {"urlpatterns": [path("", protection.require(**needs)(lambda _: HttpResponse("orders")))]})
    if not django_settings.configured:
        django_settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="fake", MIDDLEWARE=[])
        django.setup()
    django_settings.ROOT_URLCONF, django_settings.MIDDLEWARE = urls, []  # another module may have configured before


every_client = pytest.mark.parametrize("made", [of_fastapi, of_flask, of_httpx, of_django])


@every_client
@pytest.mark.parametrize("cookie", [None, "gateway"])
def test_a_client_is_signed_in_until_it_is_somebody_else(
    verifier: Verifier, made: Callable[..., Any], cookie: str | None
) -> None:
    client = made(verifier, scope="orders:read", role="staff")
    assert client.get("/").status_code == 401
    login_as(client, scopes=["orders:read"], roles=["staff"], cookie=cookie)
    assert client.get("/").status_code == 200
    login_as(client, scopes=["orders:read"], cookie=cookie)
    assert client.get("/").status_code == 403
    login_as(client, scopes=["orders:read"], roles=["staff"], cookie="gateway" if cookie is None else None)
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("cookie", [None, "gateway"])
async def test_the_async_client_of_django(verifier: Verifier, cookie: str | None) -> None:
    django_site(verifier, role="staff")
    from django.test import AsyncClient

    client = AsyncClient()
    assert (await client.get("/")).status_code == 401
    login_as(client, roles=["staff"], cookie=cookie)
    assert (await client.get("/")).status_code == 200
    login_as(client, cookie=cookie)
    assert (await client.get("/")).status_code == 403


@every_client
def test_a_service_is_nobody(verifier: Verifier, made: Callable[..., Any]) -> None:
    client = made(verifier, app_role="orders:read")
    login_as(client, scopes=["orders:read"])
    assert client.get("/").status_code == 403
    login_as(client, service="billing", scopes=["orders:read"])
    assert client.get("/").status_code == 200


def test_what_the_token_says(verifier: Verifier) -> None:
    client = httpx2.Client()
    token = login_as(client, subject="ada", scopes=["a", "b"], groups=["crew"], auth_time=7, tier="gold")
    principal = verifier.verify_sync(token)
    assert (principal.subject, principal.scopes, principal.groups) == ("ada", {"a", "b"}, {"crew"})
    assert (principal.auth_time, principal.claims["tier"], principal.is_app) == (7, "gold", False)
    client.close()


def test_tokens_that_should_be_refused_can_be_had(verifier: Verifier) -> None:
    for claims in ({"lifetime": -1}, {"aud": "https://another.example"}, {"jti": None}):
        with pytest.raises(InvalidToken):
            verifier.verify_sync(issuer().token(**claims))
    with Issuer(audience=API).serve() as stranger, pytest.raises(InvalidToken):
        verifier.verify_sync(stranger.token(iss=issuer().url))


def test_a_session_can_end(verifier: Verifier) -> None:
    token = issuer().token()
    sid = verifier.verify_sync(token).session_id
    assert sid is not None
    issuer().end_session(sid)
    following = Verifier(issuer().url, audience=API, revocations=True)
    try:
        with pytest.raises(InvalidToken, match="ended"):
            following.verify_sync(token)
        following.verify_sync(issuer().token())
    finally:
        following.close()


def test_a_client_of_another_kind() -> None:
    with pytest.raises(TypeError, match="keeps no headers"):
        login_as(object())
    with pytest.raises(TypeError, match="keeps no cookies"):
        login_as(object(), cookie="gateway")
