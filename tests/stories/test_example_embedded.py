"""examples/embedded: a guest book with the gateway inside; signing in, its own pages, signing out."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from browser import Browser
from harness import PLAIN
from processes import example, wait_until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the guest book is."""
    folder = tmp_path_factory.mktemp("book")
    with example("embedded/serve.py", folder, says="The guest book:", gateway_port=False) as started:
        yield started.url


def sign_in(browser: Browser, book: str, person: str) -> None:
    browser.open(book)
    browser.await_heading("Sign in")
    browser.press("Sign in with Google")
    browser.await_heading("Who is signing in?")
    browser.press(person)
    browser.await_heading("Guest book")
    assert browser.url == f"{book}/"


def over_http(browser: Browser, book: str) -> httpx2.Client:
    """A program with this browser's session."""
    cookie = browser.driver.get_cookie("gateway")
    assert cookie is not None
    return httpx2.Client(base_url=book, headers={"Cookie": f"gateway={cookie['value']}"}, **PLAIN)


def test_the_host_signs_in_writes_and_empties_the_book(book: str, browser: Browser) -> None:
    sign_in(browser, book, "Ada Lovelace")
    assert "You are Ada Lovelace." in browser.text
    browser.press("I was here")
    browser.wait(lambda: "Ada Lovelace was here" in browser.text, "the name")
    browser.driver.delete_cookie("gateway")  # as when the access token has expired
    browser.open(book)
    assert "Ada Lovelace was here" in browser.text
    browser.press("Empty the book")
    browser.wait(lambda: "Nobody yet" in browser.text, "an empty book")
    browser.press("Your account")
    browser.wait(lambda: browser.url == f"{book}/sso/auth/account", "the account page")
    assert "Ada Lovelace" in browser.text


def test_a_guest_signs_out_and_is_nobody_any_more(book: str, browser: Browser) -> None:
    sign_in(browser, book, "Grace Hopper")
    assert "Empty the book" not in browser.text
    with over_http(browser, book) as client:
        ours, foreign = {"Origin": book}, {"Origin": "https://evil.example"}
        assert client.post("/names", headers=ours).status_code == 303
        assert client.post("/names", headers=foreign).status_code == 403
        assert client.post("/names").status_code == 403
        refused = client.post("/names/clear", headers=ours)
        assert (refused.status_code, "insufficient_scope" in refused.headers["www-authenticate"]) == (403, True)
        assert client.get("/").text.count("Grace Hopper was here") == 1

        browser.press("Sign out")
        browser.await_heading("You are signed out")
        wait_until(lambda: client.get("/").status_code == 401)  # also with the cookie that was kept
    browser.open(book)
    browser.await_heading("Sign in")


def test_without_a_session(book: str) -> None:
    with httpx2.Client(base_url=book, **PLAIN) as client:
        assert client.get("/").status_code == 401
        led = client.get("/", headers={"Accept": "text/html"})
        assert (led.status_code, led.headers["location"]) == (303, "/sso/auth/login?redirect_to=%2F")
        assert client.post("/names", headers={"Origin": book}).status_code == 401
        assert client.get("/sso/.well-known/openid-configuration").json()["issuer"] == f"{book}/sso"
        assert client.get("/auth/login").status_code == 404
        assert "/names" in client.get("/openapi.json").json()["paths"]
        assert "/auth/me" in client.get("/sso/openapi.json").json()["paths"]
