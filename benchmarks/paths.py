"""The paths that are measured: whom they ask, what their clients say, and the ratio that is aimed at."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from gateway.web.token import session_cookies

from .clients import FORM, Each, Renew, RenewCookies, Repeat, SignIn, Start, request
from .load import Client
from .nginx import PAGE
from .provider import address_of
from .stage import APP, APP_SECRET, RETURNS_TO, ROBOT, VERIFIER, Gate, SignedIn

AT_ONCE = (1, 16, 64)
NEW_TOKENS = 9_000  # more than a second's worth of any server
NEW_CODES = 2_500


@dataclass(frozen=True, slots=True)
class Path:
    """`gate` names who is asked, `beside` what that is measured against; `mark` is the ratio of the two rates that is
    aimed at, at most connections. `clients` makes so many clients for so many seconds."""

    name: str
    gate: str
    clients: Callable[[Gate, int, float], Sequence[Client]]
    mark: float | None = None
    at_once: tuple[int, ...] = AT_ONCE
    mark_p99: float | None = None  # seconds
    beside: str = "bare"


BARE = request("GET", "/bare")


def bare_clients(count: int) -> list[Client]:
    return [Repeat(BARE, b"\r\n\r\nok")] * count


def bare_json_clients(count: int) -> list[Client]:
    return [Repeat(request("GET", "/bare.json"), b'\r\n\r\n{"ok":true}')] * count


def bare_page_clients(count: int) -> list[Client]:
    return [Repeat(request("GET", "/page"), PAGE.encode())] * count


def with_cookie(token: str, path: str = "/auth/verify") -> bytes:
    return request("GET", path, {"Cookie": f"gateway={token}"})


def with_bearer(token: str, path: str = "/auth/verify") -> bytes:
    return request("GET", path, {"Authorization": f"Bearer {token}"})


def named(subject: str) -> bytes:
    return f"\r\nx-auth-request-user: {subject}\r\n".encode()


def verify_cookie(gate: Gate, count: int, _seconds: float) -> list[Client]:
    return [Repeat(with_cookie(one.pair.access_token), named(one.subject)) for one in gate.signed_in(count)]


def page(gate: Gate, count: int, _seconds: float) -> list[Client]:
    """A page behind nginx, which tells whom the gateway named."""
    people = gate.signed_in(count)
    return [
        Repeat(with_cookie(one.pair.access_token, "/page"), f"\r\nX-User: {one.subject}\r\n".encode()) for one in people
    ]


def nobody(_gate: Gate, _count: int, _seconds: float) -> list[Client]:
    """For what brings clients of its own."""
    return []


def verify_bearer(gate: Gate, count: int, _seconds: float) -> list[Client]:
    return [Repeat(with_bearer(one.pair.access_token), named(one.subject)) for one in gate.signed_in(count)]


def verify_new(gate: Gate, count: int, seconds: float) -> list[Client]:
    each = int(NEW_TOKENS * seconds / count)
    return [
        Each(
            [with_cookie(token) for token in gate.access_tokens(number, each)],
            named(str(gate.people[number].account_id)),
        )
        for number in range(count)
    ]


def renew(gate: Gate, count: int, _seconds: float) -> list[Client]:
    return [Renew(one.pair.refresh_token) for one in gate.signed_in(count)]


def renew_cookies(gate: Gate, count: int, _seconds: float) -> list[Client]:
    origin = gate.parts.origin
    return [RenewCookies(origin, cookies_for(gate, one)) for one in gate.signed_in(count)]


def cookies_for(gate: Gate, one: SignedIn) -> dict[str, str]:
    """What this browser holds: as a sign-in would have set it."""
    pairs = (cookie.partition(";")[0].partition("=") for cookie in session_cookies(gate.parts, one.pair))
    return {name: value for name, _, value in pairs}


def renew_app(gate: Gate, count: int, _seconds: float) -> list[Client]:
    return [Renew(pair.refresh_token, APP) for pair in gate.granted(count)]


def redeem(gate: Gate, count: int, seconds: float) -> list[Client]:
    each = int(NEW_CODES * seconds / count)
    return [Each([redemption(code) for code in gate.codes(number, each)], b'"id_token"') for number in range(count)]


def redemption(code: str) -> bytes:
    fields = {"code": code, "redirect_uri": RETURNS_TO, "code_verifier": VERIFIER, "client_id": APP}
    return request("POST", "/auth/token", FORM, urlencode({"grant_type": "authorization_code", **fields}).encode())


def client_credentials(_gate: Gate, count: int, _seconds: float) -> list[Client]:
    pair = b64encode(f"{ROBOT}:{APP_SECRET}".encode()).decode()
    ask = request("POST", "/auth/token", FORM | {"Authorization": f"Basic {pair}"}, b"grant_type=client_credentials")
    return [Repeat(ask, b'"access_token"')] * count


def start(_gate: Gate, count: int, _seconds: float) -> list[Client]:
    return [Start()] * count


def me(gate: Gate, count: int, _seconds: float) -> list[Client]:
    people = gate.signed_in(count)
    return [Repeat(with_bearer(one.pair.access_token, "/auth/me"), one.subject.encode()) for one in people]


def sign_in(_gate: Gate, count: int, _seconds: float) -> list[Client]:
    return [SignIn(address_of(number)) for number in range(count)]


MOST = AT_ONCE[-1:]

PATHS = (
    Path("bare route with JSON", "bare, JSON", nobody, at_once=MOST),
    Path("GET /auth/verify, cookie", "postgresql", verify_cookie, 1.4, mark_p99=0.008),
    Path("GET /auth/verify, Bearer", "postgresql", verify_bearer, 1.4, mark_p99=0.008),
    Path("GET /auth/verify, every token new", "postgresql", verify_new, 0.25),
    Path("GET /auth/verify, with the access log", "logging", verify_cookie, at_once=MOST),
    Path("GET /auth/verify, cookie, asked by wrk", "wrk", nobody, at_once=MOST, beside="bare, wrk"),
    Path("GET /auth/verify, by nginx", "nginx", page, 1.5, at_once=MOST, beside="bare, nginx"),
    Path("GET /auth/verify, by nginx", "nginx", page, at_once=MOST, beside="bare, empty, nginx"),
    Path("GET /auth/verify, two workers", "two workers", verify_cookie, 1.2, at_once=MOST, beside="one worker"),
    Path("POST /auth/token, PostgreSQL", "postgresql", renew, 0.28, mark_p99=0.025),
    Path("POST /auth/token, PostgreSQL", "postgresql", renew, 2.5, at_once=AT_ONCE[1:], beside="pgbench, textbook, 16"),
    Path("POST /auth/token, PostgreSQL", "postgresql", renew, 1.0, at_once=MOST, beside="pgbench, our UPDATE, 64"),
    Path("POST /auth/token, two workers", "two workers", renew, 1.3, at_once=MOST, beside="one worker"),
    Path("POST /auth/token, SQLite", "sqlite", renew, 0.25),
    Path("POST /auth/token, an application renews", "postgresql", renew_app, at_once=MOST),
    Path("POST /auth/token, a code is redeemed", "postgresql", redeem, at_once=MOST),
    Path("POST /auth/token, client_credentials", "postgresql", client_credentials, at_once=MOST),
    Path("POST /auth/refresh, PostgreSQL", "postgresql", renew_cookies),
    Path("GET /auth/google/login", "postgresql", start, 0.80),
    Path("GET /auth/me", "postgresql", me, 0.22),
    Path("whole sign-in", "postgresql", sign_in, 0.045, at_once=(32,)),
)
