"""Fixtures of the conformance tests: runs with a stand-in of one's choice, over each response mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

pytest.register_assert_rewrite("suite")

import suite  # noqa: E402  its assertions explain themselves only when it is imported after the line above
from suite import Conduct, Run  # noqa: E402  as above

from gateway.testing import Behaviour, StandIn  # noqa: E402  as above


@pytest.fixture
def conduct(sqlite_url: str) -> Iterator[Conduct]:
    """Starts a run: `conduct(Behaviour(…), **settings of the provider)`."""
    with ExitStack() as stack:

        def start(behaviour: Behaviour | None = None, *, standin: StandIn | None = None, **options: Any) -> Run:
            return stack.enter_context(suite.run(standin or StandIn(behaviour), sqlite_url, **options))

        yield start


@pytest.fixture(params=["query", "form_post", "posted"])
def everywhere(request: pytest.FixtureRequest, conduct: Conduct) -> Conduct:
    """What concerns the ID token alone: by redirect, and once more with a token that the browser posts by itself."""
    way = {"posted": True} if request.param == "posted" else {"response_mode": request.param}

    def start(behaviour: Behaviour | None = None, **options: Any) -> Run:
        return conduct(behaviour, **way, **options)

    return start


@pytest.fixture(params=["query", "form_post"])
def module(request: pytest.FixtureRequest, conduct: Conduct) -> Conduct:
    """The same, once for the Basic profile and once for the Form Post profile."""

    def start(behaviour: Behaviour | None = None, **options: Any) -> Run:
        return conduct(behaviour, response_mode=request.param, **options)

    return start
