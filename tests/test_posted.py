"""Sign-in with a posted ID token: with which nonce, how often, and what comes of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx2
import pytest

from gateway.errors import NonceMismatch
from gateway.flows.posted import judge_nonce
from gateway.testing import Client, answers
from gateway.testing.behaviour import Behaviour
from gateway.testing.google import person

from harness import World
from harness import world as make_world
from posting import SESSION, ask_nonce, post, post_form, sign_in, token

ADA = 0  # verified at Google and at Microsoft


class Time:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def client(sqlite_world: World) -> Iterator[httpx2.Client]:
    with sqlite_world.gateway.api() as client:
        yield client


def reasons(world: World) -> list[str]:
    found = world.all("SELECT detail FROM events WHERE name = 'sign_in_refused' ORDER BY at, id")
    return [(json.loads(detail) if isinstance(detail, str) else detail)["reason"] for (detail,) in found]


def assert_refused(world: World, answer: httpx2.Response, error: str, status: int = 400) -> None:
    """No cookie, no row, one event."""
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert {cookie.name for cookie in answer.cookies.jar}.isdisjoint(SESSION)
    assert [world.rows(table) for table in ("accounts", "identities", "sessions")] == [0, 0, 0]
    assert reasons(world) == [error]


def test_signing_in(world: World) -> None:
    with world.gateway.api() as client:
        answer = sign_in(world, client)
        me = client.get("/auth/me").json()
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 300
    assert answer.json()["account"] == {name: me[name] for name in answer.json()["account"]}
    assert answer.json()["account"]["email"] == "grace@example.net"
    assert me["session"]["provider"] == "google"


def test_the_cookies_are_those_of_any_session(sqlite_world: World, client: httpx2.Client) -> None:
    sign_in(sqlite_world, client)
    assert set(client.cookies) == SESSION  # the nonce's is gone
    assert client.post("/auth/refresh").json() == {"expires_in": 300}


def test_the_nonce_may_be_said_again(sqlite_world: World, client: httpx2.Client) -> None:
    nonce = ask_nonce(client)
    assert post(client, token(sqlite_world, nonce), nonce=nonce).status_code == 200


def test_the_same_person_as_by_redirect(sqlite_world: World, client: httpx2.Client) -> None:
    sqlite_world.google.next_person = sqlite_world.google.people[1]
    with sqlite_world.gateway.browser() as browser:
        sqlite_world.sign_in(browser, "google")
        by_redirect = browser.get("/auth/me").json()["id"]
    assert sign_in(sqlite_world, client).json()["account"]["id"] == by_redirect


def test_a_nonce_is_for_this_browser(sqlite_world: World, client: httpx2.Client) -> None:
    with sqlite_world.gateway.api() as other:
        theirs = token(sqlite_world, ask_nonce(other))
    ask_nonce(client)
    assert_refused(sqlite_world, post(client, theirs), "nonce_mismatch")


def test_a_nonce_is_for_its_provider(sqlite_world: World, client: httpx2.Client) -> None:
    assert_refused(sqlite_world, post(client, token(sqlite_world, ask_nonce(client, "microsoft"))), "nonce_mismatch")


@pytest.mark.parametrize("nonce", [None, "chosen-by-somebody", "A" * 43, ""])
def test_a_nonce_must_be_one_of_ours(sqlite_world: World, client: httpx2.Client, nonce: str | None) -> None:
    ask_nonce(client)
    assert_refused(sqlite_world, post(client, token(sqlite_world, nonce)), "nonce_mismatch")


def test_another_nonce_than_the_request_says(sqlite_world: World, client: httpx2.Client) -> None:
    said, carried = ask_nonce(client), ask_nonce(client)
    assert_refused(sqlite_world, post(client, token(sqlite_world, carried), nonce=said), "nonce_mismatch")


def test_a_token_of_a_redirect_is_not_for_posting(sqlite_world: World) -> None:
    """Its nonce belongs to that attempt, which this browser carries too."""
    with sqlite_world.gateway.browser(Origin=sqlite_world.gateway.url, Accept="*/*") as browser:
        started = browser.get("/auth/google/login")
        nonce = httpx2.URL(started.headers["location"]).params["nonce"]
        ask_nonce(browser)
        assert_refused(sqlite_world, post(browser, token(sqlite_world, nonce)), "nonce_mismatch")


def test_a_nonce_lasts_ten_minutes(sqlite_url: str) -> None:
    clock = Time()
    with make_world(sqlite_url, clock=clock) as world, world.gateway.api() as client:
        nonce = ask_nonce(client)
        clock.ahead = 601
        carried = {"Cookie": f"gateway-nonce={client.cookies['gateway-nonce']}"}
        assert_refused(world, post(client, token(world, nonce), headers=carried), "nonce_mismatch")


def test_several_tabs_have_a_nonce_each(sqlite_world: World, client: httpx2.Client) -> None:
    first, second = ask_nonce(client), ask_nonce(client)
    kept = dict(client.cookies)
    assert post(client, token(sqlite_world, first)).status_code == 200
    client.cookies.update(kept)
    assert post(client, token(sqlite_world, second)).status_code == 200


def test_a_token_counts_once(world: World) -> None:
    with world.gateway.api() as client:
        posted = token(world, ask_nonce(client))
        kept = dict(client.cookies)
        assert post(client, posted).status_code == 200
        client.cookies.clear()
        client.cookies.update(kept)
        again = post(client, posted)
    assert (again.status_code, again.json()["error"]) == (400, "attempt_used")
    assert again.cookies.get("gateway") is None
    assert (world.rows("sessions"), reasons(world)) == (1, ["attempt_used"])


def test_a_nonce_counts_once(sqlite_world: World, client: httpx2.Client) -> None:
    nonce = ask_nonce(client)
    kept = dict(client.cookies)
    one, other = token(sqlite_world, nonce), token(sqlite_world, nonce, ADA)
    assert post(client, one).status_code == 200
    client.cookies.clear()
    client.cookies.update(kept)
    again = post(client, other)
    assert (again.status_code, again.json()["error"]) == (400, "nonce_mismatch")
    assert sqlite_world.rows("accounts") == 1


def test_many_at_once_are_one(world: World) -> None:
    with world.gateway.api() as client:
        posted = token(world, ask_nonce(client))
        kept = dict(client.cookies)

    def bring(_: int) -> int:
        with world.gateway.api() as other:
            other.cookies.update(kept)
            return post(other, posted).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(bring, range(16))) == [200] + [400] * 15
    assert world.rows("sessions") == world.rows("accounts") == 1


def test_an_access_token_proves_nothing(sqlite_world: World, client: httpx2.Client) -> None:
    """RFC 9700 section 4.6: neither Google's, which is opaque, nor Microsoft's, which is a JWT for somebody else."""
    opaque = sqlite_world.google.access_token()
    assert_refused(sqlite_world, post(client, opaque), "invalid_id_token")
    graph = replace(sqlite_world.microsoft.people[0], claims={"aud": "00000003-0000-0000-c000-000000000000"})
    nonce = ask_nonce(client, "microsoft")
    answer = post(client, token(sqlite_world, nonce, graph, "microsoft"), "microsoft")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_id_token")
    assert sqlite_world.rows("accounts") == sqlite_world.rows("spent") == 0


def test_our_own_tokens_prove_nothing(sqlite_world: World, client: httpx2.Client) -> None:
    sign_in(sqlite_world, client)
    assert post(client, client.cookies["gateway"]).json()["error"] == "invalid_id_token"


def test_a_wrong_token_spends_nothing(sqlite_world: World, client: httpx2.Client) -> None:
    posted = token(sqlite_world, ask_nonce(client))
    head, _, signature = posted.rpartition(".")
    assert_refused(sqlite_world, post(client, f"{head}.{signature[::-1]}"), "invalid_id_token")
    assert sqlite_world.rows("spent") == 0
    assert post(client, posted).status_code == 200


@pytest.fixture
def optional(sqlite_url: str) -> Iterator[World]:
    """Microsoft without a nonce of ours, and with the client id of a phone's app."""
    entra = {"id_token_nonce": "optional", "audiences": ["phone"]}
    with make_world(sqlite_url, entra=entra) as world:
        world.microsoft.clients.append(Client(id="phone"))
        yield world


@pytest.mark.parametrize("nonce", [None, "chosen-by-msal"])
def test_where_the_nonce_is_optional_a_token_still_counts_once(optional: World, nonce: str | None) -> None:
    with optional.gateway.api() as client:
        posted = token(optional, nonce, 0, "microsoft")
        assert post(client, posted, "microsoft").status_code == 200
        again = post(client, posted, "microsoft")
    assert (again.status_code, again.json()["error"]) == (400, "attempt_used")


def test_where_the_nonce_is_optional_it_must_be_the_one_the_request_says(optional: World) -> None:
    with optional.gateway.api() as client:
        posted = token(optional, "one", 0, "microsoft")
        assert_refused(optional, post(client, posted, "microsoft", nonce="other"), "nonce_mismatch")


def test_further_audiences_count_here(optional: World) -> None:
    with optional.gateway.api() as client:
        posted = optional.microsoft.mint(optional.microsoft.people[0], "phone")
        assert post(client, posted, "microsoft").status_code == 200


def test_whoever_is_kept_out_by_redirect_is_kept_out_here(sqlite_url: str) -> None:
    with make_world(sqlite_url, signup="closed") as world, world.gateway.api() as client:
        assert_refused(world, sign_in(world, client), "signup_closed", 403)


def test_tenants_are_judged_as_by_redirect(sqlite_url: str) -> None:
    entra = {"allowed_tenants": ["6babcaad-604b-40ac-a9d7-9fd97c0b779f"]}
    with make_world(sqlite_url, entra=entra) as world, world.gateway.api() as client:
        posted = token(world, ask_nonce(client, "microsoft"), 0, "microsoft")
        assert_refused(world, post(client, posted, "microsoft"), "tenant_not_allowed", 403)


def test_a_disabled_account(sqlite_world: World, client: httpx2.Client) -> None:
    sign_in(sqlite_world, client)
    sqlite_world.execute("UPDATE accounts SET disabled_at = 1")
    with sqlite_world.gateway.api() as other:
        answer = sign_in(sqlite_world, other)
    assert (answer.status_code, answer.json()["error"]) == (403, "account_disabled")


def test_a_provider_that_cannot_be_reached_spends_nothing(sqlite_world: World, client: httpx2.Client) -> None:
    posted = token(sqlite_world, ask_nonce(client))
    sqlite_world.google.behaviour = Behaviour(answers={"jwks": answers.html(503)})
    assert_refused(sqlite_world, post(client, posted), "provider_unavailable", 503)
    assert sqlite_world.rows("spent") == 0


def known_account(world: World) -> None:
    """Ada has an account, by Microsoft."""
    world.microsoft.next_person = world.microsoft.people[0]
    with world.gateway.browser() as browser:
        assert world.sign_in(browser, "microsoft").status_code == 303


def test_a_known_address_is_told_with_what_to_do(sqlite_world: World, client: httpx2.Client) -> None:
    known_account(sqlite_world)
    answer = sign_in(sqlite_world, client, ADA, redirect_to="/there")
    told = answer.json()
    url = sqlite_world.gateway.url
    assert (answer.status_code, told["error"]) == (409, "account_exists")
    assert told["join_url"] == f"{url}/auth/join"
    login_url = f"{url}/auth/microsoft/login?redirect_to=%2Fthere"
    assert told["providers"] == [{"name": "microsoft", "label": "Microsoft", "login_url": login_url}]
    assert set(client.cookies).isdisjoint(SESSION)
    assert sqlite_world.rows("accounts") == sqlite_world.rows("identities") == 1


def test_the_question_can_be_answered_on_our_page(sqlite_world: World, client: httpx2.Client) -> None:
    known_account(sqlite_world)
    sign_in(sqlite_world, client, ADA, redirect_to="/there")
    assert "Microsoft" in client.get("/auth/join").text
    started = client.post("/auth/join", data={"provider": "microsoft"})
    sqlite_world.microsoft.next_person = sqlite_world.microsoft.people[0]
    callback = httpx2.get(started.headers["location"], trust_env=False).headers["location"]
    assert client.get(callback).headers["location"] == "/there"
    assert {one["provider"] for one in client.get("/auth/me").json()["identities"]} == {"google", "microsoft"}


def test_a_form_goes_to_the_question(sqlite_world: World, client: httpx2.Client) -> None:
    known_account(sqlite_world)
    answer = post_form(client, token(sqlite_world, ask_nonce(client), ADA), sqlite_world.gateway.url)
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/join")
    assert client.get("/auth/join").status_code == 200


def test_the_session_that_was_there_ends(sqlite_world: World, client: httpx2.Client) -> None:
    sign_in(sqlite_world, client)
    sign_in(sqlite_world, client)
    assert sqlite_world.all("SELECT end_reason FROM sessions WHERE ended_at IS NOT NULL") == [("replaced",)]


def test_it_ends_also_where_a_providers_page_posts(sqlite_world: World, client: httpx2.Client) -> None:
    """From another site only the nonce's cookie comes along; it remembers."""
    sign_in(sqlite_world, client)
    posted = token(sqlite_world, ask_nonce(client))
    for name in SESSION:
        client.cookies.delete(name)
    assert post_form(client, posted, sqlite_world.google.base_url).status_code == 303
    assert sqlite_world.all("SELECT end_reason FROM sessions WHERE ended_at IS NOT NULL") == [("replaced",)]


def test_a_target_that_is_not_allowed_costs_no_token(sqlite_world: World, client: httpx2.Client) -> None:
    posted = token(sqlite_world, ask_nonce(client))
    answer = post(client, posted, redirect_to="https://evil.example/")
    assert (answer.status_code, answer.json()["error"]) == (400, "redirect_not_allowed")
    assert post(client, posted).status_code == 200


def test_roles_are_told(sqlite_url: str) -> None:
    rules = [{"role": "admin", "emails": ["grace@example.net"]}]
    with make_world(sqlite_url, rules=rules) as world, world.gateway.api() as client:
        assert sign_in(world, client).json()["account"]["roles"] == ["admin"]


def test_somebody_without_an_address(sqlite_world: World, client: httpx2.Client) -> None:
    nobody = replace(person("No Address", "x@example.com"), email=None)
    account = sign_in(sqlite_world, client, nobody).json()["account"]
    assert (account["email"], account["email_verified"], account["roles"]) == (None, False, [])


def test_sign_ins_are_counted(sqlite_world: World, client: httpx2.Client) -> None:
    sign_in(sqlite_world, client)
    post(client, "nonsense")
    counted = client.get("/metrics").text
    assert 'gateway_sign_ins_total{provider="google",outcome="ok"} 1' in counted
    assert 'gateway_sign_ins_total{provider="google",outcome="invalid_id_token"} 1' in counted


@pytest.mark.parametrize(
    ("claimed", "given", "ours", "required", "spent"),
    [
        ("n", None, True, True, "n"),
        ("n", "n", True, True, "n"),
        ("n", None, True, False, "n"),
        ("n", None, False, False, None),
        ("n", "n", False, False, None),
        (None, None, False, False, None),
        ("n", "m", True, True, NonceMismatch),
        ("n", "", True, True, NonceMismatch),
        (None, "n", True, False, NonceMismatch),
        ("n", "m", False, False, NonceMismatch),
        ("n", None, False, True, NonceMismatch),
        (None, None, True, True, NonceMismatch),
    ],
)
def test_what_a_nonce_comes_to(
    claimed: str | None, given: str | None, ours: bool, required: bool, spent: str | type[NonceMismatch] | None
) -> None:
    def judge() -> str | None:
        return judge_nonce(claimed, given, lambda _nonce: ours, required=required)

    if spent is NonceMismatch:
        with pytest.raises(NonceMismatch):
            judge()
    else:
        assert judge() == spent
