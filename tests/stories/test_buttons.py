"""The example with both buttons, as a person meets it: windows, One Tap, a form from Google's page, a known address."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from browser import Browser
from processes import example

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that the example prints."""
    folder = tmp_path_factory.mktemp("example")
    with example("msal-and-google-buttons/serve.py", folder, says="The page:") as started:
        yield started.url


@pytest.fixture(autouse=True)
def at_the_page(browser: Browser, page: str) -> None:
    browser.open(page)
    browser.await_heading("Sign in")


def choose(browser: Browser, provider: str, person: str) -> None:
    browser.press(f"Sign in with {provider}")
    with browser.other_window():
        browser.await_heading("Who is signing in?")
        browser.press(person)


def sign_out(browser: Browser) -> None:
    browser.press("Sign out")
    browser.await_heading("Sign in")


def test_both_buttons(browser: Browser) -> None:
    choose(browser, "Google", "Alan Turing")
    browser.await_heading("Hello Alan Turing")
    assert "alan@example.org, by google" in browser.text
    sign_out(browser)
    choose(browser, "Microsoft", "Margaret Hamilton")
    browser.await_heading("Hello Margaret Hamilton")


def test_the_session_is_one_like_any_other(browser: Browser, page: str) -> None:
    choose(browser, "Google", "Alan Turing")
    browser.await_heading("Hello Alan Turing")
    browser.open(page)
    browser.await_heading("Hello Alan Turing")
    sign_out(browser)


def test_one_tap(browser: Browser) -> None:
    """Google knows who is there, from the time before."""
    choose(browser, "Google", "Grace Hopper")
    browser.await_heading("Hello Grace Hopper")
    sign_out(browser)
    browser.press("Continue as Grace Hopper")
    browser.await_heading("Hello Grace Hopper")


def test_googles_page_posts_the_token(browser: Browser, page: str) -> None:
    browser.press("without a window")
    browser.await_heading("Sign in")
    browser.press("Sign in with Google")
    browser.await_heading("Who is signing in?")
    browser.press("Grace Hopper")
    browser.await_heading("Hello Grace Hopper")
    assert browser.url == f"{page}/"


def test_cancelling(browser: Browser) -> None:
    browser.press("Sign in with Google")
    with browser.other_window():
        browser.await_heading("Who is signing in?")
        browser.press("Cancel")
    assert browser.heading == "Sign in"


def test_an_address_that_is_known(browser: Browser, page: str) -> None:
    choose(browser, "Microsoft", "Ada Lovelace")
    browser.await_heading("Hello Ada Lovelace")
    sign_out(browser)
    choose(browser, "Google", "Ada Lovelace")
    browser.await_heading("You may have an account already")
    browser.press("Join them")
    browser.wait(lambda: "Continue with Microsoft" in browser.text, "the gateway's question")
    browser.press("Continue with Microsoft")
    browser.await_heading("Who is signing in?")
    browser.press("Ada Lovelace")
    browser.await_heading("Hello Ada Lovelace")
    assert browser.url == f"{page}/"
    sign_out(browser)
    choose(browser, "Google", "Ada Lovelace")
    browser.await_heading("Hello Ada Lovelace")
