"""Token exchange: a provider's ID token, in an application's hands, becomes a grant to that application, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from gateway.testing import Behaviour, answers
from gateway.testing.behaviour import put

from harness import World
from harness import world as make_world
from posting import GRACE, token
from shops import APPS, SECRET

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
ADA = 0  # of the people at Google: Microsoft vouches for her address as well
ROBOT = {"type": "service", "client_secret": SECRET}
OFFICE = {**APPS["office"], "id_token_alg": "ES256"}  # RSA keys take seconds to make
TABLES = {name: APPS[name] for name in ("shop", "reader", "careful")} | {"office": OFFICE, "robot": ROBOT}


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    with make_world(sqlite_url, apps=TABLES) as made:
        yield made


def exchange(world: World, subject_token: str, client_id: str = "reader", /, **more: str) -> httpx2.Response:
    form = {"grant_type": EXCHANGE, "subject_token": subject_token, "subject_token_type": ID_TOKEN} | more
    auth = (client_id, SECRET) if client_id in ("shop", "office", "robot") else None
    named = {} if auth else {"client_id": client_id}
    return httpx2.post(f"{world.gateway.url}/auth/token", data=form | named, auth=auth, trust_env=False)


def events(world: World) -> Counter[str]:
    return Counter(row[0] for row in world.all("SELECT name FROM events"))


def told(answer: httpx2.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json().get("error")


@pytest.mark.parametrize("client_id", ["reader", "shop"])
def test_an_id_token_becomes_a_grant(world: World, client_id: str) -> None:
    answer = exchange(world, token(world, None), client_id)
    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert (body["issued_token_type"], body["token_type"]) == (ACCESS_TOKEN, "Bearer")
    assert "refresh_token" not in body
    assert "offline_access" not in body["scope"]
    [row] = world.all("SELECT client_id, parent_id, scope FROM sessions")
    assert tuple(row) == (client_id, None, body["scope"])
    assert events(world) == {"account_created": 1, "app_signed_in": 1}
    assert "set-cookie" not in answer.headers


def test_what_it_gives_serves_at_userinfo(world: World) -> None:
    body = exchange(world, token(world, None)).json()
    with world.gateway.api(Authorization=f"Bearer {body['access_token']}") as api:
        assert api.get("/auth/userinfo").json()["email"] == world.google.people[GRACE].email


def test_a_refresh_token_where_it_is_asked_for(world: World) -> None:
    body = exchange(world, token(world, None), scope="openid offline_access").json()
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"], "client_id": "reader"}
    renewed = httpx2.post(f"{world.gateway.url}/auth/token", data=form, trust_env=False)
    assert renewed.json()["scope"] == "openid offline_access"


def test_what_the_provider_was_shown_at_sign_out_is_spent(world: World) -> None:
    """The address with the hint stays in the browser's history, for whoever sits there next."""
    with world.gateway.browser(Origin=world.gateway.url) as browser:
        world.sign_in(browser, "microsoft")
        out = browser.post("/auth/logout", data={"provider": "true"})
    hint = dict(parse_qsl(urlsplit(out.headers["location"]).query))["id_token_hint"]
    assert told(exchange(world, hint)) == (400, "invalid_grant")
    assert told(exchange(world, token(world, None, provider="microsoft"))) == (200, None)


def test_the_same_person_as_in_the_browser(world: World) -> None:
    with world.gateway.browser() as browser:
        world.google.next_person = world.google.people[GRACE]
        assert world.sign_in(browser, "google").status_code == 303
    assert exchange(world, token(world, None)).status_code == 200
    assert world.rows("accounts") == 1


def test_an_id_token_serves_once(world: World) -> None:
    subject_token = token(world, None)
    with ThreadPoolExecutor(8) as pool:
        answers = [one.result() for one in [pool.submit(exchange, world, subject_token) for _ in range(8)]]
    assert Counter(map(told, answers)) == {(200, None): 1, (400, "invalid_grant"): 7}
    assert world.rows("sessions") == 1


def test_nor_after_it_was_posted_elsewhere(world: World) -> None:
    subject_token = token(world, None)
    exchange(world, subject_token, "shop")
    assert told(exchange(world, subject_token, "reader")) == (400, "invalid_grant")


def test_a_known_address_says_what_to_do(world: World) -> None:
    with world.gateway.browser() as browser:
        world.google.next_person = world.google.people[ADA]
        world.sign_in(browser, "google")
    answer = exchange(world, token(world, None, ADA, "microsoft"), "shop")
    assert told(answer) == (400, "invalid_grant")
    assert "Sign in to it in a browser first" in answer.json()["error_description"]
    assert world.rows("sessions") == 1


def test_a_provider_that_the_app_does_not_take(world: World) -> None:
    assert told(exchange(world, token(world, None), "office")) == (400, "invalid_grant")
    assert world.rows("spent") == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "another-client"},
        {"aud": ["google-client", "another-client"]},
        {"exp": 1},
        {"iss": "https://other.example"},
        {"iss": None},
        {"sub": ""},
    ],
    ids=str,
)
def test_a_token_that_does_not_hold(world: World, wrong: dict[str, Any]) -> None:
    world.google.behaviour = Behaviour(id_token=put(**wrong))
    answer = exchange(world, token(world, None))
    assert told(answer) == (400, "invalid_grant")
    assert (world.rows("accounts"), world.rows("spent")) == (0, 0)


def test_a_provider_that_cannot_be_asked(world: World) -> None:
    subject_token = token(world, None)
    world.google.behaviour = Behaviour(answers={"jwks": answers.html(503)})
    assert told(exchange(world, subject_token)) == (503, "provider_unavailable")
    assert world.rows("spent") == 0  # it may be tried again


@pytest.mark.parametrize("subject_token", ["x", "a.b.c", "..", "e30.e30.e30", "x" * 60_000])
def test_what_is_no_token(world: World, subject_token: str) -> None:
    assert told(exchange(world, subject_token)) == (400, "invalid_grant")


def test_our_own_tokens_are_none(world: World) -> None:
    body = exchange(world, token(world, None)).json()
    for one in (body["access_token"], body["id_token"]):
        assert told(exchange(world, one)) == (400, "invalid_grant")


def test_somebody_who_is_not_admitted(sqlite_url: str) -> None:
    with make_world(sqlite_url, apps=TABLES, signup="closed") as world:
        answer = exchange(world, token(world, None))
        assert told(answer) == (400, "invalid_grant")
        assert "new accounts cannot be made" in answer.json()["error_description"]


@pytest.mark.parametrize(
    ("client_id", "more", "expected"),
    [
        ("reader", {"subject_token_type": ACCESS_TOKEN}, "invalid_request"),
        ("reader", {"subject_token": ""}, "invalid_request"),
        ("reader", {"requested_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ("reader", {"actor_token": "x"}, "invalid_request"),
        ("reader", {"audience": "https://other.example"}, "invalid_target"),
        ("reader", {"resource": "https://other.example"}, "invalid_target"),
        ("reader", {"scope": "openid admin"}, "invalid_scope"),
        ("robot", {}, "unauthorized_client"),
        ("careful", {}, "unauthorized_client"),  # people are asked what it may have
        ("nobody", {}, "invalid_client"),
    ],
)
def test_requests_that_are_refused(world: World, client_id: str, more: dict[str, str], expected: str) -> None:
    answer = exchange(world, token(world, None), client_id, **more)
    assert told(answer) == (401 if expected == "invalid_client" else 400, expected)
    assert world.rows("spent") == 0
