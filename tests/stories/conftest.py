"""Fixtures of stories lived through in a browser: one Chromium for all of them, each time as good as new."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from browser import Browser, chromium


@pytest.fixture(scope="session")
def shared_browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(params=["javascript"])
def browser(request: pytest.FixtureRequest, shared_browser: Browser) -> Iterator[Browser]:
    """A browser that knows nothing; afterwards its console is empty, and it has called nobody but this machine."""
    shared_browser.forget()
    if request.param == "no javascript":
        shared_browser.without_javascript()
    yield shared_browser
    shared_browser.check_manners()
