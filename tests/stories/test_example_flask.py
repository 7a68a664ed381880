"""The notice board of examples/flask-monolith as a person meets it: nginx, the gateway, and no auth code of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import httpx2
import pytest
from proxies import need

from browser import Browser
from harness import PLAIN
from processes import EXAMPLES, example

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the notice board is."""
    need("nginx")
    folder = tmp_path_factory.mktemp("board")
    with example("flask-monolith/play.py", folder, says="http://", gateway_port=False, end=signal.SIGTERM) as started:
        yield started.url


def sign_in(browser: Browser, board: str, person: str) -> None:
    browser.open(board)
    browser.await_heading("Sign in")
    browser.press("Sign in with Microsoft")
    browser.await_heading("Who is signing in?")
    browser.press(person)
    browser.await_heading("Notice board")


def over_http(browser: Browser, board: str) -> httpx2.Client:
    """A program with this browser's session."""
    cookies = {cookie["name"]: cookie["value"] for cookie in browser.driver.get_cookies()}
    return httpx2.Client(base_url=board, headers={"Cookie": f"gateway={cookies['gateway']}"}, **PLAIN)


def test_an_editor_pins_asks_and_takes_down(board: str, browser: Browser) -> None:
    sign_in(browser, board, "Ada Lovelace")
    assert "You are ada@example.com, an editor." in browser.text
    assert "0e000000-0000-4000-8000-0000000000ed" in browser.text
    browser.type("Note", "Lecture at noon")
    browser.press("Pin")
    browser.wait(lambda: "Lecture at noon ada@example.com" in browser.text, "the note")
    browser.press("How many now?")
    browser.wait(lambda: "1 for ada@example.com" in browser.text, "the answer")
    browser.press("Take all down")
    browser.wait(lambda: "Nothing yet" in browser.text, "an empty board")


def test_a_reader_cannot_take_down(board: str, browser: Browser) -> None:
    sign_in(browser, board, "Grace Hopper")
    assert "You are grace@example.com." in browser.text
    assert "Take all down" not in browser.text
    with over_http(browser, board) as client:
        forged = {"X-Auth-Request-Roles": "editor", "X_Auth_Request_Roles": "editor"}
        assert client.post("/clear", headers=forged).status_code == 403
        assert client.get("/notes.json").json()["reader"] == "grace@example.com"


def test_a_script_whose_access_token_has_expired_comes_back_to_a_page(board: str, browser: Browser) -> None:
    sign_in(browser, board, "Grace Hopper")
    browser.driver.delete_cookie("gateway")
    browser.press("How many now?")
    browser.wait(lambda: browser.driver.get_cookie("gateway") is not None, "a renewed session")
    browser.await_heading("Notice board")
    browser.press("How many now?")
    browser.wait(lambda: "for grace@example.com" in browser.text, "the answer")


def test_signing_out(board: str, browser: Browser) -> None:
    sign_in(browser, board, "Grace Hopper")
    with over_http(browser, board) as client:
        assert client.get("/notes.json").status_code == 200
        browser.press("Sign out")
        browser.await_heading("Sign out?")
        browser.press("Sign out")
        browser.await_heading("You are signed out")
        assert client.get("/notes.json").status_code == 401
    browser.open(board)
    browser.await_heading("Sign in")


@pytest.mark.parametrize("headers", [{}, {"X-Auth-Request-User": "ada", "X-Auth-Request-Roles": "editor"}])
def test_without_a_session_nothing_is_reached(board: str, headers: dict[str, str]) -> None:
    with httpx2.Client(base_url=board, headers=headers, **PLAIN) as client:
        assert client.get("/notes.json").status_code == 401
        assert client.post("/clear").status_code == 401
        assert client.get("/static/board.js").status_code == 401
        assert client.get("/", headers={"Accept": "text/html"}).status_code == 302


AUTH = ("session", "cookie", "token", "jwt", "login", "password", "import gateway")


def test_the_application_has_no_auth_code() -> None:
    text = (EXAMPLES / "flask-monolith" / "app.py").read_text().lower()
    code = text.split('"""', 2)[2]  # without what it says about itself
    assert not [word for word in AUTH if word in code]
