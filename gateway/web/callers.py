"""Who is calling: the access token in the Authorization header or the session cookie, and whether it still holds."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from starlette.types import Scope

from gateway.errors import (
    CrossSite,
    InsufficientScope,
    InvalidToken,
    NotSignedIn,
    ReauthenticationRequired,
    RequestFault,
    Unavailable,
)
from gateway.tokens.access import AccessClaims
from gateway.tokens.refresh import GATEWAY, Presented

from . import cookies
from .parts import Parts

MARK = re.compile(r"[0-9a-f]{32}")
OWN = frozenset({"openid", "profile", "email"})  # the scope of somebody's own session
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    claims: AccessClaims
    session_id: uuid.UUID
    by_cookie: bool

    @property
    def account_id(self) -> uuid.UUID:
        return uuid.UUID(self.claims.subject)

    def has_scopes(self, wanted: Collection[str]) -> bool:
        return set(wanted) <= set(self.claims.scope.split(" "))


def header(scope: Scope, name: bytes) -> str | None:
    """A header's value; a header that came several times is refused."""
    values = [value for key, value in scope["headers"] if key == name]
    if len(values) > 1:
        raise RequestFault(f"{name.decode()} came {len(values)} times")
    return values[0].decode("latin-1") if values else None


def cookie_header(scope: Scope) -> str:
    """The cookies of the request as one header; HTTP/2 may split it (RFC 9113 section 8.2.3)."""
    return b"; ".join([value for key, value in scope["headers"] if key == b"cookie"]).decode("latin-1")


def cookies_of(scope: Scope) -> dict[str, str]:
    return cookies.parse(cookie_header(scope))


def presented(parts: Parts, scope: Scope) -> Presented | None:
    """The refresh token of this browser's session. One that a sibling sub-domain has slipped in does not count."""
    header = cookie_header(scope)
    mark = cookies.parse(header).get(parts.cookies.browser, "")
    if not MARK.fullmatch(mark):
        return None
    for value in cookies.all_of(header, parts.cookies.refresh):
        found = parts.refresh.decode(value)
        if found and parts.sealer.mac_matches("browser", found.session_id.bytes, bytes.fromhex(mark)):
            return found
    return None


def browser_mark(parts: Parts, session_id: uuid.UUID) -> str:
    """What the browser cookie holds for a session: 128 bits that only we can make."""
    return parts.sealer.mac("browser", session_id.bytes)[:16].hex()


def identify(parts: Parts, scope: Scope) -> Caller:
    """The caller, without a look at the database. NotSignedIn, InvalidToken; InsufficientScope for a service, which is
    nobody; Unavailable when nobody can tell."""
    authorization = header(scope, b"authorization")
    if authorization is not None:
        return living(parts, parts.access.verify(bearer(authorization)), by_cookie=False)
    token = cookies_of(scope).get(parts.cookies.access)
    if not token:
        raise NotSignedIn()
    try:
        return living(parts, parts.access.verify(token), by_cookie=True)
    except InvalidToken as error:
        raise NotSignedIn(error.cause) from error


def identify_owner(parts: Parts, scope: Scope) -> Caller:
    """As `identify`, but the person's own session: what an application was granted is not for looking after the
    account. InsufficientScope."""
    caller = identify(parts, scope)
    if caller.claims.client_id != GATEWAY:
        raise InsufficientScope("the token of an app")
    return caller


def bearer(authorization: str) -> str:
    """The token of a Bearer header (RFC 6750 section 2.1); any other scheme presents nothing we know."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotSignedIn("not a Bearer token")
    return token.strip()


def living(parts: Parts, claims: AccessClaims, *, by_cookie: bool) -> Caller:
    """The person whom the token speaks of, unless the session has ended."""
    if claims.session_id is None:
        raise InsufficientScope("a service, where a person is needed")
    if has_ended(parts, claims.session_id):
        raise InvalidToken("the session has ended")
    return Caller(claims, claims.session_id, by_cookie)


def has_ended(parts: Parts, session_id: uuid.UUID) -> bool:
    """Whether the session has ended. Unavailable when nobody can tell."""
    if not parts.ended.trustworthy():
        raise Unavailable("the list of ended sessions is too old")
    return parts.ended.has(session_id)


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
    """The caller of a request that changes something: a cookie counts only from our own pages; an application's token,
    and one that was narrowed (RFC 6749 section 6), change nothing. CrossSite, InsufficientScope."""
    caller = identify_owner(parts, scope)
    if caller.by_cookie:
        same_site(parts, scope)
    if not caller.has_scopes(OWN):
        raise InsufficientScope("a narrowed token")
    return caller


def identify_recent(parts: Parts, scope: Scope, *, back: str = "/auth/account") -> Caller:
    """As `identify_for_change`, for what only somebody may do who signed in a moment ago. ReauthenticationRequired,
    which leads `back` to a page."""
    caller = identify_for_change(parts, scope)
    if not is_recent(parts, caller):
        raise ReauthenticationRequired(caller.claims.idp, back=back)
    return caller


def is_recent(parts: Parts, caller: Caller) -> bool:
    return parts.clock() - caller.claims.auth_time <= parts.settings.reauthentication_max_age
