"""Relying parties registered at a stand-in, and how they prove at the token endpoint who they are."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from gateway.testing.calls import Call, Refused
from gateway.testing.keys import thumbprint

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_ALGS = ("RS256", "PS256", "ES256", "ES384", "RS384", "RS512", "PS384", "PS512")
DAY = 86400
SKEW = 300


@dataclass(frozen=True, slots=True)
class Client:
    """A registration. `auth_method` None: whichever secret-bearing way the stand-in offers.

    `keys` are public JWKs for `private_key_jwt`; `certificate` (PEM) asks for its thumbprint in the header.
    `javascript_origins` are those of pages that may show the stand-in's button.
    """

    id: str
    secret: str | None = None
    redirect_uris: tuple[str, ...] = ()
    auth_method: str | None = None
    keys: tuple[Mapping[str, Any], ...] = ()
    certificate: str | None = None
    assertion_alg: str | None = None
    javascript_origins: tuple[str, ...] = ()

    def methods(self, offered: Collection[str]) -> tuple[str, ...]:
        secretly = ("client_secret_basic", "client_secret_post")
        return (self.auth_method,) if self.auth_method else tuple(m for m in offered if m in secretly)


@dataclass(slots=True)
class Authenticator:
    """Checks client authentication; remembers the assertions it has seen."""

    seen: set[str] = field(default_factory=set)

    def check(
        self,
        call: Call,
        clients: Iterable[Client],
        offered: Collection[str],
        audiences: Collection[str],
        now: float,
    ) -> Client:
        """The client that made this call to the token endpoint, or Refused with `invalid_client`.

        `offered` are the methods the provider knows, `audiences` what an assertion may be addressed to.
        """
        call.check_single()
        used, client_id, proof = _presented(call)
        client = next((one for one in clients if one.id == client_id), None)
        if client is None:
            raise _unknown("the client is unknown")
        if call.params.get("client_id", client.id) != client.id:
            raise _unknown("client_id in the body names another client")
        if used not in client.methods(offered):
            raise _unknown(f"{used} is not how this client authenticates")
        if used == "private_key_jwt":
            self._check_assertion(proof, client, audiences, now)
        elif used != "none" and proof != client.secret:
            raise _unknown("the client secret is wrong")
        return client

    def _check_assertion(self, token: str, client: Client, audiences: Collection[str], now: float) -> None:
        claims = _verified(token, client)
        _check_assertion_claims(claims, client, audiences, now)
        if claims["jti"] in self.seen:
            raise _unknown("the assertion's jti has been used before")
        self.seen.add(claims["jti"])


def _unknown(rule: str) -> Refused:
    return Refused("invalid_client", rule, 401)


def _presented(call: Call) -> tuple[str, str, str]:
    """(method, client id, proof) as the call presents them; more than one way at once is refused."""
    header = call.headers.get("authorization")
    ways = [way for way in ("client_secret", "client_assertion") if way in call.params]
    if len(ways) + (header is not None) > 1:
        raise Refused("invalid_request", "more than one way of client authentication")
    if header is not None:
        return "client_secret_basic", *_basic(header)
    if ways == ["client_assertion"]:
        if call.params.get("client_assertion_type") != ASSERTION_TYPE:
            raise _unknown("client_assertion_type is wrong")
        assertion = call.params["client_assertion"]
        return "private_key_jwt", _issuer(assertion), assertion
    client_id, secret = call.params.get("client_id", ""), call.params.get("client_secret", "")
    return "client_secret_post" if ways else "none", client_id, secret


def _basic(header: str) -> tuple[str, str]:
    """Both halves form-url-encoded before they are joined (RFC 6749 section 2.3.1)."""
    scheme, _, value = header.partition(" ")
    try:
        halves = base64.b64decode(value, validate=True).decode("ascii").split(":")
    except (binascii.Error, UnicodeDecodeError):
        halves = []
    if scheme.lower() != "basic" or len(halves) != 2:
        raise _unknown("the Authorization header is not Basic with two encoded halves")
    return unquote_plus(halves[0]), unquote_plus(halves[1])


def _issuer(token: str) -> str:
    try:
        payload = jws.extract_compact(token.encode()).payload
    except (JoseError, ValueError) as error:
        raise _unknown("the client assertion is not a JWT") from error
    claims = json.loads(payload)
    return str(claims.get("iss", ""))


def _verified(token: str, client: Client) -> dict[str, Any]:
    key, fingerprint = _key(client)
    algs = [client.assertion_alg] if client.assertion_alg else list(ASSERTION_ALGS)
    try:
        decoded = jwt.decode(token, key, algorithms=algs)
    except (JoseError, ValueError) as error:
        raise _unknown("the client assertion's signature is wrong") from error
    if fingerprint is not None and decoded.header.get("x5t#S256") != fingerprint:
        raise _unknown("the client assertion does not name the certificate")
    return decoded.claims


def _key(client: Client) -> tuple[RSAKey | ECKey | KeySet, str | None]:
    if client.certificate is None:
        return KeySet.import_key_set({"keys": [dict(key) for key in client.keys]}), None
    certificate = x509.load_pem_x509_certificate(client.certificate.encode())
    public = certificate.public_key()
    if isinstance(public, EllipticCurvePublicKey):
        return ECKey.import_key(public), thumbprint(certificate)
    if isinstance(public, RSAPublicKey):
        return RSAKey.import_key(public), thumbprint(certificate)
    raise _unknown("the certificate holds neither an RSA nor an EC key")


def _check_assertion_claims(claims: Mapping[str, Any], client: Client, audiences: Collection[str], now: float) -> None:
    """RFC 7523 section 3, and `iat` and a life of one day at most as the conformance suite asks."""
    aud = claims.get("aud")
    named = {aud} if isinstance(aud, str) else set(aud or ())
    rules = {
        "iss and sub are the client": claims.get("iss") == claims.get("sub") == client.id,
        "aud is the issuer or the token endpoint": not named.isdisjoint(audiences),
        "jti is there": bool(claims.get("jti")),
        "iat is there": isinstance(claims.get("iat"), int),
        "exp lies within a day": now - SKEW < claims.get("exp", 0) <= now + DAY,
        "nbf is not in the future": claims.get("nbf", 0) <= now + SKEW,
    }
    for rule, kept in rules.items():
        if not kept:
            raise _unknown(f"of the client assertion this does not hold: {rule}")
