"""One person, several identities, as people meet it: the demo, a real browser, and an operator beside it."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By

from browser import Browser, without_javascript
from harness import SECRET, free_port
from processes import command, run

pytestmark = pytest.mark.browser

QUESTION = "You may have an account already"
OFFER = "Merge two accounts?"

AXE = "axe_playwright_python"  # the package that brings axe-core; only its script is read
# What axe finds, by rule and place. Everything is checked: WCAG 2.2 and axe's own good practice.
VIOLATIONS = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ['violations']}).then(
  found => done(found.violations.map(one => one.id + ': ' + one.nodes.map(node => node.html).join(' '))),
  error => done(['axe failed: ' + error]))
"""


class Demo:
    """The demo at `url`, and an operator at the same database."""

    def __init__(self, url: str, folder: Path) -> None:
        (database,) = folder.glob("gateway-demo-*/gateway.db")
        self.url = url
        self.folder = folder
        self.config = folder / "operator.toml"
        self.config.write_text(f'[gateway]\ndatabase_url = "sqlite:///{database}"\nsecret_keys = ["{SECRET}"]\n')

    def operate(self, *arguments: str) -> str:
        """What an operator's command prints."""
        done = run(*arguments, "--config", str(self.config), folder=self.folder)
        assert done.process.returncode == 0, done.err
        return done.out

    def account(self, who: str) -> dict[str, Any]:
        """An account by its id or by the address of one."""
        shown: dict[str, Any] = json.loads(self.operate("accounts", "show", who, "--json"))
        return shown

    def events(self, account_id: str) -> list[dict[str, Any]]:
        lines = self.operate("events", "--json", "--account", account_id).splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    with command("demo", "--port", str(free_port()), folder=folder, TMPDIR=str(folder)) as started:
        started.await_words("http://localhost")
        yield Demo(re.findall(r"http://localhost:\d+", started.out)[0], folder)
        assert started.end(signal.SIGINT) == 0, started.err
        assert "Traceback" not in started.err


@dataclass(frozen=True, slots=True)
class Someone:
    """Whom a stand-in invents; at another stand-in the same address is another identity."""

    name: str
    email: str


NUMBERS = itertools.count(1)


def someone(name: str) -> Someone:
    """A person nobody has seen before, though the demo lasts."""
    number = next(NUMBERS)
    return Someone(f"{name} {number}", f"{name.partition(' ')[0].lower()}{number}@example.org")


def choose(browser: Browser, person: Someone) -> None:
    """Sign in at a stand-in as somebody it may not know yet."""
    browser.await_heading("Who is signing in?")
    if person.name in browser.text.splitlines():
        browser.press(person.name)
        return
    browser.press("Somebody else")
    browser.type("Name", person.name)
    browser.type("E-mail address", person.email)
    browser.press("Continue as this person")


def open_sign_in(demo: Demo, browser: Browser) -> None:
    """The sign-in page; a session that another process has ended is known to the gateway a moment later."""

    def come() -> bool:
        browser.open(f"{demo.url}/auth/login")
        return browser.url.endswith("/auth/login")

    browser.wait(come, "the sign-in page")


def present(demo: Demo, browser: Browser, provider: str, person: Someone) -> None:
    """Go through a provider from the sign-in page, wherever that leads."""
    open_sign_in(demo, browser)
    browser.press(f"Sign in with {provider}")
    choose(browser, person)


def sign_in(demo: Demo, browser: Browser, provider: str, person: Someone, *, finds: Someone | None = None) -> None:
    """Sign in, and meet an account: one's own, or the one of `finds`."""
    present(demo, browser, provider, person)
    browser.await_heading((finds or person).name)


def sign_out(browser: Browser) -> None:
    browser.press("Sign out")
    browser.await_heading("You are signed out")


def meet_the_question(demo: Demo, browser: Browser) -> tuple[Someone, Someone]:
    """An account with Google, and then the same address with Microsoft."""
    known = someone("Lise Meitner")
    newcomer = Someone(f"Professor {known.name}", known.email)
    sign_in(demo, browser, "Google", known)
    sign_out(browser)
    present(demo, browser, "Microsoft", newcomer)
    browser.await_heading(QUESTION)
    return known, newcomer


def meet_the_offer(demo: Demo, browser: Browser) -> tuple[Someone, Someone]:
    """Two accounts of one person, who links the second one's identity to the first: (survivor, absorbed)."""
    first, second = someone("Sofia Kovalevskaya"), someone("Sonya Krukovskaya")
    sign_in(demo, browser, "Microsoft", second)
    sign_out(browser)
    sign_in(demo, browser, "Google", first)
    link(browser, second)
    browser.await_heading(OFFER)
    return first, second


def link(browser: Browser, person: Someone) -> None:
    browser.press("Link Microsoft")
    choose(browser, person)


def unlink(browser: Browser, provider: str, person: Someone) -> None:
    browser.driver.find_element(By.CSS_SELECTOR, f"[aria-label='Unlink {provider}, {person.email}']").click()


def ways_in(browser: Browser) -> list[str]:
    """The providers on the account page, with the addresses they give."""
    rows = browser.driver.find_elements(By.CSS_SELECTOR, "section[aria-labelledby=identities] .rows > .row")
    return [f"{lines[0]} {lines[1].split()[0]}" for lines in (row.text.splitlines() for row in rows)]


def await_ways_in(browser: Browser, *expected: str) -> None:
    browser.wait(lambda: sorted(ways_in(browser)) == sorted(expected), " and ".join(expected))


# Linking


@without_javascript
def test_linking_microsoft_and_using_either(demo: Demo, browser: Browser) -> None:
    owner, other = someone("Emmy Noether"), someone("Amalie Noether")
    sign_in(demo, browser, "Google", owner)
    link(browser, other)
    await_ways_in(browser, f"Google {owner.email}", f"Microsoft {other.email}")
    sign_out(browser)
    sign_in(demo, browser, "Microsoft", other, finds=owner)
    assert "Signed in with Microsoft" in browser.text
    sign_out(browser)
    sign_in(demo, browser, "Google", owner)
    assert "Signed in with Google" in browser.text


@without_javascript
def test_unlinking_leaves_one_way_in_and_makes_the_other_a_newcomer(demo: Demo, browser: Browser) -> None:
    owner, other = someone("Emmy Noether"), someone("Amalie Noether")
    sign_in(demo, browser, "Google", owner)
    link(browser, other)
    await_ways_in(browser, f"Google {owner.email}", f"Microsoft {other.email}")
    unlink(browser, "Microsoft", other)
    await_ways_in(browser, f"Google {owner.email}")
    assert "Your only way in, so it cannot be unlinked." in browser.text
    sign_out(browser)
    sign_in(demo, browser, "Microsoft", other)
    await_ways_in(browser, f"Microsoft {other.email}")


# The question


@without_javascript
def test_the_question_answered_by_joining(demo: Demo, browser: Browser) -> None:
    known, newcomer = meet_the_question(demo, browser)
    assert f"{known.email[0]}•••@example.org" in browser.text
    browser.press("Continue with Google")
    choose(browser, known)
    browser.await_heading(known.name)
    await_ways_in(browser, f"Google {known.email}", f"Microsoft {known.email}")
    sign_out(browser)
    sign_in(demo, browser, "Microsoft", newcomer, finds=known)


@without_javascript
def test_the_question_answered_by_keeping_apart(demo: Demo, browser: Browser) -> None:
    known, newcomer = meet_the_question(demo, browser)
    browser.press("Keep a separate account")
    browser.await_heading(newcomer.name)
    await_ways_in(browser, f"Microsoft {known.email}")
    sign_out(browser)
    sign_in(demo, browser, "Google", known)
    await_ways_in(browser, f"Google {known.email}")


def test_joining_by_the_keyboard_alone(demo: Demo, browser: Browser) -> None:
    known, _ = meet_the_question(demo, browser)
    browser.tab_to("Continue with Google")
    browser.enter()
    choose(browser, known)
    browser.await_heading(known.name)
    await_ways_in(browser, f"Google {known.email}", f"Microsoft {known.email}")


def test_keeping_apart_by_the_keyboard_alone(demo: Demo, browser: Browser) -> None:
    known, newcomer = meet_the_question(demo, browser)
    browser.tab_to("Keep a separate account")
    browser.enter()
    browser.await_heading(newcomer.name)
    await_ways_in(browser, f"Microsoft {known.email}")


# Merging


@without_javascript
def test_merging_two_accounts_and_an_operator_who_undoes_it(demo: Demo, browser: Browser) -> None:
    first, second = meet_the_offer(demo, browser)
    absorbed = demo.account(second.email)["id"]
    assert {first.email, second.email} <= set(browser.text.split())
    browser.press("Merge accounts")
    await_ways_in(browser, f"Google {first.email}", f"Microsoft {second.email}")
    sign_out(browser)
    sign_in(demo, browser, "Microsoft", second, finds=first)
    assert demo.account(absorbed)["merged_from"] == [absorbed]

    demo.operate("accounts", "unmerge", absorbed)
    browser.open(f"{demo.url}/auth/account")
    sign_in(demo, browser, "Microsoft", second)
    await_ways_in(browser, f"Microsoft {second.email}")
    sign_out(browser)
    sign_in(demo, browser, "Google", first)
    await_ways_in(browser, f"Google {first.email}")
    assert "A merge was taken back" in browser.text


@without_javascript
def test_keeping_two_accounts_separate(demo: Demo, browser: Browser) -> None:
    first, second = meet_the_offer(demo, browser)
    browser.press("Keep them separate")
    browser.await_heading(first.name)
    await_ways_in(browser, f"Google {first.email}")
    sign_out(browser)
    sign_in(demo, browser, "Microsoft", second)


# Deleting


@without_javascript
def test_deleting_and_taking_it_back_by_signing_in(demo: Demo, browser: Browser) -> None:
    person = someone("Hypatia")
    sign_in(demo, browser, "Google", person)
    before = demo.account(person.email)
    browser.press("Delete this account")
    browser.press("Delete account")
    browser.await_heading("You are signed out")
    assert demo.account(before["id"])["delete_at"] is not None
    sign_in(demo, browser, "Google", person)
    assert "Deletion of the account was taken back" in browser.text
    after = demo.account(person.email)
    assert (after["id"], after["delete_at"]) == (before["id"], None)


# The operator


def test_what_an_operator_sees_of_it(demo: Demo, browser: Browser) -> None:
    owner, other = someone("Emmy Noether"), someone("Amalie Noether")
    sign_in(demo, browser, "Google", owner)
    link(browser, other)
    await_ways_in(browser, f"Google {owner.email}", f"Microsoft {other.email}")
    shown = demo.account(owner.email)
    seen = {(identity["provider"], identity["email"]) for identity in shown["identities"]}
    assert seen == {("google", owner.email), ("microsoft", other.email)}
    assert [session["provider"] for session in shown["sessions"]] == ["google"]
    recorded = demo.events(shown["id"])
    assert {event["name"] for event in recorded} >= {"account_created", "signed_in", "identity_linked"}
    assert {uuid.UUID(event["account_id"]) for event in recorded} == {uuid.UUID(shown["id"])}


# Everybody can use it


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core. Skips the test where it is not installed, but not under CI=true."""
    found = importlib.util.find_spec(AXE)
    if not (found and found.origin):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{AXE} is needed")
    return Path(found.origin).with_name("axe.min.js").read_text()


def violations(browser: Browser, axe: str) -> list[str]:
    """What axe-core says against this page, with everything on it unfolded."""
    browser.driver.execute_script("document.querySelectorAll('details').forEach(one => { one.open = true })")
    browser.driver.execute_script(axe)
    found: list[str] = browser.driver.execute_async_script(VIOLATIONS)
    return found


def test_axe_has_nothing_to_say_against_any_page(demo: Demo, browser: Browser, axe: str) -> None:
    def look(page: str) -> None:
        for scheme in ("light", "dark"):
            browser.prefer(scheme)
            assert violations(browser, axe) == [], f"{page}, {scheme}"

    browser.open(f"{demo.url}/auth/login")
    look("sign-in")
    browser.press("Sign in with Google")
    browser.await_heading("Who is signing in?")
    browser.press("Cancel")
    browser.await_error("provider_denied")
    look("error")
    meet_the_question(demo, browser)
    look("join")
    meet_the_offer(demo, browser)
    look("merge")
    browser.press("Merge accounts")
    browser.wait(lambda: len(ways_in(browser)) == 2, "two ways in")
    look("account")
    sign_out(browser)
    look("signed out")
