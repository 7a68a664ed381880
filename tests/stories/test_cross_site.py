"""Nothing that another site makes a browser send changes anything: every route, in every disguise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from test_linking import error, me, signed_in

from gateway.app import ROUTES

from harness import World

# What changes something for somebody whose cookie the browser brings along.
CHANGES = [
    ("POST", "/auth/refresh"),
    ("POST", "/auth/logout"),
    ("POST", "/auth/microsoft/link"),
    ("POST", "/auth/join"),
    ("POST", "/auth/merge"),
    ("POST", "/auth/authorize"),
    ("PATCH", "/auth/me"),
    ("DELETE", "/auth/me"),
    ("POST", "/auth/me/profile"),
    ("POST", "/auth/me/delete"),
    ("DELETE", "/auth/identities/{identity}"),
    ("POST", "/auth/identities/{identity}/unlink"),
    ("DELETE", "/auth/sessions"),
    ("DELETE", "/auth/sessions/{other}"),
    ("POST", "/auth/sessions/{other}/end"),
    ("POST", "/auth/sessions/end-others"),
]
# What no cookie of the session opens: the request itself brings the proof.
OTHERWISE = {
    ("POST", "/auth/token"): "the client and its grant",
    ("POST", "/auth/revoke"): "the client and its token",
    ("POST", "/auth/introspect"): "the client, and it changes nothing",
    ("POST", "/auth/userinfo"): "a Bearer token, and it changes nothing",
    ("POST", "/auth/end-session"): "asks the person, or an ID token proves it; see the story of applications",
    ("POST", "/auth/{provider}/login"): "an ID token and its nonce; see the story of posted tokens",
    ("POST", "/auth/{provider}/callback"): "the attempt's own cookie and state",
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SENDERS: dict[str, dict[str, str]] = {
    "form": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", **FORM},
    "fetch": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", **FORM},
    "sandboxed": {"Origin": "null", "Sec-Fetch-Site": "cross-site", **FORM},
    "old browser, sandboxed": {"Origin": "null", **FORM},
    "sibling": {"Origin": "http://evil.localhost", "Sec-Fetch-Site": "same-site", **FORM},
    "sibling without Origin": {"Sec-Fetch-Site": "same-site", **FORM},
    "another port": {"Origin": "http://localhost:1", "Sec-Fetch-Site": "same-site", **FORM},
    "typed": {"Sec-Fetch-Site": "none", **FORM},
    "nothing said": FORM,
}
LOOKS = [
    "/auth/login",
    "/auth/logout",
    "/auth/account",
    "/auth/join",
    "/auth/merge",
    "/auth/me",
    "/auth/me/export",
    "/auth/sessions",
    "/auth/identities",
    "/auth/google/login",
    "/auth/google/token",
    "/auth/google/callback",
]


@pytest.fixture(scope="module")
def victim(lasting_sqlite_world: World) -> Iterator[httpx2.Client]:
    """Somebody with two identities and two sessions, whom nothing has touched in the end."""
    with signed_in(lasting_sqlite_world, "google"), signed_in(lasting_sqlite_world, "google") as browser:
        del browser.headers["Sec-Fetch-Site"]
        before = state(lasting_sqlite_world)
        yield browser
        assert state(lasting_sqlite_world) == before


def state(world: World) -> list[Any]:
    queries = (
        "SELECT id, email, name, picture, delete_at, disabled_at, merged_into FROM accounts ORDER BY id",
        "SELECT id, account_id FROM identities ORDER BY id",
        "SELECT id, current, ended_at FROM sessions ORDER BY id",
        "SELECT name FROM events WHERE name <> 'sign_in_refused' ORDER BY id",
        "SELECT digest FROM pending",
    )
    return [world.all(query) for query in queries]


def test_the_table_holds_every_route_that_changes_something() -> None:
    told = {(method, path.replace("microsoft", "{provider}")) for method, path in CHANGES}
    told = {(method, path.replace("{identity}", "{id}").replace("{other}", "{id}")) for method, path in told}
    there = {
        (method, route.path) for route in ROUTES for method in route.methods or () if method not in ("GET", "HEAD")
    }
    assert there - told - OTHERWISE.keys() == set()


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_another_site_changes_nothing(
    lasting_sqlite_world: World, victim: httpx2.Client, method: str, path: str, sender: str
) -> None:
    """BFF-2, AV-3.5.1."""
    identity = me(victim)["identities"][0]["id"]
    (other,) = [each["id"] for each in victim.get("/auth/sessions").json() if not each["current"]]
    answer = victim.request(
        method,
        path.format(identity=identity, other=other),
        content="name=Mallory&separate=yes&decision=allow&resume=x",
        headers=SENDERS[sender],
    )
    assert (answer.status_code, error(answer)) == (403, "cross_site"), answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
def test_no_content_type_opens_a_way(victim: httpx2.Client, kind: str) -> None:
    headers = {"Origin": "https://evil.example", "Content-Type": kind}
    answer = victim.patch("/auth/me", content=json.dumps({"name": "Mallory"}), headers=headers)
    assert (answer.status_code, error(answer)) == (403, "cross_site")


@pytest.mark.parametrize("path", LOOKS)
def test_what_an_image_can_ask_for_changes_nothing(victim: httpx2.Client, path: str) -> None:
    """GET with the cookie, as an image, a script or a link of another site sends it."""
    headers = {"Accept": "image/avif,*/*", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    answer = victim.get(path, headers=headers)
    assert answer.status_code < 500
    assert "gateway-refresh" not in answer.headers.get("set-cookie", "")


def test_a_foreign_origin_may_read_nothing(victim: httpx2.Client) -> None:
    answer = victim.get("/auth/me", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
