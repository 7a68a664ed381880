"""State: bound to one browser, one provider and one use; whatever else comes is refused before the code is spent."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

import harness
from harness import World


def code_of(world: World, answer: httpx2.Response) -> str:
    """The error code of a page, after checking that nobody was signed in and nothing was written or spent."""
    assert answer.status_code in (400, 403), answer.text
    cookies = answer.headers.get_list("set-cookie")
    assert not [cookie for cookie in cookies if "Max-Age=0" not in cookie]
    assert [world.rows(table) for table in ("accounts", "identities", "sessions")] == [0, 0, 0]
    return answer.text.partition('data-error="')[2].partition('"')[0]


def test_another_browser_is_refused(world: World) -> None:
    with world.gateway.browser() as hers, world.gateway.browser() as his:
        callback = world.start(hers, "google")
        assert code_of(world, his.get(callback)) == "attempt_missing"
    assert not world.google.called("token")


def test_the_callback_of_another_provider_is_refused(world: World) -> None:
    with world.gateway.browser() as browser:
        callback = world.start(browser, "google").replace("/auth/google/", "/auth/microsoft/")
        assert code_of(world, browser.get(callback)) == "attempt_mismatch"
    assert not world.google.called("token")
    assert not world.microsoft.called("token")


def test_a_second_use_is_refused(world: World) -> None:
    with world.gateway.browser() as browser:
        started = browser.get("/auth/google/login")
        attempt = started.headers["set-cookie"].partition(";")[0]
        callback = httpx2.get(started.headers["location"]).headers["location"]
        assert browser.get(callback).status_code == 303
        again = browser.get(callback, headers={"Cookie": attempt})
    assert 'data-error="attempt_used"' in again.text
    assert len(world.google.called("token")) == 1
    assert world.rows("sessions") == 1


def test_of_parallel_uses_one_wins(world: World) -> None:
    with world.gateway.browser() as browser:
        started = browser.get("/auth/google/login")
        attempt = {"Cookie": started.headers["set-cookie"].partition(";")[0]}
        callback = httpx2.get(started.headers["location"]).headers["location"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: httpx2.get(callback, headers=attempt).status_code, range(8)))
    assert sorted(answers) == [303] + [400] * 7
    assert len(world.google.called("token")) == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"state": None}, "attempt_missing"),
        ({"state": ""}, "attempt_missing"),
        ({"state": "x" * 32}, "attempt_missing"),
        ({"state": "../../x"}, "attempt_missing"),
        ({"code": None}, "invalid_request"),
        ({"code": ""}, "invalid_request"),
        ({"iss": "https://evil.example"}, "issuer_mismatch"),
    ],
)
def test_a_changed_answer_is_refused(sqlite_world: World, change: dict[str, str | None], error: str) -> None:
    world = sqlite_world
    with world.gateway.browser() as browser:
        url = urlsplit(world.start(browser, "google"))
        params = {name: value for name, (value, *_) in parse_qs(url.query).items()} | change
        query = urlencode({name: value for name, value in params.items() if value is not None})
        assert code_of(world, browser.get(url._replace(query=query).geturl())) == error
    assert not world.google.called("token")


@pytest.mark.parametrize("name", ["code", "state", "iss", "error"])
def test_a_doubled_parameter_is_refused(sqlite_world: World, name: str) -> None:
    world = sqlite_world
    with world.gateway.browser() as browser:
        callback = world.start(browser, "google") + f"&{name}=once&{name}=twice"
        assert code_of(world, browser.get(callback)) == "invalid_request"
    assert not world.google.called("token")


def test_five_tabs_finish_in_any_order(world: World) -> None:
    with world.gateway.browser() as browser:
        callbacks = [world.start(browser, "google", redirect_to=f"/tab/{tab}") for tab in range(5)]
        answers = [browser.get(callbacks[tab]) for tab in (3, 0, 4, 2, 1)]
    assert [answer.headers["location"] for answer in answers] == [f"/tab/{tab}" for tab in (3, 0, 4, 2, 1)]


def test_a_browser_that_collects_attempts_forgets_the_oldest(sqlite_world: World) -> None:
    with sqlite_world.gateway.browser() as browser:
        for _ in range(20):
            browser.get("/auth/google/login")
        carried = [name for name in browser.cookies if name.startswith("gateway-attempt-")]
    assert len(carried) == 8


@pytest.mark.parametrize("signed_in", [False, True])
def test_the_cookies_of_many_long_attempts_stay_short_enough_to_send(sqlite_world: World, signed_in: bool) -> None:
    with sqlite_world.gateway.browser() as browser:
        if signed_in:
            sqlite_world.sign_in(browser, "google")
        for _ in range(20):
            browser.get("/auth/google/login", params={"redirect_to": "/" + secrets.token_urlsafe(383)[:511]})
        sent = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    assert sent.count("gateway-attempt-") > 2
    assert len(sent) <= 6000


def test_start_again_keeps_the_target(sqlite_world: World) -> None:
    with sqlite_world.gateway.browser() as browser:
        callback = sqlite_world.start(browser, "google", redirect_to="/app/page?x=1")
        page = browser.get(callback.replace("code=", "code=&ignored="))
    assert "/auth/google/login?redirect_to=%2Fapp%2Fpage%3Fx%3D1" in page.text


def test_an_expired_attempt_is_refused(sqlite_url: str) -> None:
    moved = {"by": 0.0}
    with harness.world(sqlite_url, clock=lambda: time.time() + moved["by"]) as world:
        with world.gateway.browser() as browser:
            callback = world.start(browser, "google")
            moved["by"] = 661
            assert code_of(world, browser.get(callback)) == "attempt_expired"
        assert not world.google.called("token")
