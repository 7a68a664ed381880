"""Forward auth for proxies that pass the answer on, as Traefik's forwardAuth asks; and the constraints as a table."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import nullcontext

import httpx2
import pytest

from gateway.errors import GatewayError, InsufficientScope, SignInTooOld
from gateway.tokens.claims import AccessClaims
from gateway.web.forward_auth import constrain, read_constraints

import harness
from harness import World

SIGNED_IN = 1_800_000_000
REDIRECT, PLAIN = "/auth/verify/redirect", "/auth/verify"


@pytest.fixture(scope="module")
def behind_traefik(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway that believes the peer, with a second application that it may send people back to."""
    database = f"sqlite:///{tmp_path_factory.mktemp('traefik') / 'gateway.db'}"
    options = {"trusted_proxies": ["127.0.0.1"], "allowed_redirects": ["https://app.example"]}
    with harness.world(database, **options) as made:
        yield made


def traefik(**said: str) -> dict[str, str]:
    """What Traefik's forwardAuth sends besides the client's own headers."""
    sent = {"method": "GET", "proto": "https", "host": "app.example", "uri": "/page?a=1&b=2", "for": "203.0.113.7"}
    return {f"X-Forwarded-{name.title()}": value for name, value in (sent | said).items()}


def login(world: World, **query: str) -> httpx2.URL:
    return httpx2.URL(f"{world.gateway.url}/auth/login", params=query)


def test_a_navigation_is_sent_to_the_sign_in_page(behind_traefik: World) -> None:
    with behind_traefik.gateway.browser() as browser:
        answer = browser.get(REDIRECT, headers=traefik())
    assert answer.status_code == 302
    back = "https://app.example/page?a=1&b=2"
    assert httpx2.URL(answer.headers["location"]) == login(behind_traefik, redirect_to=back)
    assert answer.headers["cache-control"] == "no-store"


def test_whom_the_proxy_asks_by_hand_is_told_the_way(behind_traefik: World) -> None:
    with behind_traefik.gateway.browser() as browser:
        answer = browser.get(PLAIN, headers=traefik())
    assert (answer.status_code, "location" in answer.headers) == (401, False)
    back = "https://app.example/page?a=1&b=2"
    assert httpx2.URL(answer.headers["x-auth-request-sign-in"]) == login(behind_traefik, redirect_to=back)


@pytest.mark.parametrize("path", [REDIRECT, PLAIN])
@pytest.mark.parametrize("headers", [traefik() | {"Accept": "application/json"}, traefik(method="POST")])
def test_what_is_no_navigation_gets_401(behind_traefik: World, path: str, headers: dict[str, str]) -> None:
    with behind_traefik.gateway.browser() as browser:
        answer = browser.get(path, headers=headers)
    assert answer.status_code == 401
    assert not {"location", "x-auth-request-sign-in"} & set(answer.headers)


@pytest.mark.parametrize(
    "said",
    [
        {"host": "evil.example"},
        {"host": "app.example.evil.example"},
        {"host": "app.example@evil.example"},
        {"host": "evil.example/app.example"},
        {"host": "app.example:8443"},
        {"proto": "http"},
        {"uri": "/" + "a" * 600},
        {"uri": "/a\\b"},
        {"uri": "/ä"},
    ],
)
def test_who_may_not_be_returned_to_is_not(behind_traefik: World, said: dict[str, str]) -> None:
    headers = {name: value.encode() for name, value in traefik(**said).items()}
    with behind_traefik.gateway.browser() as browser:
        answer = browser.get(REDIRECT, headers=headers)
    assert (answer.status_code, httpx2.URL(answer.headers["location"])) == (302, login(behind_traefik))


@pytest.mark.parametrize(
    "said", [{}, {"host": "localhost", "proto": "http"}, {"uri": "//evil.example"}, {"method": "POST"}]
)
def test_a_stranger_that_poses_as_a_proxy_changes_nothing(sqlite_world: World, said: dict[str, str]) -> None:
    with sqlite_world.gateway.browser() as browser:
        answer = browser.get(REDIRECT, headers=traefik(**said))
    assert (answer.status_code, httpx2.URL(answer.headers["location"])) == (302, login(sqlite_world))


def test_who_may_pass_does(behind_traefik: World) -> None:
    with behind_traefik.gateway.browser() as browser:
        behind_traefik.sign_in(browser, "google")
        answer = browser.get(f"{REDIRECT}?scope=email&scope=openid&provider=google&max_age=3600", headers=traefik())
        refused = browser.get(f"{REDIRECT}?role=admin", headers=traefik())
    assert (answer.status_code, answer.headers["x-auth-request-email"]) == (200, "ada@example.com")
    assert (refused.status_code, "location" in refused.headers) == (403, False)


def test_a_sign_in_that_is_too_old_is_repeated(behind_traefik: World) -> None:
    """max_age=0 is always over. The page does not move on by itself, or the browser would go round and round."""
    with behind_traefik.gateway.browser() as browser:
        behind_traefik.sign_in(browser, "google")
        stepped = browser.get(f"{REDIRECT}?max_age=0", headers=traefik())
        assert stepped.status_code == 302
        assert httpx2.URL(stepped.headers["location"]).params["max_age"] == "0"
        page = browser.get(stepped.headers["location"])
        assert (page.status_code, "prompt=login" in page.text) == (200, True)
        fetched = browser.get(f"{REDIRECT}?max_age=0", headers=traefik() | {"Accept": "*/*"})
        assert (fetched.status_code, fetched.json()["error"]) == (401, "insufficient_user_authentication")
        assert fetched.headers["www-authenticate"] == 'Bearer error="insufficient_user_authentication", max_age="0"'


@pytest.mark.parametrize("gone", [(), ("gateway",)])
@pytest.mark.parametrize(("max_age", "status"), [("", 302), ("?max_age=3600", 302), ("?max_age=0", 200)])
def test_the_sign_in_page_moves_on_only_with_a_young_sign_in(
    behind_traefik: World, gone: tuple[str, ...], max_age: str, status: int
) -> None:
    """Also when the access token is renewed on the way: that makes no sign-in younger."""
    with behind_traefik.gateway.browser() as browser:
        behind_traefik.sign_in(browser, "google")
        for name in gone:
            del browser.cookies[name]
        assert browser.get(f"/auth/login{max_age}").status_code == status
        assert browser.get("/auth/me").status_code == 200


@pytest.mark.parametrize("max_age", ["", "-1", "1.5", "x", "9" * 10, "١"])
def test_an_age_that_is_none_is_refused_at_the_sign_in_page(behind_traefik: World, max_age: str) -> None:
    with behind_traefik.gateway.browser() as browser:
        assert browser.get("/auth/login", params={"max_age": max_age}).status_code == 400


ADA = AccessClaims(
    subject="ada",
    audience=("x",),
    client_id="gateway",
    session_id=uuid.UUID(int=1),
    auth_time=SIGNED_IN,
    idp="google",
    scope="openid email",
    roles=("admin", "a,b"),
    jti="j",
    iat=SIGNED_IN,
    exp=SIGNED_IN + 300,
    kid="k",
    groups=("staff", "ops"),
)


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ("", None),
        ("&&", None),
        ("role=admin&scope=email&group=ops&provider=google&max_age=60&token=1", None),
        ("role=admin&role=a%2Cb", None),
        ("role=admin&role=editor", InsufficientScope),
        ("role=editor&role=admin", InsufficientScope),
        ("group=staff&group=ops", None),
        ("provider=google&provider=microsoft", InsufficientScope),
        ("role=a", InsufficientScope),
        ("role=admin,a", InsufficientScope),
        ("role", InsufficientScope),
        ("role=admin&role=", InsufficientScope),
        ("provider=", InsufficientScope),
        ("max_age=", InsufficientScope),
        ("max_age=-1", InsufficientScope),
        ("max_age=1e3", InsufficientScope),
        ("max_age=3600&max_age=x", InsufficientScope),
        ("max_age=59", SignInTooOld),
        ("max_age=3600&max_age=59", SignInTooOld),
        ("max_age=59&role=editor", InsufficientScope),
        ("token=0", InsufficientScope),
        ("Role=admin", InsufficientScope),
        ("roles=admin", InsufficientScope),
        ("=admin", InsufficientScope),
        ("role=%", InsufficientScope),
        ("role=%FF", InsufficientScope),
        ("&".join(["role=admin"] * 65), InsufficientScope),
    ],
)
def test_constraints(query: str, refusal: type[GatewayError] | None) -> None:
    with pytest.raises(refusal) if refusal else nullcontext():
        constrain(ADA, read_constraints(query.encode()), SIGNED_IN + 60)
