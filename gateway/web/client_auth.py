"""Which application is calling: client authentication (RFC 6749 section 2.3, RFC 7523), one way in one request.

client_secret_basic, client_secret_post     web, service: the secret, compared by its SHA-256
private_key_jwt                             web, service: a signed assertion, spent once
none                                        spa, native: the client_id alone; PKCE stands in for a secret
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from gateway import attempts
from gateway.errors import InvalidClient, RequestFault
from gateway.settings import AppSettings
from gateway.tokens import assertion

from .callers import header
from .fields import Fields
from .parts import Parts

PUBLIC = frozenset({"spa", "native"})
ENDPOINTS = ("/auth/token", "/auth/revoke", "/auth/introspect")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request says of its client. An empty secret is none (RFC 6749 section 2.3.1)."""

    client_id: str
    secret: str = field(default="", repr=False)
    assertion: str = field(default="", repr=False)


async def authenticate(parts: Parts, scope: Scope, fields: Fields) -> AppSettings:
    """The application that made this call. InvalidClient; RequestFault for two ways at once."""
    presented = credentials(scope, fields)
    app = parts.settings.apps.get(presented.client_id)
    if app is None:
        raise InvalidClient("no such app" if presented.client_id else "no client_id")
    await prove(parts, app, presented)
    return app


def names_client(scope: Scope, fields: Fields) -> bool:
    """Whether the request says anything about a client; without, it is about the gateway's own session."""
    named = fields.get("client_id") or fields.get("client_assertion")
    return bool(named) or any(name == b"authorization" for name, _ in scope["headers"])


def is_public(app: AppSettings) -> bool:
    """Whether the application can keep no secret."""
    return app.type in PUBLIC


def credentials(scope: Scope, fields: Fields) -> Credentials:
    """What is presented, believed by nobody yet."""
    client_id, secret = fields.get("client_id") or "", fields.get("client_secret") or ""
    signed, authorization = fields.get("client_assertion") or "", header(scope, b"authorization")
    if (authorization is not None) + bool(secret) + bool(signed) > 1:
        raise RequestFault("more than one way of client authentication")
    if signed:
        if fields.get("client_assertion_type") != assertion.TYPE:
            raise InvalidClient("another client_assertion_type")
        found = Credentials(assertion.claimant(signed), assertion=signed)
    elif authorization is not None:
        found = basic(authorization)
    else:
        return Credentials(client_id, secret)
    if client_id and client_id != found.client_id:
        raise InvalidClient("client_id names another app than the credentials")
    return found


def basic(authorization: str) -> Credentials:
    """Both halves are form-encoded before they are joined (RFC 6749 section 2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient("another scheme than Basic")
    try:
        client_id, colon, secret = b64decode(encoded.strip(), validate=True).partition(b":")
        found = Credentials(form_decoded(client_id), form_decoded(secret))
    except (binascii.Error, ValueError):
        raise InvalidClient("malformed Basic credentials") from None
    if not colon:
        raise InvalidClient("malformed Basic credentials")
    return found


def form_decoded(part: bytes) -> str:
    return unquote_to_bytes(part.replace(b"+", b" ")).decode("utf-8")


async def prove(parts: Parts, app: AppSettings, presented: Credentials) -> None:
    """Raises InvalidClient unless the application proved itself in the one way it is configured for."""
    if is_public(app):
        if presented.secret or presented.assertion:
            raise InvalidClient(f"a {app.type} app has nothing to prove itself with")
    elif app.public_key:
        await spend_assertion(parts, app, app.public_key, presented.assertion)
    elif not compare_digest(sha256(presented.secret.encode()).digest(), digest(app)):
        raise InvalidClient("another secret" if presented.secret else "no secret")


def digest(app: AppSettings) -> bytes:
    """SHA-256 of the application's secret."""
    if app.client_secret_hash is not None:
        return app.client_secret_hash
    if app.client_secret is None:
        raise InvalidClient("the app has no secret")
    return sha256(app.client_secret.get().strip().encode()).digest()


async def spend_assertion(parts: Parts, app: AppSettings, public_key: str, signed: str) -> None:
    if not signed:
        raise InvalidClient("no assertion")
    url = parts.settings.public_url
    names = {url, *(url + endpoint for endpoint in ENDPOINTS)}
    try:
        found = assertion.verify(signed, public_key, app.client_id, names, parts.clock())
    except ValueError as error:
        raise InvalidClient(f"assertion: {error}") from error
    if not await attempts.spend_alone(parts.database, f"assertion:{app.client_id}:{found.jti}", found.forget_at):
        raise InvalidClient("assertion: used before")
