"""Linking, joining, merging, over HTTP: nobody reaches an account they did not prove."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from gateway.db import Database
from gateway.flows import operate
from gateway.testing import Person

import harness
from harness import World

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


@contextmanager
def signed_in(world: World, provider: str, person: Person | None = None) -> Iterator[httpx2.Client]:
    stand_in = world.google if provider == "google" else world.microsoft
    stand_in.next_person = person
    with world.gateway.browser(**SAME_SITE) as browser:
        answer = world.sign_in(browser, provider)
        assert (answer.status_code, answer.headers["location"]) == (303, "/auth/account"), answer.text
        yield browser


def through(world: World, browser: httpx2.Client, started: httpx2.Response) -> httpx2.Response:
    """From a form of ours through the provider and back."""
    assert started.status_code == 303, started.text
    return browser.get(httpx2.get(started.headers["location"], trust_env=False).headers["location"])


def me(browser: httpx2.Client) -> dict[str, Any]:
    found: dict[str, Any] = browser.get("/auth/me").json()
    return found


def error(answer: httpx2.Response) -> str:
    return answer.text.partition('data-error="')[2].partition('"')[0]


def events(world: World) -> Counter[str]:
    return Counter(row[0] for row in world.all("SELECT name FROM events"))


@pytest.fixture
def ada(world: World) -> Iterator[httpx2.Client]:
    with signed_in(world, "google") as browser:
        yield browser


def test_linking_makes_two_ways_to_one_account(world: World, ada: httpx2.Client) -> None:
    back = through(world, ada, ada.post("/auth/microsoft/link"))
    assert (back.status_code, back.headers["location"]) == (303, "/auth/account")
    linked = me(ada)
    with signed_in(world, "microsoft") as browser:
        assert me(browser)["id"] == linked["id"]
    assert {identity["provider"] for identity in linked["identities"]} == {"google", "microsoft"}
    assert events(world)["identity_linked"] == 1


def test_linking_by_api_says_where_to_go(world: World, ada: httpx2.Client) -> None:
    answer = ada.post("/auth/microsoft/link", headers={"Accept": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["location"].startswith(world.microsoft.base_url)


def test_several_identities_of_one_provider(world: World, ada: httpx2.Client) -> None:
    world.google.next_person = world.google.people[1]
    through(world, ada, ada.post("/auth/google/link"))
    assert [identity["provider"] for identity in me(ada)["identities"]] == ["google", "google"]


def test_linking_needs_a_session_that_still_lives(world: World, ada: httpx2.Client) -> None:
    started = ada.post("/auth/microsoft/link")
    attempt = {name: value for name, value in ada.cookies.items() if "attempt" in name}
    ada.post("/auth/logout")
    ada.cookies.update(attempt)
    answer = through(world, ada, started)
    assert (answer.status_code, error(answer)) == (400, "attempt_mismatch")
    assert world.rows("identities") == 1


def test_linking_is_refused_when_the_browser_has_changed_hands(world: World, ada: httpx2.Client) -> None:
    started = ada.post("/auth/microsoft/link")
    world.google.next_person = world.google.people[1]
    world.sign_in(ada, "google")
    answer = through(world, ada, started)
    assert (answer.status_code, error(answer)) == (400, "attempt_mismatch")


def test_linking_needs_a_recent_sign_in(sqlite_url: str) -> None:
    with harness.world(sqlite_url, reauthentication_max_age=1) as world, signed_in(world, "google") as browser:
        world.execute("UPDATE sessions SET auth_time = auth_time - 60")
        browser.post("/auth/refresh")
        for path in ("/auth/microsoft/link", "/auth/me/delete", "/auth/identities/x/unlink"):
            answer = browser.post(path)
            assert (answer.status_code, error(answer)) == (403, "reauthentication_required")
        assert "/auth/google/login?prompt=login" in answer.text


def test_unlinking_leaves_the_last_and_ends_its_sessions(world: World, ada: httpx2.Client) -> None:
    through(world, ada, ada.post("/auth/microsoft/link"))
    ids = {identity["provider"]: identity["id"] for identity in me(ada)["identities"]}
    with signed_in(world, "microsoft") as other:
        assert ada.post(f"/auth/identities/{ids['microsoft']}/unlink").status_code == 303
        assert other.get("/auth/verify").status_code == 401
    answer = ada.delete(f"/auth/identities/{ids['google']}", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (409, "last_identity")


def test_unlinking_what_is_not_mine_is_not_found(world: World, ada: httpx2.Client) -> None:
    with signed_in(world, "google", world.google.people[1]) as grace:
        hers = me(grace)["identities"][0]["id"]
        assert ada.delete(f"/auth/identities/{hers}").status_code == 404


def test_a_known_address_leads_to_a_question_and_writes_nothing(world: World, ada: httpx2.Client) -> None:
    with world.gateway.browser() as browser:
        answer = world.sign_in(browser, "microsoft")
        assert (answer.status_code, answer.headers["location"]) == (303, "/auth/join")
        page = browser.get("/auth/join")
    assert "Continue with Google" in page.text
    assert "Keep a separate account" in page.text
    assert [world.rows(table) for table in ("accounts", "identities", "sessions")] == [1, 1, 1]


def test_the_question_answered_with_the_known_identity_joins(world: World, ada: httpx2.Client) -> None:
    with world.gateway.browser(**SAME_SITE) as browser:
        world.sign_in(browser, "microsoft", redirect_to="/app")
        answer = through(world, browser, browser.post("/auth/join", data={"provider": "google"}))
        assert (answer.status_code, answer.headers["location"]) == (303, "/app")
        assert me(browser)["id"] == me(ada)["id"]
        assert len(me(browser)["identities"]) == 2


def test_the_question_answered_with_another_identity_joins_nothing(world: World, ada: httpx2.Client) -> None:
    with signed_in(world, "google", world.google.people[1]):
        pass
    with world.gateway.browser(**SAME_SITE) as browser:
        world.sign_in(browser, "microsoft")
        world.google.next_person = world.google.people[1]
        answer = through(world, browser, browser.post("/auth/join", data={"provider": "google"}))
        assert (answer.status_code, error(answer)) == (400, "attempt_mismatch")
        assert browser.get("/auth/join").status_code == 200  # the question stays open
    assert world.rows("identities") == 2


def test_the_question_answered_with_no_keeps_a_separate_account(world: World, ada: httpx2.Client) -> None:
    with world.gateway.browser(**SAME_SITE) as browser:
        world.sign_in(browser, "microsoft")
        assert browser.post("/auth/join", data={"separate": "yes"}).status_code == 303
        assert me(browser)["id"] != me(ada)["id"]
        again = browser.post("/auth/join", data={"separate": "yes"})
        assert error(again) == "attempt_expired"


def test_the_question_belongs_to_its_browser(world: World, ada: httpx2.Client) -> None:
    with world.gateway.browser(**SAME_SITE) as browser, world.gateway.browser(**SAME_SITE) as thief:
        world.sign_in(browser, "microsoft")
        for answer in (thief.get("/auth/join"), thief.post("/auth/join", data={"separate": "yes"})):
            assert (answer.status_code, error(answer)) == (400, "attempt_expired")


@pytest.mark.parametrize("linking", ["never", "verified"])
def test_without_asking(sqlite_url: str, linking: str) -> None:
    with harness.world(sqlite_url, account_linking=linking) as world:
        with signed_in(world, "google") as browser:
            first = me(browser)["id"]
        with signed_in(world, "microsoft") as browser:
            second = me(browser)["id"]
    assert first != second  # a work account is no authority for the address


def test_merging_two_accounts(world: World, ada: httpx2.Client) -> None:
    grace = world.google.people[1]
    with signed_in(world, "google", grace) as hers:
        absorbed = me(hers)["id"]
        world.google.next_person = grace
        back = through(world, ada, ada.post("/auth/google/link"))
        assert back.headers["location"] == "/auth/merge"
        page = ada.get("/auth/merge")
        assert "grace@example.net" in page.text
        assert ada.post("/auth/merge").status_code == 303
        assert hers.get("/auth/verify").status_code == 401
    merged = me(ada)
    assert merged["merged_from"] == [absorbed]
    assert len(merged["identities"]) == 2
    with signed_in(world, "google", grace) as hers:
        assert me(hers)["id"] == merged["id"]
    assert world.rows("accounts") == 2  # a tombstone stays


def test_an_offer_to_merge_belongs_to_its_session(world: World, ada: httpx2.Client) -> None:
    grace = world.google.people[1]
    with signed_in(world, "google", grace):
        pass
    world.google.next_person = grace
    through(world, ada, ada.post("/auth/google/link"))
    pending = ada.cookies["gateway-pending"]
    with signed_in(world, "google", world.google.people[2]) as thief:
        thief.cookies.set("gateway-pending", pending)
        assert error(thief.get("/auth/merge")) == "attempt_mismatch"
        assert error(thief.post("/auth/merge")) == "attempt_mismatch"
    assert world.all("SELECT count(*) FROM accounts WHERE merged_into IS NOT NULL") == [(0,)]


def test_deleting_and_coming_back(world: World, ada: httpx2.Client) -> None:
    mine = me(ada)["id"]
    answer = ada.delete("/auth/me", headers={"Accept": "application/json"})
    assert answer.status_code == 202
    assert not ada.cookies
    with signed_in(world, "google") as browser:
        assert me(browser)["id"] == mine
    assert world.all("SELECT delete_at FROM accounts") == [(None,)]
    assert events(world)["deletion_cancelled"] == 1


def test_the_export_holds_everything(world: World, ada: httpx2.Client) -> None:
    answer = ada.get("/auth/me/export")
    held = answer.json()
    assert "attachment" in answer.headers["content-disposition"]
    assert held["account"]["email"] == "ada@example.com"
    assert [len(held[kind]) for kind in ("identities", "sessions")] == [1, 1]
    assert {event["name"] for event in held["events"]} >= {"account_created", "signed_in"}


def test_the_owner_chooses_name_and_address(world: World, ada: httpx2.Client) -> None:
    world.google.next_person = world.google.people[1]
    through(world, ada, ada.post("/auth/google/link"))
    assert ada.patch("/auth/me", json={"name": "Countess", "email": "grace@example.net"}).status_code == 204
    ada.post("/auth/refresh")
    assert (me(ada)["name"], me(ada)["email"]) == ("Countess", "grace@example.net")
    assert ada.get("/auth/verify").headers["x-auth-request-email"] == "grace@example.net"


def test_the_owner_chooses_a_picture_of_their_identities(world: World, ada: httpx2.Client) -> None:
    before = me(ada)["picture"]
    world.google.next_person = world.google.people[1]
    through(world, ada, ada.post("/auth/google/link"))
    other = next(
        each["picture"] for each in ada.get("/auth/me/export").json()["identities"] if each["picture"] != before
    )
    assert me(ada)["picture"] == before  # a link changes nothing of the account's own
    for chosen in (other, None, before):
        assert ada.patch("/auth/me", json={"picture": chosen}).status_code == 204
        assert me(ada)["picture"] == chosen
    assert ada.post("/auth/me/profile", data={"picture": other}).status_code == 303
    assert me(ada)["picture"] == other
    assert ada.post("/auth/me/profile", data={"picture": "none"}).status_code == 303
    assert me(ada)["picture"] is None


@pytest.mark.parametrize(
    "wanted",
    [
        {"picture": "https://evil.example/x.png"},
        {"picture": ""},
        {"email": "root@example.com"},
        {"email": 1},
        {"name": ""},
        {"name": "x" * 101},
        {"name": None},
        {},
    ],
)
def test_no_address_that_is_not_verified_here(sqlite_world: World, wanted: dict[str, Any]) -> None:
    with signed_in(sqlite_world, "google") as browser:
        assert browser.patch("/auth/me", json=wanted).status_code == 400
        assert me(browser)["email"] == "ada@example.com"


NOAUTH: list[dict[str, Any]] = [
    {"edov": None},
    {"edov": False},
    {"edov": "false"},
    {"edov": 0},
    {"edov": "0"},
    {"edov": None, "claims": {"email_verified": True}},
    {"edov": None, "claims": {"email_verified": "true"}},
    {"edov": None, "email": None, "claims": {"preferred_username": "ada@example.com", "upn": "ada@example.com"}},
    {"edov": True, "email": "ada@example.com."},
    {"edov": True, "email": "аda@example.com"},
    {"edov": True, "email": "ada\u200b@example.com"},
    {"edov": True, "email": "ada@example.com@evil.example"},
    {"edov": True, "email": "ADA@example.com\u0130"},
]


@pytest.mark.parametrize("change", NOAUTH)
def test_a_foreign_tenant_asserting_the_address_gets_nothing(sqlite_world: World, change: dict[str, Any]) -> None:
    with signed_in(sqlite_world, "google"):
        pass
    foreign = replace(sqlite_world.microsoft.people[0], object_id="bbbbbbbb-0000-4000-8000-000000000009", **change)
    sqlite_world.microsoft.people.append(foreign)
    with signed_in(sqlite_world, "microsoft", foreign) as browser:  # no question, an account of its own
        assert len(me(browser)["identities"]) == 1
    assert sqlite_world.rows("accounts") == 2


def test_an_invitation_opens_a_closed_door_once(database_url: str) -> None:
    with harness.world(database_url, signup="closed") as world:
        link = asyncio.run(invited(world, "editor"))
        token = link.partition("invitation=")[2]
        with world.gateway.browser() as browser:
            assert "You have been invited" in browser.get(link).text
            assert world.sign_in(browser, "google", invitation=token).status_code == 303
            assert me(browser)["roles"] == ["editor"]
        world.google.next_person = world.google.people[1]
        with world.gateway.browser() as second:
            refused = world.sign_in(second, "google", invitation=token)
            assert (refused.status_code, error(refused)) == (403, "signup_closed")
    assert world.rows("accounts") == 1


async def invited(world: World, role: str) -> str:
    database = Database(world.gateway.app.parts.settings.database_url)
    try:
        return await operate.invite(database, world.gateway.url, "new@example.com", role, int(time.time()))
    finally:
        await database.close()


def test_a_granted_role_arrives_with_the_next_token(world: World, ada: httpx2.Client) -> None:
    async def grant(what: Any) -> None:
        database = Database(world.gateway.app.parts.settings.database_url)
        await what(database, uuid.UUID(me(ada)["id"]), "admin", int(time.time()))
        await database.close()

    asyncio.run(grant(operate.grant))
    ada.post("/auth/refresh")
    assert ada.get("/auth/verify?role=admin").status_code == 200
    asyncio.run(grant(operate.withdraw))
    ada.post("/auth/refresh")
    assert ada.get("/auth/verify?role=admin").status_code == 403


def test_what_an_owner_did_names_the_session_it_was_done_in(world: World, ada: httpx2.Client) -> None:
    through(world, ada, ada.post("/auth/microsoft/link"))
    ada.patch("/auth/me", json={"name": "Countess"})
    microsoft = next(each["id"] for each in me(ada)["identities"] if each["provider"] == "microsoft")
    session = me(ada)["session"]["id"]
    ada.delete(f"/auth/identities/{microsoft}")
    done = {each["name"]: each["session_id"] for each in ada.get("/auth/me/export").json()["events"]}
    assert [done[name] for name in ("identity_linked", "profile_changed", "identity_unlinked")] == [session] * 3


def test_recent_activity_is_shown_to_its_owner(world: World, ada: httpx2.Client) -> None:
    page = ada.get("/auth/account").text
    assert "Recent activity" in page
    assert "Account created with Google" in page


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}, {}]
)
def test_another_site_links_merges_and_deletes_nothing(sqlite_world: World, headers: dict[str, str]) -> None:
    world = sqlite_world
    with world.gateway.browser() as browser:
        world.sign_in(browser, "google")
        identity = me(browser)["identities"][0]["id"]
        for path in (
            "/auth/microsoft/link",
            f"/auth/identities/{identity}/unlink",
            "/auth/join",
            "/auth/merge",
            "/auth/me/profile",
            "/auth/me/delete",
        ):
            answer = browser.post(path, data={"name": "Mallory"}, headers=headers)
            assert (answer.status_code, error(answer)) == (403, "cross_site"), path
        assert me(browser)["name"] == "Ada Lovelace"
