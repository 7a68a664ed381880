"""The account, merge and error pages by the keyboard alone, and a picture chosen without JavaScript."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By
from test_linking_browser import (
    Demo,
    await_ways_in,
    choose,
    demo,
    meet_the_offer,
    sign_in,
    someone,
)

from browser import Browser, without_javascript

__all__ = ["demo"]  # a fixture

pytestmark = pytest.mark.browser


def test_merging_by_the_keyboard_alone(demo: Demo, browser: Browser) -> None:
    first, second = meet_the_offer(demo, browser)
    browser.tab_to("Merge accounts")
    browser.enter()
    await_ways_in(browser, f"Google {first.email}", f"Microsoft {second.email}")


def test_the_account_page_by_the_keyboard_alone(demo: Demo, browser: Browser) -> None:
    owner = someone("Emmy Noether")
    sign_in(demo, browser, "Google", owner)
    browser.tab_to("Link Microsoft")
    browser.enter()
    other = someone("Amalie Noether")
    choose(browser, other)
    await_ways_in(browser, f"Google {owner.email}", f"Microsoft {other.email}")
    browser.open(f"{demo.url}/auth/account")
    browser.tab_to(f"Unlink Microsoft, {other.email}")
    browser.enter()
    await_ways_in(browser, f"Google {owner.email}")


def test_an_error_page_leads_on_by_the_keyboard_alone(demo: Demo, browser: Browser) -> None:
    browser.open(f"{demo.url}/auth/login")
    browser.press("Sign in with Google")
    browser.await_heading("Who is signing in?")
    browser.press("Cancel")
    browser.await_error("provider_denied")
    browser.tab_to("Start again")
    browser.enter()
    browser.await_heading("Who is signing in?")


@without_javascript
def test_choosing_no_picture(demo: Demo, browser: Browser) -> None:
    person = someone("Rosalind Franklin")
    sign_in(demo, browser, "Google", person)
    browser.press("Change name or picture")
    browser.driver.find_element(By.CSS_SELECTOR, "input[name=picture][value=none]").click()
    browser.press("Save")
    browser.wait(lambda: "Name, address or picture was changed" in browser.text, "the change")
    browser.press("Change name or picture")
    chosen = browser.driver.find_element(By.CSS_SELECTOR, "input[name=picture]:checked")
    assert chosen.get_attribute("value") == "none"
