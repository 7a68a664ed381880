"""Hostile neighbours: a sibling sub-domain that sets cookies, another site that posts forms, a spent token, slashes."""

from __future__ import annotations

import httpx2
import pytest

from gateway.providers.discovery import endpoint

import harness
from harness import World


def cookies_of(browser: httpx2.Client) -> dict[str, str]:
    return dict(browser.cookies)


def test_a_refresh_cookie_from_elsewhere_moves_nobody_into_another_account(world: World) -> None:
    """What a sibling sub-domain can do: set our refresh cookie, with a longer path, so that it comes first."""
    with world.gateway.browser() as mallory, world.gateway.browser() as victim:
        world.google.next_person = world.google.people[1]
        world.sign_in(mallory, "google")
        world.sign_in(victim, "google")
        mine = cookies_of(victim)
        tossed = f"gateway-refresh={mallory.cookies['gateway-refresh']}"
    lapsed = f"{tossed}; gateway-refresh={mine['gateway-refresh']}; gateway-browser={mine['gateway-browser']}"

    answer = httpx2.get(f"{world.gateway.url}/auth/login", headers={"Cookie": lapsed}, trust_env=False)

    assert answer.status_code == 302
    renewed = {cookie.partition("=")[0]: cookie for cookie in answer.headers.get_list("set-cookie")}
    token = renewed["gateway"].partition("=")[2].partition(";")[0]
    with world.gateway.api(Authorization=f"Bearer {token}") as api:
        assert api.get("/auth/me").json()["email"] == "ada@example.com"


@pytest.mark.parametrize("mark", ["x=1", "gateway-browser=", "gateway-browser=" + "0" * 32, "gateway-browser=\xe4"])
def test_a_refresh_cookie_alone_renews_nothing(sqlite_world: World, mark: str) -> None:
    with sqlite_world.gateway.browser() as browser:
        sqlite_world.sign_in(browser, "google")
        cookie = f"gateway-refresh={browser.cookies['gateway-refresh']}; {mark}".encode("latin-1")
    with sqlite_world.gateway.api(Cookie=cookie) as api:
        assert api.post("/auth/refresh").status_code == 401
        api.post("/auth/logout?everywhere=true")
    assert sqlite_world.all("SELECT count(*) FROM sessions WHERE ended_at IS NULL") == [(1,)]


def test_another_site_cannot_make_a_browser_forget_its_session(sqlite_world: World) -> None:
    """A cross-site form carries no cookie of ours, but its answer would be believed."""
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Accept": "text/html"}
    answer = httpx2.post(f"{sqlite_world.gateway.url}/auth/logout", headers=headers, trust_env=False)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_spent_refresh_cookie_signs_nobody_else_out(world: World) -> None:
    with world.gateway.browser(Origin=world.gateway.url) as browser, world.gateway.browser() as other:
        world.sign_in(browser, "google")
        world.sign_in(other, "google")
        spent = cookies_of(browser)
        for _ in range(3):
            browser.post("/auth/refresh")
        cookie = "; ".join(f"{name}={spent[name]}" for name in ("gateway-refresh", "gateway-browser"))
        httpx2.post(
            f"{world.gateway.url}/auth/logout?everywhere=true",
            headers={"Cookie": cookie, "Origin": world.gateway.url},
            trust_env=False,
        )
        assert other.get("/auth/verify").status_code == 200
    assert ("refresh_reuse",) in world.all("SELECT end_reason FROM sessions")


def test_signing_in_by_form_post_replaces_the_session_too(sqlite_url: str) -> None:
    with harness.world(sqlite_url, entra={"response_mode": "form_post"}) as world, world.gateway.browser() as browser:
        world.google.next_person = world.google.people[1]
        world.sign_in(browser, "google")
        started = browser.get("/auth/microsoft/login")
        attempt = next(name for name in browser.cookies if "attempt" in name)
        lax_stays_behind = {attempt: browser.cookies[attempt]}
        page = httpx2.get(started.headers["location"], trust_env=False).text
        fields = dict(harness.hidden_fields(page))
        posted = httpx2.post(
            f"{world.gateway.url}/auth/microsoft/callback", data=fields, cookies=lax_stays_behind, trust_env=False
        )
        assert posted.status_code == 303
    assert world.all("SELECT end_reason FROM sessions WHERE ended_at IS NOT NULL") == [("replaced",)]


@pytest.mark.parametrize("path", ["/auth/login/", "/auth/google/callback/?code=x", "/auth/me/"])
def test_a_slash_too_many_is_not_answered_with_the_host_header(sqlite_world: World, path: str) -> None:
    answer = httpx2.get(f"{sqlite_world.gateway.url}{path}", headers={"Host": "evil.example"}, trust_env=False)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "//evil.example/x", "http://evil.example/x", "https://x.example/a#b", "\ud800"]
)
def test_no_end_session_page_that_is_not_https(url: str) -> None:
    assert endpoint(url, plain=False, inside=False) is None
    assert endpoint(url, plain=True, inside=True) is None


def test_the_parts_of_the_login_step_answer_no_origin(sqlite_url: str) -> None:
    with harness.world(sqlite_url, cors_origins=["https://app.example.com"]) as world:
        for method in ("HEAD", "OPTIONS", "GET"):
            url = f"{world.gateway.url}/auth/google/login"
            headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
            answer = httpx2.request(method, url, headers=headers, trust_env=False)
            assert "access-control-allow-origin" not in answer.headers, method
