"""examples/django as people and a program meet it: no password anywhere, and Django's admin for who has the role."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from browser import Browser
from harness import PLAIN
from processes import Command, example

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    with example("django/serve.py", tmp_path_factory.mktemp("example"), says="Ctrl-C") as started:
        yield started


@pytest.fixture(scope="module")
def site(running: Command) -> str:
    return running.url


def sign_in(browser: Browser, url: str, person: str) -> None:
    browser.open(url)
    browser.await_heading("Sign in")
    browser.press("Sign in with Google")
    browser.await_heading("Who is signing in?")
    browser.press(person)


def test_a_librarian_keeps_books_and_a_reader_borrows_one(running: Command, site: str, browser: Browser) -> None:
    sign_in(browser, site, "Ada Lovelace")
    browser.await_heading("Library")
    assert "Hello Ada Lovelace" in browser.text
    browser.press("Keep the books")
    browser.await_heading("Site administration")
    browser.open(f"{site}/admin/shelf/book/add/")
    browser.type("Title:", "Middlemarch")
    browser.driver.find_element("name", "_save").click()
    browser.await_heading("Select book to change")
    assert "was added successfully" in browser.text

    browser.open(f"{site}/sign-out")
    browser.await_heading("Sign out?")
    browser.press("Sign out")
    browser.await_heading("You are signed out")
    sign_in(browser, site, "Grace Hopper")
    browser.await_heading("Library")
    assert "Keep the books" not in browser.text
    browser.press("Borrow Middlemarch")
    browser.wait(lambda: "lent to Grace Hopper" in browser.text, "the loan")
    browser.open(f"{site}/admin/")
    browser.wait(lambda: browser.text == "This is for librarians.", "the refusal")

    session = {"gateway": browser.driver.get_cookie("gateway")["value"]}
    with httpx2.Client(base_url=site, cookies=session, **PLAIN) as client, ThreadPoolExecutor(12) as tabs:
        assert {page.status_code for page in tabs.map(client.get, ["/"] * 60)} == {200}

    commands = running.out[running.out.index("TOKEN=") : running.out.index("  Ctrl-C")]
    said = subprocess.run(["sh", "-euc", commands], check=True, timeout=60, stdout=subprocess.PIPE, text=True).stdout
    assert said == '{"books": [{"title": "Middlemarch", "lent": true}]}'


def test_who_is_not_signed_in(site: str) -> None:
    with httpx2.Client(base_url=site, **PLAIN) as client:
        page = client.get("/admin/", headers={"Accept": "text/html"})
        assert page.status_code == 302
        assert "/auth/login?redirect_to=" in page.headers["location"]
        assert client.get("/").status_code == 401
        assert client.get("/api/books").headers["www-authenticate"] == 'Bearer realm="api"'
        forged = {"Cookie": "gateway=eyJhbGciOiJub25lIn0.e30."}
        assert client.post("/books/1/lend", headers=forged).status_code == 403  # from nobody knows where
        assert client.post("/books/1/lend", headers=forged | {"Origin": site}).status_code == 401
        assert client.get("/static/admin/css/base.css").status_code == 200
