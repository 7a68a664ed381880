"""Forward auth: a reverse proxy asks whether a request may pass. No database; never a pass on doubt.

200 with identity headers, 401 when nobody is signed in, 403 when a constraint is not met, 503 when nobody can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.errors import InsufficientScope, InvalidToken, NotSignedIn
from gateway.tokens.access import AccessClaims

from . import fields
from .callers import identify
from .parts import Parts, parts_of

SAFE = " !#$&'()*+-./:;<=>?@[]^_`{|}~\"\\"  # besides letters and digits: printable ASCII but comma and percent sign
PLAIN = re.compile(f"[A-Za-z0-9{re.escape(SAFE)}]*")


class Verify:
    """GET /auth/verify?role=&scope=&group="""

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        parts = parts_of(scope)
        headers = verify(parts, scope)
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def verify(parts: Parts, scope: Scope) -> list[tuple[bytes, bytes]]:
    """The identity headers of a request that may pass."""
    try:
        claims = identify(parts, scope).claims
    except InvalidToken as error:
        raise NotSignedIn(error.cause) from error
    if scope["query_string"]:
        constrain(claims, fields.query(scope))
    return identity_headers(claims)


def constrain(claims: AccessClaims, asked: fields.Fields) -> None:
    """Every constraint must be met; one that is present but empty, or unknown, is met by nobody."""
    held = {"role": claims.roles, "scope": claims.scope.split(" "), "group": claims.groups or ()}
    for name in asked.values:
        value = asked.get(name)
        if not value or value not in held.get(name, ()):
            raise InsufficientScope(f"a constraint on {name} is not met" if name in held else "an unknown constraint")


def identity_headers(claims: AccessClaims) -> list[tuple[bytes, bytes]]:
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


verify_endpoint = Verify()

routes = [Route("/auth/verify", verify_endpoint, methods=["GET"])]
