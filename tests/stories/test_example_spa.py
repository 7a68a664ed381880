"""examples/spa as a person meets it: one command, a real browser, two tabs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from browser import Browser
from processes import example

pytestmark = pytest.mark.browser

LATER = "const real = Date.now; Date.now = () => real() + 290_000"  # of five minutes: time to renew
RENEWALS = "return performance.getEntriesByType('resource').filter(one => one.name.endsWith('/auth/token')).length"
NOTES = "return [...document.querySelectorAll('#notes li')].map(one => one.textContent)"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page."""
    with example("spa/serve.py", tmp_path_factory.mktemp("example"), says="The page:") as started:
        yield f"{started.url}/"


def await_text(browser: Browser, text: str) -> None:
    browser.wait(lambda: text in browser.text, text)


def sign_in(browser: Browser, page: str) -> None:
    browser.open(page)
    await_text(browser, "Nobody is signed in.")
    browser.press("Sign in")
    browser.await_heading("Sign in")
    browser.press("Sign in with Google")
    browser.await_heading("Who is signing in?")
    browser.press("Ada Lovelace")
    await_text(browser, "Signed in as Ada Lovelace.")
    assert browser.url == page


def add(browser: Browser, note: str) -> None:
    browser.type("Note", note)
    browser.press("Add")
    browser.wait(lambda: note in browser.driver.execute_script(NOTES), note)


def calls(browser: Browser) -> int:
    """How often the tabs together have called the token endpoint since they were loaded."""
    count = 0
    for tab in browser.driver.window_handles:
        browser.driver.switch_to.window(tab)
        count += browser.driver.execute_script(RENEWALS)
    return count


def test_two_tabs_share_a_sign_in_a_renewal_and_a_sign_out(page: str, browser: Browser) -> None:
    sign_in(browser, page)
    add(browser, "Weave the engine")
    first = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    browser.open(page)
    await_text(browser, "Weave the engine")
    assert calls(browser) == 1  # the code; the second tab asked the first

    for tab in browser.driver.window_handles:
        browser.driver.switch_to.window(tab)
        browser.driver.execute_script(LATER)
        browser.driver.execute_script("document.getElementById('notes').replaceChildren()")
    browser.driver.execute_script("new BroadcastChannel('notes').postMessage('changed')")  # both call the API at once
    for tab in browser.driver.window_handles:
        browser.driver.switch_to.window(tab)
        await_text(browser, "Weave the engine")
    assert calls(browser) == 2

    browser.press("Sign out")
    await_text(browser, "Nobody is signed in.")
    browser.driver.switch_to.window(first)
    await_text(browser, "Nobody is signed in.")


def test_a_reload_asks_nobody_and_a_cancelled_sign_in_says_so(page: str, browser: Browser) -> None:
    sign_in(browser, page)
    browser.driver.refresh()
    await_text(browser, "Signed in as Ada Lovelace.")
    assert browser.driver.execute_script("return localStorage.length + sessionStorage.length") == 0
    browser.press("Sign out")
    await_text(browser, "Nobody is signed in.")
    browser.press("Sign in")
    browser.await_heading("Sign in")
    browser.press("Sign in with Google")
    browser.await_heading("Who is signing in?")
    browser.press("Cancel")
    await_text(browser, "You did not sign in.")
