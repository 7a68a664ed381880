"""Sessions over HTTP: renewing, listing, ending, signing out; and what another site cannot do."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

import harness
from harness import World


@pytest.fixture
def ada(world: World) -> Iterator[httpx2.Client]:
    """A browser in which Ada has signed in."""
    with another(world) as browser:
        yield browser


@contextmanager
def another(world: World) -> Iterator[httpx2.Client]:
    """Another browser of the same person."""
    with world.gateway.browser(Origin=world.gateway.url) as browser:
        assert world.sign_in(browser, "google").status_code == 303
        yield browser


def renew(world: World, token: str, **more: str) -> httpx2.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token} | more
    return httpx2.post(f"{world.gateway.url}/auth/token", data=form, trust_env=False)


def events(world: World) -> Counter[str]:
    return Counter(row[0] for row in world.all("SELECT name FROM events"))


def test_the_access_token_says_what_rfc_9068_asks_for(world: World, ada: httpx2.Client) -> None:
    header, payload, _ = ada.cookies["gateway"].split(".")
    claims = json.loads(urlsafe_b64decode(payload + "=="))
    assert json.loads(urlsafe_b64decode(header + "=="))["typ"] == "at+jwt"
    assert {"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "sid", "auth_time", "idp"} <= set(claims)
    assert (claims["iss"], claims["aud"], claims["client_id"]) == (world.gateway.url, world.gateway.url, "gateway")
    assert claims["exp"] - claims["iat"] == 300


def test_renewing_by_cookie(world: World, ada: httpx2.Client) -> None:
    before = ada.cookies["gateway-refresh"]
    answer = ada.post("/auth/refresh")
    assert (answer.status_code, answer.json()) == (200, {"expires_in": 300})
    assert ada.cookies["gateway-refresh"] != before
    assert ada.get("/auth/me").status_code == 200


def test_renewing_by_token(world: World, ada: httpx2.Client) -> None:
    answer = renew(world, ada.cookies["gateway-refresh"])
    body = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert body.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    with world.gateway.api(Authorization=f"bearer {body['access_token']}") as api:
        assert api.get("/auth/me").json()["email"] == "ada@example.com"


def test_the_time_of_sign_in_does_not_move(world: World, ada: httpx2.Client) -> None:
    def auth_time(token: str) -> int:
        found: int = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))["auth_time"]
        return found

    assert auth_time(renew(world, ada.cookies["gateway-refresh"]).json()["access_token"]) == auth_time(
        ada.cookies["gateway"]
    )


def test_fifty_parallel_renewals_are_one_step_and_one_token(world: World, ada: httpx2.Client) -> None:
    token = ada.cookies["gateway-refresh"]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: renew(world, token), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    assert world.all("SELECT current, parent FROM sessions") == [(1, 0)]


def test_reuse_ends_the_session_for_good(world: World, ada: httpx2.Client) -> None:
    first = ada.cookies["gateway-refresh"]
    second = renew(world, first).json()["refresh_token"]
    third = renew(world, second).json()
    answer = renew(world, first)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert renew(world, third["refresh_token"]).status_code == 400
    assert world.all("SELECT end_reason FROM sessions") == [("refresh_reuse",)]
    assert events(world)["refresh_reuse"] == 1
    with world.gateway.api(Authorization=f"Bearer {third['access_token']}") as api:
        assert api.get("/auth/verify").status_code == 401


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "gwr_nonsense"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "ä" * 80}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x", "client_id": "app"}, "invalid_client"),
        ({"grant_type": "refresh_token", "refresh_token": "x", "scope": "admin"}, "invalid_scope"),
    ],
)
def test_the_token_endpoint_refuses(sqlite_world: World, form: dict[str, str], error: str) -> None:
    answer = httpx2.post(f"{sqlite_world.gateway.url}/auth/token", data=form, trust_env=False)
    assert answer.status_code == (401 if error == "invalid_client" else 400)
    assert answer.json()["error"] == error


def test_a_narrower_scope_narrows_only_this_access_token(world: World, ada: httpx2.Client) -> None:
    narrow = renew(world, ada.cookies["gateway-refresh"], scope="openid").json()
    assert narrow["scope"] == "openid"
    with world.gateway.api(Authorization=f"Bearer {narrow['access_token']}") as api:
        assert api.delete("/auth/sessions").status_code == 403
    assert renew(world, narrow["refresh_token"]).json()["scope"] == "openid profile email groups"


def test_a_renewal_that_fails_clears_the_cookies(world: World, ada: httpx2.Client) -> None:
    world.all("UPDATE sessions SET ended_at = 1 RETURNING id")
    answer = ada.post("/auth/refresh", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_grant")
    assert not ada.cookies


def test_the_sign_in_page_renews_silently_and_moves_on(world: World, ada: httpx2.Client) -> None:
    del ada.cookies["gateway"]
    answer = ada.get("/auth/login?redirect_to=/app")
    assert (answer.status_code, answer.headers["location"]) == (302, "/app")
    assert ada.get("/auth/me").status_code == 200


def test_the_list_of_sessions(world: World, ada: httpx2.Client) -> None:
    with another(world):
        listed = ada.get("/auth/sessions").json()
    assert [session["current"] for session in listed].count(True) == 1
    assert len(listed) == 2
    described = {"id", "current", "provider", "app", "created_at", "last_used_at", "user_agent", "ip"}
    assert listed[0].keys() == described


def test_ending_another_session(world: World, ada: httpx2.Client) -> None:
    with another(world) as other:
        theirs = next(session["id"] for session in ada.get("/auth/sessions").json() if not session["current"])
        assert ada.delete(f"/auth/sessions/{theirs}").status_code == 204
        assert other.get("/auth/verify").status_code == 401
        assert other.post("/auth/refresh").status_code == 401
    assert ada.get("/auth/me").status_code == 200


def test_ending_all_other_sessions(world: World, ada: httpx2.Client) -> None:
    with another(world) as one, another(world) as two:
        assert ada.delete("/auth/sessions").status_code == 204
        assert [browser.get("/auth/verify").status_code for browser in (one, two, ada)] == [401, 401, 200]


@pytest.mark.parametrize("session_id", ["00000000-0000-4000-8000-000000000000", "nonsense", "%00", "' OR 1=1"])
def test_a_session_that_is_not_mine_is_not_found(sqlite_world: World, session_id: str) -> None:
    with another(sqlite_world) as browser:
        assert browser.delete(f"/auth/sessions/{session_id}").status_code == 404


def test_somebody_elses_session_is_not_found(world: World, ada: httpx2.Client) -> None:
    world.google.next_person = world.google.people[1]
    with another(world) as grace:
        hers = grace.get("/auth/sessions").json()[0]["id"]
        assert ada.delete(f"/auth/sessions/{hers}").status_code == 404
        assert grace.get("/auth/me").status_code == 200


def test_signing_out(world: World, ada: httpx2.Client) -> None:
    token = ada.cookies["gateway"]
    answer = ada.post("/auth/logout", headers={"Accept": "application/json"})
    assert (answer.status_code, dict(ada.cookies)) == (204, {})
    with world.gateway.api(Authorization=f"Bearer {token}") as api:
        assert [api.get(path).status_code for path in ("/auth/me", "/auth/verify", "/auth/sessions")] == [401] * 3


def test_signing_out_everywhere(world: World, ada: httpx2.Client) -> None:
    with another(world) as other:
        assert ada.post("/auth/logout?everywhere=true").status_code == 303
        assert other.get("/auth/verify").status_code == 401


def test_signing_out_without_a_session_is_no_error(sqlite_world: World) -> None:
    with sqlite_world.gateway.api() as api:
        assert api.post("/auth/logout").status_code == 204


def test_signing_out_of_the_provider_too(world: World) -> None:
    with world.gateway.browser(Origin=world.gateway.url) as browser:
        world.sign_in(browser, "microsoft")
        answer = browser.post("/auth/logout", data={"provider": "true"})
    location = answer.headers["location"]
    assert answer.status_code == 303
    assert location.startswith(f"{world.microsoft.base_url}/common/oauth2/v2.0/logout?")
    assert httpx2.get(location, trust_env=False).headers["location"] == f"{world.gateway.url}/auth/signed-out"


CROSS_SITE: list[dict[str, Any]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "http://localhost.evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {},
]


@pytest.mark.parametrize("headers", CROSS_SITE)
@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout", "/auth/sessions/end-others"])
def test_another_site_changes_nothing(sqlite_world: World, headers: dict[str, str], path: str) -> None:
    with sqlite_world.gateway.browser() as browser:
        sqlite_world.sign_in(browser, "google")
        answer = browser.post(path, headers=headers | {"Accept": "application/json"})
        assert (answer.status_code, answer.json()["error"]) == (403, "cross_site")
        assert browser.get("/auth/me").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},  # our own forms: no-referrer hides the origin
        {"Sec-Fetch-Site": "same-origin"},
    ],
)
def test_our_own_page_may(sqlite_world: World, headers: dict[str, str]) -> None:
    with sqlite_world.gateway.browser() as browser:
        sqlite_world.sign_in(browser, "google")
        assert browser.post("/auth/sessions/end-others", headers=headers).status_code == 303


def test_asking_by_get_signs_nobody_out(world: World, ada: httpx2.Client) -> None:
    assert ada.get("/auth/logout").status_code == 200
    assert ada.get("/auth/me").status_code == 200


def test_a_session_ended_elsewhere_is_refused_within_two_seconds(database_url: str) -> None:
    """Two gateways on one database, as two processes are."""
    with harness.world(database_url) as world:
        settings = world.gateway.app.parts.settings
        with harness.serving(harness.create_app(settings), port := harness.free_port()):
            with world.gateway.browser(Origin=world.gateway.url) as browser:
                world.sign_in(browser, "google")
                bearer = {"Authorization": f"Bearer {browser.cookies['gateway']}"}
                there = f"http://127.0.0.1:{port}/auth/verify"
                assert httpx2.get(there, headers=bearer, trust_env=False).status_code == 200
                browser.post("/auth/logout")
            ended = time.monotonic()
            while httpx2.get(there, headers=bearer, trust_env=False).status_code != 401:
                assert time.monotonic() - ended < 2, "the other process still lets it pass"
                time.sleep(0.05)
