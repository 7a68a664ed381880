"""Everything a server says in a life full of trouble, at the loudest level: not one secret, not one address."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from gateway.testing import Behaviour, StandIn, behaviour

from harness import PLAIN, SECRET
from processes import Command, Server, Site, site, wait_until

CANARY = "canary-4f1c9b7a2e"  # in a target to return to, which may hold anything
EVERYONE = uuid.UUID(int=1)

# The gateway inside somebody's own program, which turns every logger up.
LOUD = """
import logging, os, sys
import uvicorn
from gateway import create_app, logs
from gateway.settings import load
app = create_app(load(sys.argv[1], os.environ))
logs.configure("debug")
for name in [*logging.root.manager.loggerDict, "aiosqlite", "asyncio", "multipart"]:
    logging.getLogger(name).setLevel(logging.DEBUG)
logging.root.setLevel(logging.DEBUG)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_config=None)
"""

# Parameters and members that must not be written, whoever sends them.
SECRET_NAMES = {
    *("code", "state", "nonce", "code_verifier", "client_secret", "access_token", "refresh_token", "id_token"),
    *("id_token_hint", "session_state", "login_hint", "token", "email", "code_challenge"),
}


async def echo(request: Request) -> Response:
    """A refusal that quotes what it was asked."""
    asked = (await request.body()).decode()
    return JSONResponse({"error": "invalid_grant", "error_description": f"not this: {asked}"}, 400)


async def echo_page(request: Request) -> Response:
    return HTMLResponse(f"<p>Something is wrong with {escape((await request.body()).decode())}", 200)


ODD: tuple[dict[str, Any], ...] = (
    {"id_token": behaviour.append("nonce")},
    {"id_token": behaviour.append("iss", "/ada@example.com")},
    {"id_token": behaviour.append("aud", " of ada@example.com")},
    {"id_token": behaviour.put(exp=1)},
    {"id_token": behaviour.put(exp="ada@example.com")},
    {"id_token": behaviour.put(sub=["ada@example.com"], oid=["ada@example.com"])},
    {"id_token": behaviour.drop("email"), "userinfo": behaviour.put(sub="ada@example.com")},
    {"id_token_header": behaviour.put(kid="ada@example.com")},
    {"token_response": lambda document: {**document, "id_token": document["id_token"][:-20]}},
    {"token_response": lambda document: {**document, "id_token": document["access_token"]}},
    {"token_response": lambda document: {**document, "token_type": document["access_token"]}},
    {"answers": {"token": echo}},
    {"answers": {"token": echo_page}},
)


class Secrets:
    """Every value that was ever in play, collected at both ends."""

    def __init__(self) -> None:
        self.values: set[str] = {SECRET, CANARY, "fake-secret"}

    def watch(self, response: httpx2.Response) -> None:
        """An answer's cookies, the parameters of the address it leads to, and the tokens in its body."""
        for cookie in response.headers.get_list("set-cookie"):
            self.values.add(cookie.partition(";")[0].partition("=")[2])
        self.named(parse_qsl(urlsplit(response.headers.get("location", "")).query))
        response.read()
        self.named(re.findall(r'name="(\w+)" value="([^"]*)"', response.text))
        with suppress(ValueError):
            body = response.json()
            self.named(body.items() if isinstance(body, dict) else ())

    def named(self, pairs: Iterable[tuple[str, Any]]) -> None:
        self.values |= {unescape(value) for name, value in pairs if name in SECRET_NAMES and isinstance(value, str)}

    def keep(self, token: str) -> str:
        """An ID token on its way out of a stand-in."""
        self.values.add(token)
        return token

    def of(self, standin: StandIn) -> None:
        """What a stand-in has received and given out."""
        self.values |= {person.email for person in standin.people if person.email}
        self.values |= {*standin.codes.by_code, *standin.codes.by_access_token, *standin.codes.verifiers}
        for call in standin.calls:
            self.named((*call.query, *call.form))
            self.values |= {value for name, value in call.headers.items() if name == "authorization"}

    def traces(self) -> set[str]:
        """What would betray one of them: the whole in several spellings, the parts of a JWT, the ends of the rest."""
        found = set()
        for value in self.values:
            found |= {value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1]}
            if value.startswith("eyJ"):
                found |= set(value.split(".")[1:])
            elif len(value) >= 32:
                found |= {value[:16], value[-16:]}
        return {trace for trace in found if len(trace) > 7}


class Life:
    """A browser's and a program's life with one server."""

    def __init__(self, served: Site, secrets: Secrets) -> None:
        self.served = served
        self.secrets = secrets
        self.url = served.gateway.url

    @contextmanager
    def browser(self, **headers: str) -> Iterator[httpx2.Client]:
        with self.served.gateway.browser(**{"Origin": self.url} | headers) as browser:
            browser.event_hooks["response"].append(self.secrets.watch)
            yield browser

    def start(self, browser: httpx2.Client, provider: str, **query: str) -> tuple[str, dict[str, str]]:
        """Through the provider: where its answer goes, and the parameters of the answer."""
        with httpx2.Client(**PLAIN, event_hooks={"response": [self.secrets.watch]}) as elsewhere:
            answered = elsewhere.get(browser.get(f"/auth/{provider}/login", params=query).headers["location"])
        if "location" in answered.headers:
            url = urlsplit(answered.headers["location"])
            return url._replace(query="").geturl(), dict(parse_qsl(url.query))
        fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', answered.text)
        return f"{self.url}/auth/{provider}/callback", {name: unescape(value) for name, value in fields}

    def finish(self, browser: httpx2.Client, callback: str, params: dict[str, str]) -> httpx2.Response:
        """Google answers by a redirect, Microsoft by a form post."""
        posted = "/microsoft/" in callback
        return browser.post(callback, data=params) if posted else browser.get(callback, params=params)

    def sign_in(self, browser: httpx2.Client, provider: str, **query: str) -> httpx2.Response:
        return self.finish(browser, *self.start(browser, provider, **query))

    # The chapters.

    def ordinary(self) -> None:
        for provider in ("google", "microsoft"):
            with self.browser() as browser:
                answer = self.sign_in(browser, provider, login_hint="ada@example.com", redirect_to=f"/app?t={CANARY}")
                assert answer.status_code == 303, answer.text
                for path in ("/auth/me", "/auth/sessions", "/auth/account", "/auth/identities", "/auth/verify"):
                    assert browser.get(path).status_code == 200
                assert browser.post("/auth/refresh").status_code == 200
                assert self.grant(browser.cookies["gateway-refresh"]).status_code == 200
                assert browser.post("/auth/logout?provider=true").status_code == 303

    def grant(self, token: str, **more: str) -> httpx2.Response:
        with self.browser(Accept="application/json") as browser:
            form = {"grant_type": "refresh_token", "refresh_token": token} | more
            return browser.post("/auth/token", data=form)

    def reuse(self) -> None:
        with self.browser() as browser:
            self.sign_in(browser, "google")
            first = browser.cookies["gateway-refresh"]
        second = self.grant(first).json()["refresh_token"]
        assert self.grant(second).status_code == 200
        assert self.grant(first).json()["error"] == "invalid_grant"

    def refusals(self) -> None:
        """What the browser brings is wrong, each time in another way."""
        changes: list[Callable[[dict[str, str]], dict[str, str]]] = [
            lambda p: p | {"state": "x" * 32},
            lambda p: p | {"iss": f"https://evil.example/?code={p['code']}"},
            lambda p: p | {"code": "wrong-" + p["code"][::-1]},
            lambda p: p | {"error": "access_denied", "error_description": f"{p['code']} of ada@example.com"},
            lambda p: p | {"error": f"{p['code']}"},
            lambda p: p | {"error": "server_error", "error_description": p["code"]},
        ]
        for provider in ("google", "microsoft"):
            for change in changes:
                with self.browser() as browser:
                    callback, params = self.start(browser, provider)
                    assert self.finish(browser, callback, change(params)).status_code in (400, 403, 503)
                    self.finish(browser, callback, params)
                    self.finish(browser, callback, params)

    def bad_providers(self) -> None:
        """What the provider answers is wrong, and names what it should not."""
        for standin in (self.served.google, self.served.microsoft):
            usual = standin.behaviour
            for odd in ODD:
                standin.behaviour = replace(usual, **odd)
                with self.browser() as browser:
                    answer = self.sign_in(browser, standin.slug)
                    assert answer.status_code in (303, 400, 503), answer.text
            standin.behaviour = usual

    def garbage(self) -> None:
        """Secrets where they do not belong."""
        with self.browser() as browser:
            self.sign_in(browser, "google")
            access, refresh = browser.cookies["gateway"], browser.cookies["gateway-refresh"]
        for authorization in (
            f"Bearer {refresh}",
            f"Bearer {access[:-8]}",
            f"Basic {access}",
            access,
            f"Bearer {SECRET}",
        ):
            with self.browser(Authorization=authorization) as browser:
                browser.get("/auth/me")
                browser.get(f"/auth/verify?access_token={access}&email=ada@example.com")
                browser.post("/auth/token", data={"grant_type": "refresh_token", "refresh_token": refresh})
        for token in (access, refresh[:-4], refresh[4:], refresh.upper(), f"{refresh}{refresh}", "ada@example.com"):
            self.grant(token)
            self.grant(refresh, client_id=token)
            self.grant(refresh, scope=token)
            self.grant(refresh, grant_type=token)
            with self.browser(
                Referer=f"{self.url}/?code={token}", Cookie=f"gateway={token}; gateway-refresh={token}"
            ) as b:
                b.post("/auth/refresh")
                b.get(f"/{token}")
                b.get(f"/auth/{token}/login")
                b.delete(f"/auth/sessions/{token}")
                b.get(
                    "/auth/google/login", params={"redirect_to": f"https://evil.example/{token}", "login_hint": token}
                )
                b.get("/auth/google/callback", params={"code": token, "state": token})
                b.post("/auth/token", content=json.dumps({"refresh_token": token}))
                b.post(
                    "/auth/microsoft/callback", content=f"code={token}&state=%ff%00\ud83d".encode("utf-8", "replace")
                )

    def broken_database(self) -> None:
        """The database refuses in the middle of things, and its errors quote what they were given."""
        with self.browser() as browser:
            self.sign_in(browser, "google")
            self.served.execute("ALTER TABLE events RENAME TO gone")
            assert self.sign_in(browser, "google").status_code >= 500
            assert browser.post("/auth/logout").status_code >= 500
        self.served.execute("ALTER TABLE sessions RENAME TO gone_too")
        with self.browser() as browser:
            assert self.sign_in(browser, "microsoft").status_code >= 500
            assert self.grant(self.served.gateway.app.parts.refresh.encode(EVERYONE, 1)).status_code >= 500


@contextmanager
def loudly(served: Site) -> Iterator[Command]:
    started = Command(["-c", LOUD, str(served.config), str(served.port)], served.config.parent)
    server = Server(served, started, served.port)
    try:
        with server.client:
            wait_until(server.answers)
            yield started
    finally:
        started.end()


@contextmanager
def as_a_command(served: Site) -> Iterator[Command]:
    with served.serve(GATEWAY_LOG_LEVEL="debug") as server:
        yield server.command
        server.command.end()


@pytest.mark.parametrize("running", [as_a_command, loudly])
def test_a_whole_run_betrays_nothing(
    database_url: str, tmp_path: Path, running: Callable[[Site], AbstractContextManager[Command]]
) -> None:
    secrets = Secrets()
    with site(database_url, tmp_path, microsoft={"response_mode": "form_post"}, account_linking="never") as served:
        for standin in (served.google, served.microsoft):
            standin.behaviour = Behaviour(id_token_compact=secrets.keep)
        with running(served) as command:
            life = Life(served, secrets)
            for chapter in (life.ordinary, life.reuse, life.refusals, life.bad_providers, life.garbage):
                chapter()
            life.broken_database()
        secrets.of(served.google)
        secrets.of(served.microsoft)
    said = command.err + command.out
    lines = [json.loads(line) for line in said.splitlines()]
    assert {"debug", "info", "warning", "error"} <= {line["level"] for line in lines}
    assert len(secrets.values) > 200
    traces = secrets.traces()
    assert [line for line in said.splitlines() if any(trace.casefold() in line.casefold() for trace in traces)] == []
