"""An issuer without a socket: it publishes metadata and keys through a transport, counts what is asked, and signs."""

from __future__ import annotations

import json
from typing import Any

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from gateway.testing.keys import PrivateKey, rsa

ISSUER, API = "https://login.example.com", "https://api.example.com"
NOW = 1_800_000_000
TENANT, OTHER_TENANT = "11111111-aaaa-4bbb-8ccc-222222222222", "33333333-aaaa-4bbb-8ccc-444444444444"
CLIENT = "00001111-aaaa-2222-bbbb-3333cccc4444"


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Published:
    """Documents by URL; anything else is 404. `asked`: every URL that was asked for."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.asked: list[str] = []
        self.failing = False

    @property
    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self._answer)

    def publish(self, name: str, *keys: tuple[str | None, PrivateKey], metadata: str = "", **more: Any) -> None:
        """`metadata`: where, if not below the issuer; `more`: members of every key."""
        where = metadata or f"{name.rstrip('/')}/.well-known/openid-configuration"
        jwks_uri = f"{where}/keys"
        self.documents[where] = {"issuer": name, "jwks_uri": jwks_uri}
        self.documents[jwks_uri] = {"keys": [published(kid, key, **more) for kid, key in keys]}

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        url = str(request.url)
        self.asked.append(url)
        if self.failing:
            raise httpx2.ConnectError("nobody listens")
        found = self.documents.get(url)
        if isinstance(found, httpx2.Response):
            return found
        return httpx2.Response(404) if found is None else httpx2.Response(200, content=json.dumps(found))


def published(kid: str | None, key: PrivateKey, **more: Any) -> dict[str, Any]:
    named = {} if kid is None else {"kid": kid}
    return {**key.as_dict(private=False), "use": "sig", **named, **more}


KEY, STRANGER, RSA = ECKey.generate_key("P-256"), ECKey.generate_key("P-256"), rsa()


def ours(**changed: Any) -> dict[str, Any]:
    """Claims as the gateway writes them; what is None is left out."""
    claims = {
        "iss": ISSUER,
        "aud": API,
        "sub": "5b0c0a52-54ba-4f6a-9a9b-0d7f3a9f0001",
        "client_id": "gateway",
        "iat": NOW,
        "exp": NOW + 300,
        "jti": "one",
        "sid": "5b0c0a52-54ba-4f6a-9a9b-0d7f3a9f0002",
        "auth_time": NOW - 60,
        "idp": "google",
        "scope": "openid orders:read",
        "roles": ["staff"],
        "groups": ["crew"],
    }
    return {name: value for name, value in (claims | changed).items() if value is not None}


def token(claims: dict[str, Any] | None = None, *, key: Any = KEY, **header: Any) -> str:
    """Signed; what of the header is None is left out."""
    given = {"alg": "ES256", "kid": "k1", "typ": "at+jwt"} | header
    registry = JWSRegistry(algorithms=[given["alg"]], strict_check_header=False)
    shown = {name: value for name, value in given.items() if value is not None}
    return jwt.encode(shown, claims or ours(), key, registry=registry, default_type=None)


def entra(**changed: Any) -> dict[str, Any]:
    """Claims of an access token of version 2.0 for a person."""
    claims = {
        "ver": "2.0",
        "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
        "aud": CLIENT,
        "azp": "caller",
        "azpacr": "0",
        "scp": "Orders.Read access_as_user",
        "oid": "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb",
        "sub": "pairwise",
        "tid": TENANT,
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 4000,
    }
    return {name: value for name, value in (claims | changed).items() if value is not None}


def entra_token(claims: dict[str, Any] | None = None, *, key: Any = RSA, **header: Any) -> str:
    return token(claims or entra(), key=key, **({"alg": "RS256", "kid": "m1", "typ": "JWT"} | header))


def entra_world() -> Published:
    """Microsoft's metadata of both versions for the tenant, and of another tenant."""
    world = Published()
    base = "https://login.microsoftonline.com"
    for tenant in (TENANT, OTHER_TENANT):
        world.publish(f"{base}/{tenant}/v2.0", ("m1", RSA), issuer=f"{base}/{{tenantid}}/v2.0")
        v1 = f"{base}/{tenant}/.well-known/openid-configuration"
        world.publish(f"https://sts.windows.net/{tenant}/", ("m1", RSA), metadata=v1)
    return world


B2C_ISS = f"https://contoso.b2clogin.com/{TENANT}/v2.0/"
B2C_TFP = f"https://contoso.b2clogin.com/tfp/{TENANT}/B2C_1_susi/v2.0/"
FLOW = {"ver": "1.0", "iss": B2C_ISS, "tfp": "B2C_1_susi", "tid": None, "nonce": "n", "emails": ["a@example.com"]}


def b2c_world(issuer: str = B2C_ISS) -> Published:
    world = Published()
    for flow in ("B2C_1_susi", "B2C_1_edit"):
        where = f"https://contoso.b2clogin.com/contoso.onmicrosoft.com/{flow}/v2.0/.well-known/openid-configuration"
        world.publish(issuer, ("m1", RSA), metadata=where)
    return world
