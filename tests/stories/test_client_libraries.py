"""The client libraries that people have, unmodified: sign-in, renewal with rotation, userinfo and sign-out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from authlib.integrations.starlette_client import OAuth
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

import node
import shopfront
from browser import Browser
from harness import PLAIN, World, free_port, serving, world
from shops import SECRET

CLIENTS = Path(__file__).parents[1] / "clients"
PORT = free_port()
HERE = f"http://127.0.0.1:{PORT}"
APPS: dict[str, dict[str, Any]] = {
    "site": {
        "type": "web",
        "redirect_uris": [f"{HERE}/callback"],
        "post_logout_redirect_uris": [f"{HERE}/bye"],
        "client_secret": SECRET,
    },
    **{
        name: {
            "type": "spa",
            "redirect_uris": [f"{HERE}/"],
            "post_logout_redirect_uris": [f"{HERE}/bye"],
        }
        for name in ("page", "shop")
    },
}


@pytest.fixture(scope="module")
def town(lasting_sqlite_url: str) -> Iterator[World]:
    with world(lasting_sqlite_url, apps=APPS, account_linking="never") as made:
        yield made


@pytest.fixture
def anybody(town: World) -> Iterator[httpx2.Client]:
    """A browser of a kind, that goes wherever it is sent."""
    with httpx2.Client(follow_redirects=True, headers={"Accept": "text/html"}, **PLAIN) as client:
        yield client


def sign_in(client: httpx2.Client, start: str) -> httpx2.Response:
    """From the address a library begins with, by Google, to where the application gets its answer."""
    page = client.get(start)
    assert "Sign in with Google" in page.text, page.text
    target = page.text.partition("/auth/google/login")[2].partition('"')[0].replace("&amp;", "&")
    return client.get(page.url.join(f"/auth/google/login{target}"))


def test_openid_client(town: World, anybody: httpx2.Client) -> None:
    node.package("openid-client")
    given = {
        "issuer": town.gateway.url,
        "clientId": "site",
        "secret": SECRET,
        "redirectUri": f"{HERE}/callback",
        "byeUri": f"{HERE}/bye",
    }
    with answering(Starlette(routes=[Route("/{rest:path}", nothing)])), started("openid-client.mjs", given) as script:
        returned = sign_in(anybody, line_of(script))
        (out, err) = script.communicate(f"{returned.url}\n", timeout=node.PATIENCE)
        assert script.returncode == 0, err
        came = json.loads(out)
        assert came["claims"]["sub"] == came["userinfo"]["sub"]
        assert came["rotated"]
        assert str(anybody.get(came["out"]).url) == f"{HERE}/bye"
    form = {"grant_type": "refresh_token", "refresh_token": came["refresh"]}
    after = town.gateway.api().post("/auth/token", data=form | {"client_id": "site", "client_secret": SECRET})
    assert after.json()["error"] == "invalid_grant"


async def nothing(_: Request) -> Response:
    return Response("ok")


@contextmanager
def answering(app: Any) -> Iterator[None]:
    with serving(app, PORT):
        yield


@contextmanager
def started(script: str, given: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """A script of tests/clients, which talks on its standard input and output."""
    program = subprocess.Popen(
        ["node", "--input-type=module", "--eval", (CLIENTS / script).read_text(), json.dumps(given)],
        cwd=node.INSTALLED,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with program:
        try:
            yield program
        finally:
            if program.poll() is None:
                program.kill()


def line_of(script: subprocess.Popen[str]) -> str:
    assert script.stdout is not None
    assert script.stderr is not None
    return script.stdout.readline().strip() or pytest.fail(script.stderr.read())


def test_authlibs_client_for_starlette(town: World, anybody: httpx2.Client) -> None:
    with answering(site(town.gateway.url)):
        came = sign_in(anybody, f"{HERE}/login").json()
        assert came["claims"]["sub"] == came["userinfo"]["sub"]
        renewed = anybody.get(f"{HERE}/renew", params={"refresh_token": came["refresh_token"]}).json()
        assert renewed["refresh_token"] != came["refresh_token"]
        assert str(anybody.get(f"{HERE}/logout", params={"hint": came["id_token"]}).url) == f"{HERE}/bye"


def site(issuer: str) -> Starlette:
    """A web application with Authlib's client as its documentation has it."""
    oauth = OAuth()
    oauth.register(
        "gateway",
        client_id="site",
        client_secret=SECRET,
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid profile email offline_access", "code_challenge_method": "S256"},
    )

    async def login(request: Request) -> Response:
        answer: Response = await oauth.gateway.authorize_redirect(request, f"{HERE}/callback")
        return answer

    async def callback(request: Request) -> Response:
        token = await oauth.gateway.authorize_access_token(request)
        userinfo = await oauth.gateway.userinfo(token=token)
        kept = {name: token[name] for name in ("refresh_token", "id_token")}
        return JSONResponse({**kept, "claims": token["userinfo"], "userinfo": userinfo})

    async def renew(request: Request) -> Response:
        given = request.query_params["refresh_token"]
        return JSONResponse(await oauth.gateway.fetch_access_token(grant_type="refresh_token", refresh_token=given))

    async def logout(request: Request) -> Response:
        metadata = await oauth.gateway.load_server_metadata()
        query = f"id_token_hint={request.query_params['hint']}&post_logout_redirect_uri={HERE}/bye"
        return RedirectResponse(f"{metadata['end_session_endpoint']}?{query}")

    routes = [Route(f"/{each.__name__}", each) for each in (login, callback, renew, logout)]
    return Starlette(
        routes=[*routes, Route("/bye", nothing)],
        middleware=[Middleware(SessionMiddleware, secret_key="obviously-fake")],
    )


def seen(browser: Browser, expression: str) -> Any:
    """What an expression comes to in the page, promises awaited."""
    return browser.driver.execute_script(f"return {expression}")


def test_oidc_client_ts(town: World, browser: Browser) -> None:
    library = node.package("oidc-client-ts") / "dist" / "browser" / "oidc-client-ts.min.js"
    page = (CLIENTS / "oidc-client-ts.html").read_text().replace("{gateway}", town.gateway.url)

    async def script(_: Request) -> Response:
        return FileResponse(library, media_type="text/javascript")

    async def show(_: Request) -> Response:
        return HTMLResponse(page)

    app = Starlette(routes=[Route("/oidc-client-ts.js", script), Route("/{rest:path}", show)])
    with answering(app):
        browser.open(f"{HERE}/")
        browser.driver.execute_script("manager.signinRedirect()")
        browser.await_heading("Sign in")
        browser.press("Sign in with Google")
        browser.wait(lambda: bool(seen(browser, "window.user ?? window.fault")), "the user")
        assert seen(browser, "window.fault") is None
        first = seen(browser, "{sub: user.profile.sub, email: user.profile.email, refresh: user.refresh_token}")
        assert first["email"]
        renewed = seen(browser, "manager.signinSilent().then(user => user.refresh_token)")
        assert renewed != first["refresh"]
        browser.driver.execute_script("manager.signoutRedirect()")
        browser.wait(lambda: browser.url == f"{HERE}/bye", "the way back")
        assert town.gateway.url not in "".join(browser.complaints())


def test_gateway_js_in_two_tabs(town: World, browser: Browser) -> None:
    with shopfront.opened(PORT, town.gateway.url) as shop:
        browser.open(f"{HERE}/")
        browser.wait(lambda: bool(seen(browser, "window.seen")), "the listener")
        assert seen(browser, "seen.user") is None
        browser.driver.execute_script("shop.signIn()")
        browser.await_heading("Sign in")
        browser.press("Sign in with Google")
        browser.await_heading("Shop")
        browser.wait(lambda: bool(seen(browser, "window.seen?.user")), "the user")
        token = seen(browser, "shop.getToken()")
        assert seen(browser, "shop.fetch('/api').then(answer => answer.json())")["token"] == token

        first = browser.driver.current_window_handle
        browser.driver.switch_to.new_window("tab")
        browser.open(f"{HERE}/")
        browser.wait(lambda: bool(seen(browser, "window.seen?.user")), "the user in the other tab")
        assert seen(browser, "shop.getToken()") == token

        before = town.all("SELECT current FROM sessions WHERE client_id = 'shop' ORDER BY created_at")[-1][0]
        shop.refused.add(token)
        both = "Promise.all([1, 2, 3].map(() => shop.fetch('/api').then(answer => answer.json())))"
        tokens = {answer["token"] for answer in seen(browser, both)}
        assert len(tokens) == 1
        assert token not in tokens
        browser.driver.switch_to.window(first)
        assert {seen(browser, "shop.getToken()")} == tokens
        after = town.all("SELECT current FROM sessions WHERE client_id = 'shop' ORDER BY created_at")[-1][0]
        assert after == before + 1

        browser.driver.execute_script("shop.signOut()")
        browser.wait(lambda: browser.url == f"{HERE}/bye", "the way back")
        browser.driver.switch_to.window(browser.driver.window_handles[1])
        browser.wait(lambda: seen(browser, "seen.user") is None, "the sign-out in the other tab")
        browser.driver.close()
        browser.driver.switch_to.window(first)
