"""A real Chromium, and what it must not do behind a person's back: call elsewhere, complain in its console."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.common import TimeoutException, WebDriverException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    "--window-size=1280,900",
)
LOOPBACK = {"localhost", "127.0.0.1"}
PATIENCE = 15  # seconds until a page must have come

# What is wider than the window, by tag and text.
OVERFLOW = """
return document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
  [...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1)
    .map(one => one.tagName + ' ' + one.textContent.trim().slice(0, 40))
"""
# Texts whose contrast is too low (WCAG 2.2, 1.4.3), by text and ratio.
FAINT = """
const parse = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
const channel = one => (one /= 255) <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const behind = one => {
  for (; one; one = one.parentElement) {
    const colour = parse(getComputedStyle(one).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
};
const faint = [];
for (const one of document.querySelectorAll('body *')) {
  const own = [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
  if (!own || !one.checkVisibility()) continue;
  const style = getComputedStyle(one), size = parseFloat(style.fontSize);
  const [low, high] = [light(parse(style.color)), light(behind(one))].sort((a, b) => a - b);
  const ratio = (high + 0.05) / (low + 0.05), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  if (ratio < (large ? 3 : 4.5)) faint.push(one.textContent.trim().slice(0, 40) + ' ' + ratio.toFixed(2));
}
return faint
"""


CALM = {"name": "prefers-reduced-motion", "value": "reduce"}  # or colours are measured half-way


class Browser:
    """What a person can do: look, press what is named, type, and go by the keyboard alone."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        self.driver.get(url)

    @property
    def url(self) -> str:
        return self.driver.current_url

    @property
    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text

    @property
    def heading(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "h1").text

    @property
    def error(self) -> str:
        """The code of an error page."""
        return self.driver.find_element(By.TAG_NAME, "main").get_attribute("data-error") or ""

    def press(self, name: str) -> None:
        """Press the one link or button that says this on a line of its own."""
        found = self.driver.find_elements(By.CSS_SELECTOR, "a, button, summary")
        (control,) = [one for one in found if name in one.text.splitlines()]
        control.click()

    def type(self, label: str, words: str) -> None:
        (field,) = [one for one in self.driver.find_elements(By.TAG_NAME, "input") if one.accessible_name == label]
        field.clear()
        field.send_keys(words)

    def await_heading(self, heading: str) -> None:
        """Wait for the page that says this at its top."""
        self.wait(lambda: self.heading == heading, heading)

    def await_error(self, code: str) -> None:
        self.wait(lambda: self.error == code, code)

    def wait(self, come: Callable[[], bool], what: str) -> None:
        waiting = WebDriverWait(self.driver, PATIENCE, 0.1, ignored_exceptions=[WebDriverException])
        try:
            waiting.until(lambda _: come())
        except TimeoutException:
            pytest.fail(f"{what!r} has not come, but {self.text[:300]!r}")

    def tab_to(self, name: str) -> None:
        """Go on by Tab until what is named so has the focus, and see that the focus can be seen."""
        for _ in range(20):
            ActionChains(self.driver).send_keys(Keys.TAB).perform()
            focused = self.driver.switch_to.active_element
            assert self.outlined(focused), f"no focus to be seen at {focused.text!r}"
            if name in (*focused.text.splitlines(), focused.accessible_name):
                return
        pytest.fail(f"{name!r} cannot be reached by Tab")

    def outlined(self, element: WebElement) -> bool:
        style, width = (element.value_of_css_property(f"outline-{part}") for part in ("style", "width"))
        return style != "none" and float(width.removesuffix("px")) >= 1

    def enter(self) -> None:
        ActionChains(self.driver).send_keys(Keys.ENTER).perform()

    def overflowing(self) -> Sequence[str]:
        found: list[str] = self.driver.execute_script(OVERFLOW)
        return found

    def is_dark(self) -> bool:
        colour = self.driver.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) < 3 * 64

    def faint(self) -> Sequence[str]:
        found: list[str] = self.driver.execute_script(FAINT)
        return found

    @contextmanager
    def other_window(self) -> Iterator[None]:
        """In the window that the page has opened, until that has closed by itself."""
        page = self.driver.current_window_handle
        self.wait(lambda: len(self.driver.window_handles) == 2, "another window")
        (opened,) = set(self.driver.window_handles) - {page}
        self.driver.switch_to.window(opened)
        yield
        self.wait(lambda: self.driver.window_handles == [page], "the window to close")
        self.driver.switch_to.window(page)

    # Other circumstances, until `forget`.

    def narrow(self, width: int) -> None:
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str) -> None:
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}, CALM])

    def without_javascript(self) -> None:
        self.tell("Emulation.setScriptExecutionDisabled", value=True)
        self.open("data:text/html,<title>quiet</title><script>document.title = 'loud'</script>")
        assert self.driver.title == "quiet"

    def forget(self) -> None:
        """A fresh start: one window, no cookies, no emulation, nothing in the logs."""
        for window in self.driver.window_handles[1:]:
            self.driver.switch_to.window(window)
            self.driver.close()
        self.driver.switch_to.window(self.driver.window_handles[0])
        self.driver.get("about:blank")
        self.tell("Network.clearBrowserCookies")
        self.tell("Emulation.clearDeviceMetricsOverride")
        self.tell("Emulation.setEmulatedMedia", features=[])
        self.tell("Emulation.setScriptExecutionDisabled", value=False)
        self.complaints()
        self.asked()

    def tell(self, command: str, **parameters: Any) -> None:
        self.driver.execute_cdp_cmd(command, parameters)

    # What happened meanwhile.

    def complaints(self) -> list[str]:
        """The console's errors and warnings since the last time; the status of a page itself is no fault of it."""
        said = [entry["message"] for entry in self.log("browser") if entry["level"] in ("WARNING", "SEVERE")]
        return [message for message in said if "the server responded with a status of" not in message]

    def asked(self) -> set[str]:
        """The URLs that were asked for since the last time."""
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        sent = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
        return set(sent)

    def log(self, kind: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]  # as Selenium has it
        return entries

    def check_manners(self) -> None:
        """Raises AssertionError for a word in the console, or a request to anybody but this machine."""
        hosts = {urlsplit(url).hostname for url in self.asked() if url.startswith(("http", "ws"))}
        assert hosts <= LOOPBACK, f"asked elsewhere: {hosts - LOOPBACK}"
        assert self.complaints() == []


# Which browser the fixture gives.
with_and_without_javascript = pytest.mark.parametrize("browser", ["javascript", "no javascript"], indirect=True)
without_javascript = pytest.mark.parametrize("browser", ["no javascript"], indirect=True)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium with a fresh profile. Skips the test where there is none, but not under CI=true."""
    if not (shutil.which(CHROMIUM) and shutil.which(DRIVER)):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{CHROMIUM} and {DRIVER} are needed")
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
