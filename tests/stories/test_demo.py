"""The demo as a person meets it: `python -m gateway demo`, and a real browser."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import pytest

from browser import Browser, chromium, with_and_without_javascript
from harness import free_port
from processes import command

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that the demo prints."""
    with command("demo", "--port", str(free_port()), folder=tmp_path_factory.mktemp("demo")) as started:
        started.await_words("http://localhost")
        yield re.findall(r"http://localhost:\d+", started.out)[0]
        assert started.end(signal.SIGINT) == 0, started.err
        assert "Traceback" not in started.err


def sign_in(browser: Browser, url: str, provider: str, person: str) -> None:
    browser.open(url)
    browser.press(f"Sign in with {provider}")
    browser.await_heading("Who is signing in?")
    browser.press(person)
    browser.await_heading(person)


@with_and_without_javascript
def test_signing_in_with_google_and_then_with_microsoft(demo: str, browser: Browser) -> None:
    sign_in(browser, demo, "Google", "Ada Lovelace")
    assert browser.url == f"{demo}/auth/account"
    assert "ada@example.com" in browser.text
    assert "Signed in with Google" in browser.text
    browser.press("Sign out")
    browser.await_heading("You are signed out")
    browser.press("Sign in again")
    browser.await_heading("Sign in")
    sign_in(browser, demo, "Microsoft", "Margaret Hamilton")
    assert "Signed in with Microsoft" in browser.text


@with_and_without_javascript
def test_ending_a_session_from_another_browser(demo: str, browser: Browser) -> None:
    with chromium() as other:
        sign_in(other, demo, "Google", "Grace Hopper")
        sign_in(browser, demo, "Google", "Grace Hopper")
        browser.press("End session")
        browser.wait(lambda: "End session" not in browser.text, "one session")
        other.open(f"{demo}/auth/account")
        other.await_heading("Sign in")
        other.check_manners()
    browser.press("Sign out")
    browser.await_heading("You are signed out")


@with_and_without_javascript
def test_cancelling_at_the_provider(demo: str, browser: Browser) -> None:
    browser.open(demo)
    browser.press("Sign in with Google")
    browser.await_heading("Who is signing in?")
    browser.press("Cancel")
    browser.await_error("provider_denied")
    browser.press("Start again")
    browser.await_heading("Who is signing in?")


@with_and_without_javascript
def test_inventing_a_person(demo: str, browser: Browser) -> None:
    browser.open(demo)
    browser.press("Sign in with Microsoft")
    browser.await_heading("Who is signing in?")
    browser.press("Somebody else")
    browser.type("Name", "Zoë Ångström")
    browser.type("E-mail address", "zoe@example.org")
    browser.press("Continue as this person")
    browser.await_heading("Zoë Ångström")
    assert "zoe@example.org" in browser.text


def test_by_the_keyboard_alone(demo: str, browser: Browser) -> None:
    browser.open(demo)
    browser.tab_to("Sign in with Google")
    browser.enter()
    browser.await_heading("Who is signing in?")
    browser.tab_to("Ada Lovelace")
    browser.enter()
    browser.await_heading("Ada Lovelace")
    browser.tab_to("Sign out")
    browser.enter()
    browser.await_heading("You are signed out")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_small_window_and_can_be_read(demo: str, browser: Browser, scheme: str) -> None:
    browser.narrow(320)
    browser.prefer(scheme)

    def look() -> None:
        found = {"too wide": browser.overflowing(), "too faint": browser.faint(), "dark": browser.is_dark()}
        assert found == {"too wide": [], "too faint": [], "dark": scheme == "dark"}, browser.url

    browser.open(demo)
    look()
    browser.press("Sign in with Microsoft")
    browser.await_heading("Who is signing in?")
    look()
    browser.press("Cancel")
    browser.await_error("provider_denied")
    look()
    sign_in(browser, demo, "Google", "Ada Lovelace")
    look()
    browser.open(f"{demo}/auth/logout")
    look()
    browser.open(f"{demo}/docs")
    look()
    browser.open(f"{demo}/auth/signed-out")
    look()
