"""One run of one module: a stand-in that does what the module says, a gateway, and a browser between them.

The modules are those of the OpenID Foundation's conformance suite for relying parties. Their verdict on a negative
module is silence towards the provider; ours is stricter, see `assert_rejected`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import httpx2
from sqlalchemy import create_engine, text

from gateway.app import create_app
from gateway.testing import Client, StandIn, serve

from harness import EndingAtOnce, Running, settings_for

NAME = "op"  # of the provider in the gateway's settings
CLIENT_ID = "conformance"
SECRET = "a secret: long enough, and 100% full of + & = é"
TLS = httpx2.create_ssl_context()  # built once: it takes 30 ms, and no address here is https
SESSION_COOKIES = {"gateway", "gateway-refresh"}


class Hidden(HTMLParser):
    """The form on a page that posts itself."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = found["action"]
        if tag == "input":
            self.fields[found["name"]] = found["value"]


@dataclass(frozen=True)
class Answer:
    """What the provider hands the browser: an address to go to, or a form to post there."""

    url: str
    fields: dict[str, str] | None = None
    origin: str = ""

    @classmethod
    def of(cls, response: httpx2.Response, origin: str) -> Answer:
        if response.status_code in (302, 303):
            return cls(response.headers["location"])
        assert response.status_code == 200, response.text
        form = Hidden(response.text)
        return cls(form.action, form.fields, origin)

    def deliver(self, browser: httpx2.Client) -> httpx2.Response:
        if self.fields is None:
            return browser.get(self.url)
        return browser.post(self.url, data=self.fields, headers={"Origin": self.origin})


def error_of(response: httpx2.Response) -> str | None:
    """The code on an error page."""
    _, found, rest = response.text.partition('data-error="')
    return rest.partition('"')[0] if found else None


@dataclass(frozen=True)
class Outcome:
    """What the callback answered, and how to bring it the same thing again."""

    response: httpx2.Response
    again: Callable[[], httpx2.Response]

    @property
    def error(self) -> str | None:
        return error_of(self.response)


@dataclass(frozen=True)
class Run:
    standin: StandIn
    gateway: Running
    database_url: str
    browser: httpx2.Client
    provider: ExitStack  # closing it takes the provider down
    posted: bool = False  # sign in with an ID token that the browser has got by itself, instead of by redirect

    def start(self, name: str = NAME, **query: str) -> httpx2.Response:
        return self.browser.get(f"/auth/{name}/login", params=query)

    def to_provider(self, started: httpx2.Response) -> Answer:
        assert started.status_code == 302, started.text
        with httpx2.Client(trust_env=False, timeout=10, verify=TLS) as elsewhere:
            return Answer.of(elsewhere.get(started.headers["location"]), self.standin.base_url)

    def hand_out(self) -> Answer:
        """An ID token for a nonce of this browser, as a form of a page of ours."""
        nonce = self.browser.get(f"/auth/{NAME}/nonce").json()["nonce"]
        credential = self.standin.mint(self.standin.people[0], CLIENT_ID, nonce=nonce)
        return Answer(f"/auth/{NAME}/login", {"credential": credential}, self.gateway.url)

    def sign_in(self, name: str = NAME, **query: str) -> Outcome:
        answer = self.hand_out() if self.posted else self.to_provider(self.start(name, **query))
        carried = dict(self.browser.cookies)

        def again() -> httpx2.Response:
            with self.gateway.browser() as other:
                other.cookies.update(carried)
                return answer.deliver(other)

        return Outcome(answer.deliver(self.browser), again)

    def read(self, query: str) -> list[Any]:
        engine = create_engine(self.database_url)
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(query))]
        finally:
            engine.dispose()

    def rows(self) -> dict[str, int]:
        tables = ("accounts", "identities", "sessions")
        return {table: self.read(f"SELECT count(*) FROM {table}")[0][0] for table in tables}  # noqa: S608  our names

    def refusals(self) -> list[str]:
        """The reasons in the audit trail."""
        found = self.read("SELECT name, detail FROM events")
        assert {name for name, _ in found} <= {"sign_in_refused"}, found
        return [json.loads(detail)["reason"] for _, detail in found]

    def calls(self) -> list[str]:
        return [call.endpoint for call in self.standin.calls]


Conduct = Callable[..., Run]


def assert_signed_in(run: Run, outcome: Outcome, times: int = 1) -> None:
    """A session in this browser, rows for it, and nothing that the provider had to complain about."""
    assert outcome.response.status_code == 303, outcome.error
    assert set(run.browser.cookies) >= SESSION_COOKIES
    assert run.rows() == {"accounts": 1, "identities": 1, "sessions": 1}
    assert run.standin.complaints == []
    calls = 0 if run.posted else times
    assert len(run.standin.called("token")) == len(run.standin.called("userinfo")) == calls


def assert_rejected(run: Run, outcome: Outcome, error: str, *, userinfo: int = 0) -> None:
    """The strict verdict: a 4xx page, no cookie, no row, one event, the attempt consumed, and not one call more."""
    calls = run.calls()
    assert (outcome.error, 400 <= outcome.response.status_code < 500) == (error, True)
    assert_nobody_came_in(run)
    assert run.refusals() == [error]
    assert calls.count("token") <= 1
    assert calls.count("userinfo") == userinfo
    if run.posted:  # nothing was spent, and it is as wrong as before
        assert error_of(outcome.again()) == error
        assert run.read("SELECT count(*) FROM spent") == [(0,)]
    else:
        assert error_of(outcome.again()) == "attempt_used"
        assert run.calls() == calls


class Time:
    """A clock for gateway and stand-in that a test can move."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def assert_nobody_came_in(run: Run) -> None:
    assert set(run.browser.cookies).isdisjoint(SESSION_COOKIES)
    assert run.rows() == {"accounts": 0, "identities": 0, "sessions": 0}


@contextmanager
def run(
    standin: StandIn,
    database_url: str,
    *,
    beside: StandIn | None = None,
    secret: str | None = SECRET,
    client_id: str = CLIENT_ID,
    client: dict[str, Any] | None = None,
    clock: Time | None = None,
    posted: bool = False,
    **table: Any,
) -> Iterator[Run]:
    """A gateway whose provider `op` is the stand-in, on real sockets. `table` goes over its settings, `client` over
    its registration. A second stand-in is the provider `beside`."""
    with ExitStack() as stack, EndingAtOnce() as servers:
        provider = servers.enter(ExitStack())
        listener, url = stack.enter_context(serve.bound("localhost"))
        provider.enter_context(standin.serve())
        standin.clients.append(Client(client_id, secret, (f"{url}/auth/{NAME}/callback",), **(client or {})))
        ordinary = {"discovery_url": standin.discovery_url, "client_id": client_id, "userinfo": "always"}
        tables = {NAME: ordinary | ({"client_secret": secret} if secret else {}) | table}
        if beside:
            servers.enter(beside.serve())
            beside.clients.append(Client(CLIENT_ID, SECRET, (f"{url}/auth/beside/callback",)))
            credentials = {"client_id": CLIENT_ID, "client_secret": SECRET}
            tables["beside"] = {"discovery_url": beside.discovery_url, **credentials}
        settings = settings_for(database_url, tables, public_url=url)
        app = create_app(settings, clock=clock or time.time)
        servers.enter(serve.running(app, listener))
        gateway = Running(app, url)
        browser = servers.enter(gateway.browser())
        yield Run(standin, gateway, database_url, browser, provider, posted)
