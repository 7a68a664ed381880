"""examples/fastapi-api as people and a program meet it: Swagger UI signs in, routes want scopes and roles."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import httpx2
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from browser import Browser
from harness import PLAIN
from processes import Command, example

pytestmark = pytest.mark.browser

TOKEN = "return ui.getState().toJS().auth.authorized.gateway.token.access_token"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    with example("fastapi-api/serve.py", tmp_path_factory.mktemp("example"), says="Ctrl-C") as started:
        yield started


@pytest.fixture(scope="module")
def api(running: Command) -> Iterator[httpx2.Client]:
    (url,) = re.findall(r"(http://localhost:\d+)/docs", running.out)
    with httpx2.Client(base_url=url, **PLAIN) as client:
        yield client


def one(browser: Browser, selector: str) -> WebElement:
    return browser.driver.find_element(By.CSS_SELECTOR, selector)


def authorize(browser: Browser, *scopes: str) -> None:
    """Press "Authorize", choose these scopes and go on to the gateway's window."""
    browser.press("Authorize")
    browser.wait(lambda: "select all" in browser.text, "the dialog")
    for scope in scopes:
        one(browser, f"label[for^='{scope}-']").click()
    one(browser, ".auth-container .authorize").click()


def sign_in(browser: Browser, person: str) -> None:
    with browser.other_window():
        browser.await_heading("Sign in")
        browser.press("Sign in with Google")
        browser.await_heading("Who is signing in?")
        browser.press(person)
    close(browser)


def close(browser: Browser) -> None:
    browser.wait(lambda: "\nLogout\n" in browser.text, "the end of the sign-in")
    browser.press("Close")


def call(browser: Browser, operation: str) -> str:
    """Status and headers of what Swagger UI gets for an operation, tried out as it stands."""
    block = f"[id^='operations-default-{operation}']"
    one(browser, f"{block} .opblock-summary-control").click()
    browser.wait(lambda: one(browser, f"{block} .try-out__btn").is_displayed(), "the operation")
    one(browser, f"{block} .try-out__btn").click()
    one(browser, f"{block} .execute").click()
    live = f"{block} .live-responses-table tbody .response"
    browser.wait(lambda: bool(one(browser, live).text), "an answer")
    answer = one(browser, live).text
    one(browser, f"{block} .opblock-summary-control").click()
    return answer


def test_a_manager_signs_in_with_swagger_ui_and_calls(api: httpx2.Client, browser: Browser) -> None:
    browser.open(f"{api.base_url}/docs")
    browser.wait(lambda: "Place Order" in browser.text, "the description")
    authorize(browser, "orders:read", "orders:write")
    sign_in(browser, "Ada Lovelace")
    assert call(browser, "read_orders").startswith("200")
    assert call(browser, "place_order").startswith("201")
    assert call(browser, "read_stock").startswith("200")
    assert call(browser, "clear_orders").startswith("204")


def test_what_somebody_lacks_is_said(api: httpx2.Client, browser: Browser) -> None:
    browser.open(f"{api.base_url}/docs")
    browser.wait(lambda: "Place Order" in browser.text, "the description")
    authorize(browser, "orders:read")
    sign_in(browser, "Grace Hopper")
    refused = call(browser, "place_order")
    assert refused.startswith("403")
    assert 'error="insufficient_scope"' in refused
    assert 'scope="orders:write"' in refused

    narrow = browser.driver.execute_script(TOKEN)
    browser.driver.refresh()
    browser.wait(lambda: "Place Order" in browser.text, "the description")
    authorize(browser, "orders:read", "orders:write")
    close(browser)  # signed in to the gateway already: nobody is asked
    assert call(browser, "place_order").startswith("201")
    refused = call(browser, "clear_orders")
    assert refused.startswith("403")
    assert 'error="insufficient_scope"' in refused

    person = {"Authorization": f"Bearer {narrow}"}
    assert api.get("/orders", headers=person).json() == ["string"]  # what Swagger UI suggests
    answer = api.post("/orders", headers=person, json={"item": "tea"})
    assert answer.status_code == 403
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="api", error="insufficient_scope"')
    assert challenge.endswith('scope="orders:write"')
    assert api.put("/stock/tea", headers=person, json={"count": 1}).status_code == 403


def test_a_service_calls_with_the_commands_that_are_printed(running: Command, api: httpx2.Client) -> None:
    commands = running.out[running.out.index("TOKEN=") : running.out.index("  Ctrl-C")]
    script = f"{commands}\nprintf %s $TOKEN"
    token = subprocess.run(["sh", "-euc", script], check=True, timeout=60, stdout=subprocess.PIPE, text=True).stdout
    service = {"Authorization": f"Bearer {token}"}
    assert api.get("/stock", headers=service).json() == {"tea": 12}
    assert api.get("/orders", headers=service).status_code == 403
    assert api.delete("/orders", headers=service).status_code == 403


def test_without_a_token(api: httpx2.Client) -> None:
    for method, path in (("GET", "/orders"), ("POST", "/orders"), ("DELETE", "/orders"), ("GET", "/stock")):
        answer = api.request(method, path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="api"')
    assert api.put("/stock/tea", json={"count": 1}).status_code == 401
