"""Forward auth: a reverse proxy asks whether a request may pass. No database; never a pass on doubt.

200 with identity headers, 401 when nobody is signed in, 403 when a constraint is not met, 503 when nobody can tell.

    /auth/verify            401 names the way to sign in in a header (nginx, HAProxy, Apache: they choose what to do)
    /auth/verify/redirect   a navigation is sent there at once       (Traefik, Caddy: they pass the answer on)
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote, urlencode, urlsplit

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.errors import (
    InsufficientScope,
    InvalidToken,
    NotSignedIn,
    RedirectNotAllowed,
    RequestFault,
    SignInTooOld,
)
from gateway.tokens.access import AccessClaims

from . import fields, shortcut
from .callers import identify
from .forwarded import Forwarded, forwarded, is_navigation
from .parts import Parts, parts_of
from .problems import answer

SAFE = " !#$&'()*+-./:;<=>?@[]^_`{|}~\"\\"  # besides letters and digits: printable ASCII but comma and percent sign
PLAIN = re.compile(f"[A-Za-z0-9{re.escape(SAFE)}]*")
SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)

Constraints = tuple[tuple[str, str], ...]
RawHeaders = list[tuple[bytes, bytes]]


class Verify:
    """GET /auth/verify and GET /auth/verify/redirect, with ?role=&scope=&group=&provider=&max_age=&token="""

    def __init__(self, *, redirects: bool) -> None:
        self._redirects = redirects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = parts_of(scope)
        try:
            claims, headers = verify(parts, scope)
        except NotSignedIn as error:
            await refuse(parts, scope, error, redirects=self._redirects)(scope, receive, send)
            return
        shortcut.passed(scope, claims)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def verify(parts: Parts, scope: Scope) -> tuple[AccessClaims, RawHeaders]:
    """Who may pass, and the identity headers. What is malformed about the person's proof is no proof."""
    try:
        claims = identify(parts, scope).claims
    except (InvalidToken, RequestFault) as error:
        raise NotSignedIn(error.cause) from error
    asked = read_constraints(scope["query_string"])
    constrain(claims, asked, parts.clock())
    headers = identity_headers(claims)
    if ("token", "1") in asked:
        audience = forwarded(scope, parts.settings.trusted_proxies).host or urlsplit(parts.settings.public_url).netloc
        headers.append((b"x-auth-request-token", parts.proxy_assertions.mint(claims, audience).encode()))
    return claims, headers


@lru_cache(maxsize=256)
def read_constraints(raw: bytes) -> Constraints:
    """The query, which a proxy's configuration writes: a few spellings, seen again and again. InsufficientScope."""
    try:
        return tuple(fields.pairs(raw))
    except RequestFault as fault:
        raise InsufficientScope(f"constraints that cannot be read: {fault.cause}") from fault


def constrain(claims: AccessClaims, asked: Constraints, now: float) -> None:
    """Every constraint must be met, also each of several on one thing; one that is empty or unknown is met by nobody.

    The age is looked at last: to sign in again helps only somebody who may pass otherwise. InsufficientScope,
    SignInTooOld.
    """
    held = {
        "role": claims.roles,
        "scope": claims.scope.split(" "),
        "group": claims.groups or (),
        "provider": (claims.idp,),
        "token": ("1",),
    }
    ages = [value for name, value in asked if name == "max_age"]
    for name, value in asked:
        if name != "max_age" and (not value or value not in held.get(name, ())):
            raise InsufficientScope(f"a constraint on {name} is not met" if name in held else "an unknown constraint")
    if not all(SECONDS.fullmatch(age) for age in ages):
        raise InsufficientScope("max_age is no number of seconds")
    youngest = min(map(int, ages), default=None)
    if youngest is not None and now - claims.auth_time > youngest:
        raise SignInTooOld(youngest)


def refuse(parts: Parts, scope: Scope, error: NotSignedIn, *, redirects: bool) -> Response:
    """401; a navigation learns where to sign in, or is sent there."""
    asked = forwarded(scope, parts.settings.trusted_proxies)
    if not is_navigation(scope, asked):
        return answer(scope, error)
    location = sign_in_address(parts, asked, error.max_age if isinstance(error, SignInTooOld) else None)
    if redirects:
        return RedirectResponse(location, 302)
    response = answer(scope, error)
    response.headers["X-Auth-Request-Sign-In"] = location
    return response


def sign_in_address(parts: Parts, asked: Forwarded, max_age: int | None) -> str:
    """The sign-in page, which leads back to what was asked for where that is an allowed target."""
    query: dict[str, str] = {}
    if target := allowed_target(parts, asked):
        query["redirect_to"] = target
    if max_age is not None:
        query["max_age"] = str(max_age)
    address = f"{parts.settings.public_url}/auth/login"
    return f"{address}?{urlencode(query)}" if query else address


def allowed_target(parts: Parts, asked: Forwarded) -> str | None:
    try:
        return parts.redirects.check(target) if (target := asked.target(parts.origin)) else None
    except RedirectNotAllowed:
        return None


def identity_headers(claims: AccessClaims) -> RawHeaders:
    return [
        (b"content-length", b"0"),
        (b"x-auth-request-user", encode(claims.subject)),
        (b"x-auth-request-email", encode(trusted_email(claims))),
        (b"x-auth-request-preferred-username", encode(trusted_email(claims) or claims.subject)),
        (b"x-auth-request-groups", encoded(claims.groups or ())),
        (b"x-auth-request-roles", encoded(claims.roles)),
        (b"x-auth-request-provider", encode(claims.idp)),
    ]


def trusted_email(claims: AccessClaims) -> str:
    """Only a verified address: applications behind a proxy take this header for who somebody is."""
    return claims.email or "" if claims.email_verified else ""


def encoded(values: Iterable[str]) -> bytes:
    """Joined with commas."""
    return b",".join(map(encode, values))


def encode(value: str) -> bytes:
    """What is not printable ASCII, and a comma or percent sign, percent-encoded UTF-8."""
    return (value if PLAIN.fullmatch(value) else quote(value, safe=SAFE)).encode("ascii")


verify_endpoint = Verify(redirects=False)
redirect_endpoint = Verify(redirects=True)

routes = [
    Route("/auth/verify", verify_endpoint, methods=["GET"]),
    Route("/auth/verify/redirect", redirect_endpoint, methods=["GET"]),
]
