"""Who is calling: the access token in the Authorization header or the session cookie, and whether it still holds."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from starlette.types import Scope

from gateway.errors import CrossSite, InvalidToken, NotSignedIn, ReauthenticationRequired, RequestFault, Unavailable
from gateway.tokens.access import AccessClaims

from . import cookies
from .parts import Parts

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    claims: AccessClaims
    by_cookie: bool

    @property
    def account_id(self) -> uuid.UUID:
        return uuid.UUID(self.claims.subject)

    @property
    def session_id(self) -> uuid.UUID:
        return self.claims.session_id


def header(scope: Scope, name: bytes) -> str | None:
    """A header's value; a header that came several times is refused."""
    values = [value for key, value in scope["headers"] if key == name]
    if len(values) > 1:
        raise RequestFault(f"{name.decode()} came {len(values)} times")
    return values[0].decode("latin-1") if values else None


def cookies_of(scope: Scope) -> dict[str, str]:
    """Every cookie of the request; HTTP/2 may split the header (RFC 9113 section 8.2.3)."""
    joined = b"; ".join(value for key, value in scope["headers"] if key == b"cookie")
    return cookies.parse(joined.decode("latin-1"))


def identify(parts: Parts, scope: Scope) -> Caller:
    """The caller, without a look at the database. NotSignedIn, InvalidToken; Unavailable when nobody can tell."""
    authorization = header(scope, b"authorization")
    if authorization is not None:
        claims = parts.access.verify(bearer(authorization))
        return living(parts, Caller(claims, by_cookie=False))
    token = cookies_of(scope).get(parts.cookies.access)
    if not token:
        raise NotSignedIn()
    try:
        return living(parts, Caller(parts.access.verify(token), by_cookie=True))
    except InvalidToken as error:
        raise NotSignedIn(error.cause) from error


def bearer(authorization: str) -> str:
    """The token of a Bearer header (RFC 6750 section 2.1); any other scheme presents nothing we know."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotSignedIn("not a Bearer token")
    return token.strip()


def living(parts: Parts, caller: Caller) -> Caller:
    """The caller, unless the session has ended."""
    if not parts.ended.trustworthy():
        raise Unavailable("the list of ended sessions is too old")
    if parts.ended.has(caller.claims.session_id):
        raise InvalidToken("the session has ended")
    return caller


def same_site(parts: Parts, scope: Scope) -> None:
    """Refuse what another site's page makes this browser send. Raises CrossSite.

    For requests that change something and are authenticated by a cookie. A browser always sends Origin with those
    (Fetch standard), but as "null" from our own forms, because our pages send no referrer; Sec-Fetch-Site, which no
    page can set, stands in for that and where a privacy tool removed Origin.
    """
    if scope["method"] in SAFE_METHODS:
        return
    sender = header(scope, b"origin")
    if sender not in (None, "null"):
        if sender == parts.origin or sender in parts.settings.cors_origins:
            return
        raise CrossSite("foreign Origin")
    if header(scope, b"sec-fetch-site") != "same-origin":
        raise CrossSite("neither Origin nor Sec-Fetch-Site")


def identify_for_change(parts: Parts, scope: Scope) -> Caller:
    """The caller of a request that changes something: a cookie counts only from our own pages."""
    caller = identify(parts, scope)
    if caller.by_cookie:
        same_site(parts, scope)
    return caller


def identify_recent(parts: Parts, scope: Scope) -> Caller:
    """As `identify_for_change`, for what only somebody may do who signed in a moment ago. ReauthenticationRequired."""
    caller = identify_for_change(parts, scope)
    if not is_recent(parts, caller):
        raise ReauthenticationRequired(caller.claims.idp)
    return caller


def is_recent(parts: Parts, caller: Caller) -> bool:
    return parts.clock() - caller.claims.auth_time <= parts.settings.reauthentication_max_age
