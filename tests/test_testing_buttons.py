"""The stand-ins' buttons: to which page or server an ID token goes, for whom, and to nobody else."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from joserfc import jws

from gateway.testing import Client, Google, Microsoft, StandIn

from harness import PLAIN, hidden_fields

PAGE, LOGIN_URI = "https://app.example.com", "https://login.example.com/auth/google/login"
CLIENT = Client("page", redirect_uris=(LOGIN_URI,), javascript_origins=(PAGE,))
BY_FORM = {"client_id": "page", "login_uri": LOGIN_URI, "nonce": "n", "g_csrf_token": "pair"}
BY_WINDOW = {"client_id": "page", "origin": PAGE, "nonce": "n"}


@pytest.fixture(scope="module")
def google() -> Iterator[Google]:
    with Google(clients=[CLIENT]).serve() as standin:
        yield standin


@pytest.fixture(scope="module")
def microsoft() -> Iterator[Microsoft]:
    with Microsoft(clients=[CLIENT]).serve() as standin:
        yield standin


def ask(standin: StandIn, path: str, origin: str | None = None, **params: str) -> httpx2.Response:
    headers = {"Origin": origin} if origin else {}
    return httpx2.get(f"{standin.base_url}{path}", params=params, headers=headers, **PLAIN)


def choose(standin: StandIn, path: str, asked: dict[str, str], **choice: str) -> httpx2.Response:
    return httpx2.post(f"{standin.base_url}{path}/choose", data=asked | choice, **PLAIN)


def claims(token: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(jws.extract_compact(token.encode()).payload)
    return read


def told(page: httpx2.Response) -> tuple[str, dict[str, str]]:
    """The origin that a window tells, and what."""
    found = re.search(r'data-origin="([^"]*)" data-message="([^"]*)"', page.text)
    assert found, page.text
    return found[1], json.loads(html.unescape(found[2]))


def test_a_window_tells_the_page_that_asked(google: Google) -> None:
    assert google.people[1].name in ask(google, "/gsi/select", **BY_WINDOW).text
    origin, message = told(choose(google, "/gsi/select", BY_WINDOW, person=google.people[1].subject))
    said = claims(message["credential"])
    assert origin == PAGE
    assert (said["aud"], said["nonce"], said["sub"]) == ("page", "n", google.people[1].subject)
    assert "at_hash" not in said


def test_a_server_is_posted_the_pair_with_the_token(google: Google) -> None:
    page = choose(google, "/gsi/select", BY_FORM, person=google.people[1].subject)
    posted = dict(hidden_fields(page.text))
    assert f'action="{LOGIN_URI}"' in page.text
    assert (posted["g_csrf_token"], claims(posted["credential"])["nonce"]) == ("pair", "n")
    assert page.headers["referrer-policy"] == "strict-origin"  # or its Origin would be "null"


def test_microsofts_window_is_of_a_tenant(microsoft: Microsoft) -> None:
    person = microsoft.people_at("common")[0]
    _, message = told(choose(microsoft, "/common/spa/select", BY_WINDOW, person=person.subject))
    said = claims(message["credential"])
    assert (said["aud"], said["nonce"], said["tid"]) == ("page", "n", person.tenant)


def test_whoever_cancels_gets_no_token(google: Google) -> None:
    origin, message = told(choose(google, "/gsi/select", BY_WINDOW, cancel="true"))
    assert (origin, message["error"], "credential" in message) == (PAGE, "cancelled", False)
    assert "credential" not in choose(google, "/gsi/select", BY_FORM, cancel="true").text


def test_a_page_may_ask_for_whoever_is_signed_in(google: Google) -> None:
    asked = {"client_id": "page", "nonce": "n"}
    assert ask(google, "/gsi/issue", PAGE, **asked).json() == {}
    google.next_person = google.people[1]
    answer = ask(google, "/gsi/issue", PAGE, **asked)
    assert claims(answer.json()["credential"])["nonce"] == "n"
    assert answer.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize(
    "wrong", [{"client_id": "nobody"}, {"origin": "https://evil.example"}, {"login_uri": f"{LOGIN_URI}/"}]
)
def test_nobody_else_gets_one(google: Google, wrong: dict[str, str]) -> None:
    answer = ask(google, "/gsi/select", **(BY_WINDOW | wrong))
    assert answer.status_code == 400
    assert "refused" in answer.text


def test_a_page_that_is_not_registered_can_read_nothing(google: Google) -> None:
    answer = ask(google, "/gsi/issue", "https://evil.example", client_id="page")
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (400, False)


@pytest.mark.parametrize(
    ("path", "part"), [("/gsi/client", "accounts"), ("/msal-browser.js", "PublicClientApplication")]
)
def test_the_scripts(google: Google, microsoft: Microsoft, path: str, part: str) -> None:
    answer = ask(google if path.startswith("/gsi") else microsoft, path)
    assert answer.headers["content-type"].startswith("text/javascript")
    assert part in answer.text
