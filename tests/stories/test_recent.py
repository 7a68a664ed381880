"""What a recent sign-in is: the provider's word for it where it gives one, and what may be done with an old one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from signed_in import Clock
from test_linking import SAME_SITE, error, me, signed_in, through

from gateway.testing import Behaviour, Client, StandIn, behaviour

import harness
from harness import PLAIN, Running, World, free_port, running, settings_for

HOUR = 3600


class Club:
    """A gateway with a provider that says in `auth_time` when somebody signed in there."""

    def __init__(self, gateway: Running, provider: StandIn) -> None:
        self.gateway, self.provider = gateway, provider

    def sign_in(self, browser: httpx2.Client, **query: str) -> tuple[dict[str, list[str]], httpx2.Response]:
        """The authorization request, and the answer of the callback."""
        started = browser.get("/auth/club/login", params=query)
        location = started.headers["location"]
        back = httpx2.get(location, **PLAIN).headers["location"]
        return parse_qs(urlsplit(location).query), browser.get(back)

    def says(self, ago: int | None) -> None:
        edit = behaviour.drop("auth_time") if ago is None else behaviour.put(auth_time=int(time.time()) - ago)
        self.provider.behaviour = Behaviour(id_token=edit)


@pytest.fixture
def club(sqlite_url: str) -> Iterator[Club]:
    port = free_port()
    callback = f"http://localhost:{port}/auth/club/callback"
    provider = StandIn(clients=[Client("club-client", "fake-secret", (callback,))])
    with provider.serve():
        table = {"discovery_url": provider.discovery_url, "client_id": "club-client", "client_secret": "fake-secret"}
        with running(settings_for(sqlite_url, {"club": table}, port)) as gateway:
            yield Club(gateway, provider)


def may_link(browser: httpx2.Client) -> bool:
    return browser.post("/auth/club/link", headers=SAME_SITE).status_code == 303


def auth_time(club: Club, browser: httpx2.Client) -> int:
    exported: int = browser.get("/auth/me/export").json()["sessions"][0]["auth_time"]
    return exported


@pytest.mark.parametrize(
    ("ago", "recent"), [(None, True), (0, True), (HOUR, False), (-HOUR, True)], ids=["none", "now", "old", "future"]
)
def test_the_providers_word_counts(club: Club, ago: int | None, recent: bool) -> None:
    club.says(ago)
    with club.gateway.browser() as browser:
        club.sign_in(browser)
        assert may_link(browser) is recent
        assert ("Confirm it is you" in browser.get("/auth/account").text) is not recent
        assert auth_time(club, browser) <= time.time()


def test_confirming_asks_for_a_fresh_sign_in_and_renews(club: Club) -> None:
    club.says(HOUR)
    with club.gateway.browser() as browser:
        asked, _ = club.sign_in(browser)
        assert not {"prompt", "max_age"} & asked.keys()
        club.provider.behaviour = Behaviour()
        asked, answer = club.sign_in(browser, prompt="login")
        assert (asked["prompt"], asked["max_age"], answer.status_code) == (["login"], ["0"], 303)
        assert may_link(browser)


@pytest.mark.parametrize("ago", [HOUR, 120])
def test_a_provider_that_let_somebody_through_has_confirmed_nothing(club: Club, ago: int) -> None:
    club.says(HOUR)
    with club.gateway.browser() as browser:
        club.sign_in(browser)
        before = me(browser)["session"]["id"]
        club.says(ago)
        _, answer = club.sign_in(browser, prompt="login", redirect_to="/auth/merge")
        assert (answer.status_code, error(answer)) == (403, "reauthentication_required")
        assert "Sign out there first" in answer.text
        assert "/auth/club/login?redirect_to=%2Fauth%2Fmerge&amp;prompt=login" in answer.text
        assert me(browser)["session"]["id"] == before
        assert not may_link(browser)


@pytest.mark.parametrize("ago", [30, None])
def test_clocks_may_differ_and_silence_is_no_lie(club: Club, ago: int | None) -> None:
    club.says(ago)
    with club.gateway.browser() as browser:
        started = int(time.time())
        _, answer = club.sign_in(browser, prompt="login")
        assert answer.status_code == 303
        assert auth_time(club, browser) >= started


@contextmanager
def two_accounts(sqlite_url: str, clock: Clock) -> Iterator[tuple[World, httpx2.Client]]:
    """Somebody who is offered to merge, nine minutes after signing in."""
    with harness.world(sqlite_url, clock=clock) as world:
        with signed_in(world, "microsoft", world.microsoft.people[1]):
            pass
        with signed_in(world, "google") as browser:
            clock.now += 9 * 60
            browser.post("/auth/refresh")
            world.microsoft.next_person = world.microsoft.people[1]
            offered = through(world, browser, browser.post("/auth/microsoft/link"))
            assert offered.headers["location"] == "/auth/merge", offered.text
            yield world, browser


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


def test_an_offer_outlives_confirming(sqlite_url: str, clock: Clock) -> None:
    with two_accounts(sqlite_url, clock) as (world, browser):
        assert "Confirm it is you" not in browser.get("/auth/merge").text
        clock.now += 2 * 60
        browser.post("/auth/refresh")
        assert "Confirm it is you" in browser.get("/auth/merge").text
        refused = browser.post("/auth/merge")
        assert (refused.status_code, error(refused)) == (403, "reauthentication_required")
        assert "redirect_to=%2Fauth%2Fmerge" in refused.text
        back = world.sign_in(browser, "google", prompt="login", redirect_to="/auth/merge")
        assert back.headers["location"] == "/auth/merge"
        assert "Merge two accounts?" in browser.get("/auth/merge").text
        assert browser.post("/auth/merge").status_code == 303
        assert len(me(browser)["identities"]) == 2


@pytest.mark.parametrize("who", ["the same, signed out between", "somebody else", "the other account"])
def test_an_offer_follows_nobody_else(sqlite_url: str, clock: Clock, who: str) -> None:
    with two_accounts(sqlite_url, clock) as (world, browser):
        if who == "the same, signed out between":
            browser.post("/auth/logout")
            world.sign_in(browser, "google")
        elif who == "somebody else":
            world.google.next_person = world.google.people[1]
            world.sign_in(browser, "google")
        else:
            world.microsoft.next_person = world.microsoft.people[1]
            world.sign_in(browser, "microsoft")
        answer = browser.post("/auth/merge")
        assert (answer.status_code, error(answer)) == (400, "attempt_mismatch")
        assert world.rows("merges") == 0


def test_google_is_asked_what_it_knows(sqlite_world: World) -> None:
    with sqlite_world.gateway.browser() as browser:
        location = browser.get("/auth/google/login", params={"prompt": "login"}).headers["location"]
        asked = parse_qs(urlsplit(location).query)
        assert (asked["prompt"], "max_age" in asked) == (["select_account"], False)
