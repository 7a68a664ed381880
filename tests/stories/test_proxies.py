"""An application behind real proxies: who may pass does, as who they are; nobody else, whatever they send."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from proxies import Answer, Echo, Headers, Seen, ask, echo, proxy

from gateway.tokens.signing import Signer

from harness import World, free_port, world
from processes import wait_until

PROXIES = ("nginx", "caddy", "haproxy", "apache")
HTML = ("Accept", "text/html,*/*")


@dataclass
class Stage:
    """One proxy with all that stands behind it, and somebody who is signed in."""

    kind: str
    port: int
    world: World
    echo: Echo
    ada: httpx2.Client

    @property
    def url(self) -> str:
        return self.world.gateway.url

    def ask(self, path: str = "/page", *headers: tuple[str, str], **more: str) -> Answer:
        return ask(self.port, path, headers, **more)

    def ask_as_ada(self, path: str = "/page", *headers: tuple[str, str], cookies: str = "") -> Answer:
        return ask(self.port, path, [("Cookie", f"{cookies}gateway={self.ada.cookies['gateway']}"), *headers])

    @property
    def last(self) -> Seen:
        return self.echo.seen[-1]


@pytest.fixture(scope="module", params=PROXIES)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    port, behind = free_port(), free_port()
    database = f"sqlite:///{tmp_path_factory.mktemp('proxied') / 'gateway.db'}"
    options = {"trusted_proxies": ["127.0.0.1"], "access_token_ttl": "1h"}
    with (
        world(database, port=port, listen=behind, **options) as made,
        echo() as behind_it,
        proxy(request.param, port, behind, behind_it.server_port, "--token", "--require", "scope=openid"),
        made.gateway.browser() as ada,
    ):
        made.sign_in(ada, "google")
        yield Stage(request.param, port, made, behind_it, ada)


@pytest.fixture
def stage(whole: Stage) -> Stage:
    whole.echo.seen.clear()
    return whole


def identity(stage: Stage) -> dict[str, str]:
    """Who the application was told that asks."""
    return {name: stage.last.one(f"X-Auth-Request-{name}") for name in ("User", "Email", "Provider")}


@pytest.fixture
def ada_is(stage: Stage) -> dict[str, str]:
    return {"User": stage.ada.get("/auth/me").json()["id"], "Email": "ada@example.com", "Provider": "google"}


def test_somebody_who_is_signed_in_passes_as_who_they_are(stage: Stage, ada_is: dict[str, str]) -> None:
    assert stage.ada.get("/page?x=1&y=%2F").text == "hello"
    assert stage.last.path == "/page?x=1&y=%2F"
    assert identity(stage) == ada_is
    assert stage.last.one("X-Auth-Request-Preferred-Username") == "ada@example.com"
    for empty in ("Groups", "Roles"):  # nginx sends no header without a value
        assert stage.last.all(f"X-Auth-Request-{empty}") in ([""], [])


def test_a_body_passes_too(stage: Stage) -> None:
    answer = stage.ada.post("/page", content=b"x" * 100_000)
    assert (answer.status_code, stage.last.method) == (200, "POST")


def test_the_assertion_is_for_this_host(stage: Stage, ada_is: dict[str, str]) -> None:
    stage.ask_as_ada()
    keys = KeySet.import_key_set(stage.ada.get("/.well-known/jwks.json").json())
    said = jwt.decode(stage.last.one("X-Auth-Request-Token"), keys)
    assert said.header["typ"] == "forward-auth+jwt"
    assert (said.claims["iss"], said.claims["aud"]) == (stage.url, f"localhost:{stage.port}")
    assert (said.claims["sub"], said.claims["email"]) == (ada_is["User"], "ada@example.com")
    assert said.claims["exp"] - said.claims["iat"] == 60


def test_the_assertion_opens_nothing_here(stage: Stage) -> None:
    stage.ask_as_ada()
    token = stage.last.one("X-Auth-Request-Token")
    stage.echo.seen.clear()
    assert stage.ask("/page", ("Authorization", f"Bearer {token}")).status == 401
    assert stage.ask("/page", ("Cookie", f"gateway={token}")).status == 401
    assert stage.ask("/auth/me", ("Authorization", f"Bearer {token}")).status == 401
    assert stage.echo.seen == []


FORGED: dict[str, Headers] = {
    "as it is": [("X-Auth-Request-User", "admin"), ("X-Auth-Request-Email", "admin")],
    "small": [("x-auth-request-user", "admin"), ("x-auth-request-email", "admin")],
    "capitals": [("X-AUTH-REQUEST-USER", "admin"), ("X-AUTH-REQUEST-EMAIL", "admin")],
    "underscores": [("X_Auth_Request_User", "admin"), ("x_auth_request_email", "admin")],
    "one underscore": [("X-Auth_Request-User", "admin"), ("X-Auth-Request_Email", "admin")],
    "mixed": [("x_AUTH-request_User", "admin"), ("X-Auth_Request-Preferred_Username", "admin")],
    "dots": [("X.Auth.Request.User", "admin"), ("X-Auth.Request-Email", "admin")],
    "twice": [("X-Auth-Request-User", "admin"), ("X-Auth-Request-User", "admin")],
    "what is empty": [("X-Auth-Request-Roles", "admin"), ("X-Auth-Request-Groups", "admin")],
    "what is empty, underscores": [("X_Auth_Request_Roles", "admin"), ("X_Auth_Request_Groups", "admin")],
    "the assertion": [("X-Auth-Request-Token", "admin"), ("X_Auth_Request_Token", "admin")],
    "what is not for it": [(f"X-Auth-Request-{name}", "admin") for name in ("Sign-In", "Redirect", "Access-Token")],
    "listed": [("Connection", "close, X-Auth-Request-User, X-Auth-Request-Email"), ("X-Auth-Request-User", "admin")],
    "listed twice": [("Connection", "X-Auth-Request-Provider"), ("Connection", "X-Auth-Request-User")],
    "a space before the colon": [("X-Auth-Request-User ", "admin")],
    "folded": [("X-Auth-Request-User", "a\r\n admin")],
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_nobody_says_who_they_are_but_the_gateway(stage: Stage, ada_is: dict[str, str], forged: Headers) -> None:
    answer = stage.ask_as_ada("/page", *forged)
    if answer.status == 400:
        assert stage.echo.seen == []
        return
    assert answer.status == 200
    assert identity(stage) == ada_is
    assert not [value for _, value in stage.last.headers if "admin" in value]


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_without_a_session_no_header_helps(stage: Stage, forged: Headers) -> None:
    assert stage.ask("/page", *forged).status in (400, 401)
    assert stage.echo.seen == []


def test_the_gateways_cookies_stay_with_it(stage: Stage) -> None:
    ours = "; ".join(f"gateway-{one}=x" for one in ("refresh", "browser", "pending", "attempt-abc"))
    assert stage.ask_as_ada("/page", cookies=f"theme=dark; gateway2=kept; {ours}; lang=de; ").status == 200
    kept = re.split(r";\s*", stage.last.one("Cookie").strip("; "))
    assert kept == ["theme=dark", "gateway2=kept", "lang=de"]


def foreign(stage: Stage) -> str:
    """What the gateway would sign, signed by somebody else under the key's name."""
    keys = stage.world.gateway.app.parts.keyring
    claims = jwt.decode(
        stage.ada.cookies["gateway"], KeySet.import_key_set(stage.ada.get("/.well-known/jwks.json").json())
    ).claims
    return Signer(ECKey.generate_key("P-256"), alg="ES256", kid=keys.current.kid, typ="at+jwt").sign(claims)


@pytest.mark.parametrize("bad", ["malformed", "cut", "bits", "oversized", "huge", "foreign key", "refresh", "empty"])
def test_no_bad_cookie_passes(stage: Stage, bad: str) -> None:
    good = stage.ada.cookies["gateway"]
    values = {
        "malformed": "x.y.z",
        "cut": good[:-1],
        "bits": "\xff\xfe",
        "oversized": "a" * 7000,
        "huge": "a" * 100_000,
        "foreign key": foreign(stage),
        "refresh": stage.ada.cookies["gateway-refresh"],
        "empty": "",
    }
    status = stage.ask("/page", ("Cookie", f"gateway={values[bad]}")).status
    assert status == 401 or (status in (400, 413, 431, 502) and bad in ("huge", "bits"))
    assert stage.echo.seen == []


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Basic YTpi")],
        [("Authorization", "Bearer x"), ("Authorization", "Bearer y")],
        [("Authorization", "Bearer " + "a" * 7000)],
    ],
)
def test_no_bad_authorization_passes(stage: Stage, headers: Headers) -> None:
    assert stage.ask("/page", *headers).status in (400, 401)
    assert stage.echo.seen == []


TRICKS: dict[str, Headers] = {
    "none": [],
    "host": [("X-Forwarded-Host", "evil.example")],
    "hosts": [("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Host", "evil.example")],
    "uri": [("X-Forwarded-Uri", "//evil.example/%2e%2e/#x")],
    "scheme": [("X-Forwarded-Proto", "javascript")],
    "method": [("X-Forwarded-Method", "POST")],
    "client": [("X-Forwarded-For", "203.0.113.9"), ("X-Real-IP", "203.0.113.9"), ("Forwarded", "for=203.0.113.9")],
    "all": [(f"X-Forwarded-{name}", "evil.example") for name in ("Host", "Uri", "Proto", "Method", "For", "Prefix")],
    "underscores": [("X_Forwarded_Host", "evil.example"), ("X_Forwarded_For", "203.0.113.9")],
    "rewrites": [("X-Original-URL", "/auth/login"), ("X-Rewrite-URL", "/auth/login"), ("X-Original-URI", "/x")],
    "listed": [("Connection", "X-Forwarded-Host, X-Forwarded-Uri, X-Forwarded-For, Cookie")],
}


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
def test_what_a_client_says_was_forwarded_changes_nothing(stage: Stage, trick: Headers) -> None:
    answer = stage.ask("/page?a=1&b=%2F", HTML, *trick)
    back = httpx2.URL(f"{stage.url}/auth/login", params={"redirect_to": f"{stage.url}/page?a=1&b=%2F"})
    assert answer.status == 302
    assert httpx2.URL(answer.headers["location"]) == back
    assert stage.echo.seen == []


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
def test_the_application_hears_of_the_client_from_the_proxy(stage: Stage, trick: Headers) -> None:
    assert stage.ask_as_ada("/page", *trick).status == 200
    assert stage.last.one("X-Forwarded-For") == "127.0.0.1"
    assert "evil.example" not in stage.last.one("X-Forwarded-Host")


PATHS = (
    *("/auth/../page", "/auth/%2e%2e/page", "/auth/..%2fpage", "/auth%2f..%2fpage", "/auth/./../page", "//page"),
    *(
        "/.well-known/jwks.json/../../page",
        "/.well-known/jwks.json%2f..%2f..%2fpage",
        "/gateway-verify",
        "/AUTH/../page",
    ),
    *("/page#/auth/", "/page?/auth/", "/page;/auth/", "/auth/verify/../../page", "/auth\\..\\page", "/%61uth/../page"),
)


@pytest.mark.parametrize("path", PATHS)
def test_no_spelling_of_an_address_leads_past(stage: Stage, path: str) -> None:
    answer = stage.ask(path)
    assert answer.status >= 400
    assert stage.echo.seen == []


def test_a_navigation_signs_in_and_comes_back(stage: Stage) -> None:
    with stage.world.gateway.browser() as browser:
        to_login = browser.get("/page?x=1&y=2")
        page = browser.get(to_login.headers["location"])
        assert (to_login.status_code, page.status_code) == (302, 200)
        (start,) = re.findall(r'href="(/auth/google/login[^"]*)"', page.text)
        back = httpx2.URL(start.replace("&amp;", "&")).params["redirect_to"]
        landed = stage.world.sign_in(browser, "google", redirect_to=back).headers["location"]
        assert landed == f"{stage.url}/page?x=1&y=2"
        assert browser.get(landed).text == "hello"


def test_an_expired_access_token_is_renewed_on_the_way(stage: Stage) -> None:
    with stage.world.gateway.browser() as browser:
        stage.world.sign_in(browser, "google")
        del browser.cookies["gateway"]
        assert browser.get("/page?x=1", follow_redirects=True).text == "hello"
        assert stage.last.path == "/page?x=1"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", [("Accept", "*/*")]),
        ("GET", [("Accept", "application/json")]),
        ("GET", [HTML, ("Sec-Fetch-Mode", "cors")]),
        ("GET", [HTML, ("X-Requested-With", "XMLHttpRequest")]),
        ("POST", [HTML, ("Sec-Fetch-Mode", "navigate")]),
    ],
)
def test_what_is_no_navigation_gets_401(stage: Stage, method: str, headers: Headers) -> None:
    assert stage.ask("/page", *headers, method=method).status == 401
    assert stage.echo.seen == []


def test_a_session_that_ends_passes_no_more(stage: Stage) -> None:
    with stage.world.gateway.browser(Origin=stage.url) as browser:
        stage.world.sign_in(browser, "google")
        cookie = ("Cookie", f"gateway={browser.cookies['gateway']}")
        assert stage.ask("/page", cookie).status == 200
        assert browser.post("/auth/logout").status_code == 303
        assert stage.ask("/page", cookie).status == 401


def test_nobody_passes_while_the_store_is_down(stage: Stage) -> None:
    stage.world.execute("ALTER TABLE sessions RENAME TO sessions_gone")
    try:
        wait_until(lambda: stage.ask_as_ada().status != 200, 10)
        stage.echo.seen.clear()
        assert stage.ask_as_ada().status == 503
        assert stage.echo.seen == []
    finally:
        stage.world.execute("ALTER TABLE sessions_gone RENAME TO sessions")
    wait_until(lambda: stage.ask_as_ada().status == 200, 10)


@pytest.mark.parametrize("kind", PROXIES)
def test_nobody_passes_without_a_gateway(kind: str, tmp_path: Path) -> None:
    port, nobody = free_port(), free_port()
    with echo() as application, proxy(kind, port, nobody, application.server_port):
        assert ask(port, "/page", [HTML, ("X-Auth-Request-User", "admin")]).status in (502, 503)
        assert application.seen == []


@pytest.mark.parametrize("kind", PROXIES)
def test_who_does_not_meet_a_constraint_is_refused(kind: str, sqlite_url: str) -> None:
    port, behind = free_port(), free_port()
    with (
        world(sqlite_url, port=port, listen=behind, trusted_proxies=["127.0.0.1"]) as made,
        echo() as application,
        proxy(kind, port, behind, application.server_port, "--require", "scope=email", "--require", "role=editor"),
        made.gateway.browser() as ada,
    ):
        made.sign_in(ada, "google")
        assert ada.get("/page").status_code == 403
        assert application.seen == []
