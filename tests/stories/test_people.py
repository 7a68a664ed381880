"""Who becomes which account: the key is (issuer, subject); an address never leads anywhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from gateway.testing import Person

import harness
from harness import World


def me(world: World, provider: str, person: Person | None = None) -> dict[str, Any]:
    """Sign in as a person, in a browser of their own, and ask who that is."""
    stand_in = world.google if provider == "google" else world.microsoft
    stand_in.next_person = person
    with world.gateway.browser() as browser:
        answer = world.sign_in(browser, provider)
        assert answer.status_code == 303, answer.text
        found: dict[str, Any] = browser.get("/auth/me").json()
    return found


def ada(world: World) -> Person:
    return world.google.people[0]


def test_the_same_person_is_the_same_account(world: World) -> None:
    assert me(world, "google")["id"] == me(world, "google")["id"]


def test_two_first_sign_ins_at_the_same_moment_give_one_account_and_two_sessions(world: World) -> None:
    with world.gateway.browser() as one, world.gateway.browser() as two:
        callbacks = [(browser, world.start(browser, "google")) for browser in (one, two)]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda pair: pair[0].get(pair[1]), callbacks))
    assert [answer.status_code for answer in answers] == [303, 303]
    assert [world.rows(table) for table in ("accounts", "identities", "sessions")] == [1, 1, 2]


def test_the_same_subject_of_two_issuers_is_two_accounts(world: World) -> None:
    person = replace(
        world.microsoft.people[0], object_id="aaaaaaaa-0000-4000-8000-000000000001", email="other@example.com"
    )
    same = replace(ada(world), subject="aaaaaaaa-0000-4000-8000-000000000001")
    world.microsoft.people.append(person)
    world.google.people.append(same)
    assert me(world, "microsoft", person)["id"] != me(world, "google", same)["id"]


@pytest.mark.parametrize("verified", [True, False])
def test_an_equal_address_is_not_an_equal_account(database_url: str, verified: bool) -> None:
    with harness.world(database_url, account_linking="never") as world:
        stranger = replace(ada(world), subject="190000000000000000009", email_verified=verified)
        world.google.people.append(stranger)
        assert me(world, "google", ada(world))["id"] != me(world, "google", stranger)["id"]


def test_an_account_survives_a_new_address(world: World) -> None:
    before = me(world, "google", ada(world))
    after = me(world, "google", replace(ada(world), email="lovelace@example.com"))
    assert after["id"] == before["id"]
    assert (after["email"], after["identities"][0]["email"]) == ("ada@example.com", "lovelace@example.com")


def test_a_microsoft_account_survives_a_new_address_and_user_name(world: World) -> None:
    person = world.microsoft.people[0]
    before = me(world, "microsoft", person)
    moved = replace(person, email="moved@example.com", claims={"preferred_username": "moved@example.com"})
    assert me(world, "microsoft", moved)["id"] == before["id"]


def test_an_account_survives_another_name_of_its_provider(database_url: str) -> None:
    with harness.world(database_url) as world:
        before = me(world, "google")
        settings = world.gateway.app.parts.settings
        renamed = {"corporate": replace(settings.providers["google"], name="corporate", label="Corporate")}
        port = harness.free_port()
        url = f"http://localhost:{port}"
        client = world.google.clients[0]
        world.google.clients[0] = replace(client, redirect_uris=(f"{url}/auth/corporate/callback",))
        with harness.running(replace(settings, providers=renamed, public_url=url, audience=url)) as again:
            other = World(again, world.google, world.microsoft)
            with again.browser() as browser:
                assert other.sign_in(browser, "corporate").status_code == 303
                after = browser.get("/auth/me").json()
    assert after["id"] == before["id"]
    assert after["identities"][0]["provider"] == "corporate"


def test_a_person_without_an_address_signs_in(world: World) -> None:
    nobody = replace(ada(world), subject="180000000000000000008", email=None)
    world.google.people.append(nobody)
    found = me(world, "google", nobody)
    assert (found["email"], found["email_verified"]) == (None, False)


def test_a_disabled_account_is_refused(world: World) -> None:
    me(world, "google")
    world.all("UPDATE accounts SET disabled_at = 1 RETURNING id")
    with world.gateway.browser() as browser:
        answer = world.sign_in(browser, "google")
    assert answer.status_code == 403
    assert 'data-error="account_disabled"' in answer.text
    assert world.rows("sessions") == 1


def test_signing_in_again_replaces_the_session_of_this_browser(world: World) -> None:
    with world.gateway.browser() as browser:
        world.sign_in(browser, "google")
        first = browser.cookies["gateway"]
        world.sign_in(browser, "google")
        assert browser.get("/auth/me").status_code == 200
    with world.gateway.api(Authorization=f"Bearer {first}") as api:
        assert api.get("/auth/me").status_code == 401


@pytest.mark.parametrize(
    ("policy", "status", "error"),
    [
        ({"signup": "open"}, 303, ""),
        ({"signup": "closed"}, 403, "signup_closed"),
        ({"signup": "domains", "signup_domains": ["example.com"]}, 303, ""),
        ({"signup": "domains", "signup_domains": ["else.example"]}, 403, "domain_not_allowed"),
    ],
)
def test_sign_up_policies(sqlite_url: str, policy: dict[str, Any], status: int, error: str) -> None:
    with harness.world(sqlite_url, **policy) as world, world.gateway.browser() as browser:
        answer = world.sign_in(browser, "google")
        assert answer.status_code == status
        assert answer.text.partition('data-error="')[2].partition('"')[0] == error
        assert world.rows("accounts") == (1 if status == 303 else 0)
