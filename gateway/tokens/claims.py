"""What an access token says: the grant it is made from, its claims on the wire, and reading them back (RFC 9068).

A service's token speaks of no person: its subject is `app:<client_id>`, which no account id can be, and it has no
session, no time and no provider of a sign-in.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

LEEWAY = 60  # seconds that the clock of another process may be ahead
SERVICE = "app:"  # what the subject of a service begins with (RFC 9700 section 4.15)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessGrant:
    """What a token is to say. The last four are said only where they are given."""

    subject: str  # account id; of a service `app:<client_id>`, and the next three are empty
    session_id: UUID | None
    auth_time: int  # epoch seconds
    idp: str  # provider name
    client_id: str = "gateway"
    scope: str = ""  # space-delimited
    roles: tuple[str, ...] = ()
    audience: str | None = None  # None: the configured one
    not_after: int | None = None  # epoch seconds: the session's end, which no token outlives
    groups: tuple[str, ...] | None = None
    email: str | None = None
    email_verified: bool | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessClaims:
    """What a verified token says. Times are epoch seconds."""

    subject: str
    audience: tuple[str, ...]
    client_id: str
    session_id: UUID | None  # None: a service's token, with no auth_time (0) and no idp ("") either
    auth_time: int
    idp: str
    scope: str
    roles: tuple[str, ...]
    jti: str
    iat: int
    exp: int
    kid: str
    groups: tuple[str, ...] | None = None
    email: str | None = None
    email_verified: bool | None = None
    name: str | None = None


def write(grant: AccessGrant, *, issuer: str, audience: str, now: int, ttl: int) -> dict[str, Any]:
    """The claims of a new token that lives `ttl` seconds (RFC 9068 section 2.2)."""
    expires_at = now + ttl
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": grant.subject,
        "aud": grant.audience or audience,
        "client_id": grant.client_id,
        "iat": now,
        "exp": expires_at if grant.not_after is None else min(expires_at, grant.not_after),
        "jti": secrets.token_urlsafe(16),
        "scope": grant.scope,
        "roles": grant.roles,
    }
    if grant.session_id is not None:
        claims |= {"sid": str(grant.session_id), "auth_time": grant.auth_time, "idp": grant.idp}
    for name in ("groups", "email", "email_verified", "name"):
        if (value := getattr(grant, name)) is not None:
            claims[name] = value
    return claims


def service(client_id: str, scope: str, audience: str | None) -> AccessGrant:
    """What the token of a service is to say."""
    return AccessGrant(
        subject=SERVICE + client_id,
        session_id=None,
        auth_time=0,
        idp="",
        client_id=client_id,
        scope=scope,
        audience=audience,
    )


def read(claims: object, *, issuer: str, now: float, kid: str) -> AccessClaims:
    """Check every claim and its type (RFC 9068 section 4), but whom it is for. ValueError names the wrong one."""
    if not isinstance(claims, dict):
        raise ValueError("the payload is no object")
    meant_for = claims.get("aud")
    audiences = (meant_for,) if isinstance(meant_for, str) else strings(claims, "aud")
    if claims.get("iss") != issuer:
        raise ValueError("iss is another")
    iat, exp = whole(claims, "iat"), whole(claims, "exp")
    if exp <= now or max(iat, whole(claims, "nbf", iat)) > now + LEEWAY:
        raise ValueError("not valid at this time")
    subject, client_id = text(claims, "sub"), text(claims, "client_id")
    alone = subject == SERVICE + client_id  # a service: nobody has signed in
    return AccessClaims(
        subject=subject,
        audience=audiences,
        client_id=client_id,
        session_id=None if alone else UUID(text(claims, "sid")),
        auth_time=0 if alone else whole(claims, "auth_time"),
        idp="" if alone else text(claims, "idp"),
        scope=text(claims, "scope", empty=True),
        roles=strings(claims, "roles"),
        jti=text(claims, "jti"),
        iat=iat,
        exp=exp,
        kid=kid,
        groups=strings(claims, "groups") if "groups" in claims else None,
        email=text(claims, "email") if "email" in claims else None,
        email_verified=truth(claims, "email_verified"),
        name=text(claims, "name", empty=True) if "name" in claims else None,
    )


def text(claims: Mapping[str, Any], name: str, *, empty: bool = False) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not (value or empty):
        raise ValueError(f"{name} is wrong")
    return value


def whole(claims: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = claims.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is wrong")
    return value


def truth(claims: Mapping[str, Any], name: str) -> bool | None:
    value = claims.get(name)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} is wrong")
    return value


def strings(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = claims.get(name)
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{name} is wrong")
    return tuple(value)
