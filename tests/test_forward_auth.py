"""Forward auth: identity headers for who may pass, and a refusal on any doubt."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import httpx2
import pytest

from gateway.testing.directory import EXAMPLE
from gateway.web.forward_auth import encoded

import harness
from harness import World

NAMES = ("user", "email", "preferred-username", "groups", "roles", "provider")


@pytest.fixture
def ada(sqlite_world: World) -> Iterator[httpx2.Client]:
    with sqlite_world.gateway.browser() as browser:
        sqlite_world.sign_in(browser, "google")
        yield browser


def test_every_identity_header_is_always_there(ada: httpx2.Client) -> None:
    answer = ada.get("/auth/verify")
    assert answer.status_code == 200
    found = {name: answer.headers[f"x-auth-request-{name}"] for name in NAMES}
    assert found["email"] == "ada@example.com"
    assert (found["groups"], found["roles"], found["provider"]) == ("", "", "google")
    assert answer.content == b""


def test_an_address_that_nobody_verified_is_not_handed_on(sqlite_world: World) -> None:
    person = replace(sqlite_world.google.people[0], subject="170000000000000000007", email_verified=False)
    sqlite_world.google.people.append(person)
    sqlite_world.google.next_person = person
    with sqlite_world.gateway.browser() as browser:
        sqlite_world.sign_in(browser, "google")
        assert browser.get("/auth/verify").headers["x-auth-request-email"] == ""


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200),
        ("?scope=email", 200),
        ("?scope=email&scope=openid", 200),
        ("?scope=admin", 403),
        ("?role=admin", 403),
        ("?group=staff", 403),
        ("?role=", 403),
        ("?scope=", 403),
        ("?group=", 403),
        ("?rôle=admin", 403),
        ("?unknown=x", 403),
        ("?scope=email&role=admin", 403),
    ],
)
def test_constraints(ada: httpx2.Client, query: str, status: int) -> None:
    assert ada.get(f"/auth/verify{query}").status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer x.y.z"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer " + "a" * 20_000},
        {"Cookie": "gateway=x"},
        {"Cookie": "gateway=" + "a" * 20_000},
        {"Cookie": b"gateway=\xff\xfe"},
        {"X-Auth-Request-User": "admin"},
    ],
)
def test_whoever_proves_nothing_does_not_pass(sqlite_world: World, headers: dict[str, str | bytes]) -> None:
    answer = httpx2.get(f"{sqlite_world.gateway.url}/auth/verify", headers=headers, trust_env=False)
    assert answer.status_code == 401
    assert "x-auth-request-user" not in answer.headers


def test_other_tokens_of_ours_do_not_pass(sqlite_world: World, ada: httpx2.Client) -> None:
    id_token = sqlite_world.google.mint(sqlite_world.google.people[0], "google-client")
    for token in (ada.cookies["gateway-refresh"], id_token):
        answer = httpx2.get(
            f"{sqlite_world.gateway.url}/auth/verify", headers={"Authorization": f"Bearer {token}"}, trust_env=False
        )
        assert answer.status_code == 401


def test_nobody_passes_when_nobody_can_tell(sqlite_world: World, ada: httpx2.Client) -> None:
    """The list of ended sessions cannot be read for longer than two seconds."""
    sqlite_world.execute("ALTER TABLE sessions RENAME TO sessions_gone")
    deadline = time.monotonic() + 10
    while (status := ada.get("/auth/verify").status_code) == 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert status == 503


def test_roles_and_groups_of_the_provider_reach_the_application(sqlite_url: str) -> None:
    rules = [{"role": "editor", "groups": ["0e000000-0000-4000-8000-00000000000a"]}]
    listed = {"tenant": "organizations", "allowed_tenants": [EXAMPLE]}
    with harness.world(sqlite_url, rules=rules, entra=listed) as world, world.gateway.browser() as browser:
        person = replace(world.microsoft.people[0], groups=("0e000000-0000-4000-8000-00000000000a",))
        world.microsoft.next_person = person
        world.sign_in(browser, "microsoft")
        answer = browser.get("/auth/verify?role=editor&group=0e000000-0000-4000-8000-00000000000a")
    assert answer.status_code == 200
    assert answer.headers["x-auth-request-roles"] == "editor"


def test_where_every_tenant_may_come_none_grants_roles(sqlite_url: str) -> None:
    rules = [{"role": "admin", "groups": ["ops"]}, {"role": "admin", "provider_roles": ["Admin"]}]
    with harness.world(sqlite_url, rules=rules) as world, world.gateway.browser() as browser:
        world.microsoft.next_person = replace(world.microsoft.people[0], groups=("ops",), roles=("Admin",))
        world.sign_in(browser, "microsoft")
        assert browser.get("/auth/verify?role=admin").status_code == 403
        assert browser.get("/auth/verify").headers["x-auth-request-groups"] == ""


def test_a_display_name_is_not_a_user_name(sqlite_world: World) -> None:
    person = replace(sqlite_world.google.people[1], name="admin", email_verified=False)
    sqlite_world.google.next_person = person
    with sqlite_world.gateway.browser() as browser:
        sqlite_world.sign_in(browser, "google")
        headers = browser.get("/auth/verify").headers
    assert headers["x-auth-request-preferred-username"] == headers["x-auth-request-user"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), b""),
        (("a", "b"), b"a,b"),
        (("a,b", "c%d"), b"a%2Cb,c%25d"),
        (("Ädä",), b"%C3%84d%C3%A4"),
        (("x\r\nSet-Cookie: y",), b"x%0D%0ASet-Cookie: y"),
    ],
)
def test_encoded(values: tuple[str, ...], expected: bytes) -> None:
    assert encoded(values) == expected
