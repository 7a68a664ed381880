"""Applications that call the gateway in this process: their settings, their credentials, grants of theirs."""

from __future__ import annotations

import json
import secrets
import uuid
from base64 import b64encode, urlsafe_b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import ECKey
from signed_in import DAY, Clock, add_session

from gateway.app import Gateway, create_app
from gateway.settings.load import build

from harness import SECRET

URL = "http://localhost:8000"
APP_SECRET = "not a real secret: 100% fake, é+ü " + "x" * 20
PRIVATE = ec.derive_private_key(0x5EED, ec.SECP256R1())
KEY = ECKey.import_key(PRIVATE)
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
RETURN = ["https://shop.example.com/callback"]
SID = "51d0" * 8  # under which an application knows the browser session of a grant


def app_tables(folder: Path) -> dict[str, dict[str, Any]]:
    """One application of each kind, and of each way to prove itself."""
    public_key = folder / "app.pem"
    public_key.write_bytes(PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    secret_hash = "sha256:" + sha256(APP_SECRET.encode()).hexdigest()
    return {
        "web": {"type": "web", "client_secret": APP_SECRET, "redirect_uris": RETURN},
        "keyed": {"type": "web", "public_key_file": str(public_key), "redirect_uris": RETURN},
        "spa": {"type": "spa", "redirect_uris": RETURN, "audience": "https://api.example.com"},
        "phone": {"type": "native", "redirect_uris": ["com.example.app:/callback"]},
        "robot": {
            "type": "service",
            "client_secret_hash": secret_hash,
            "scopes": ["reports:read", "reports:write"],
            "audience": "https://api.example.com",
        },
        "signer": {"type": "service", "public_key_file": str(public_key), "scopes": ["reports:read"]},
    }


@dataclass(frozen=True)
class Calling:
    """A gateway in this process, and a client that speaks to it."""

    gateway: Gateway
    client: httpx2.AsyncClient
    clock: Clock

    async def token(self, headers: Mapping[str, str] | None = None, **form: str) -> httpx2.Response:
        return await self.post("/auth/token", headers, **form)

    async def post(self, path: str, headers: Mapping[str, str] | None = None, **form: str) -> httpx2.Response:
        return await self.client.post(path, data=form, headers=dict(headers or {}))

    async def grant(self, client_id: str, **given: Any) -> tuple[uuid.UUID, str]:
        """A grant of somebody to an application, as a sign-in would leave it: its id and its refresh token."""
        now = self.clock.now
        values = {"scope": "openid email offline_access", "auth_time": now, "expires_at": now + 90 * DAY, "now": now}
        facts = {"verified": [], "groups": [], "email": "ada@example.com", "email_verified": True}
        values |= {"facts": facts if client_id == "gateway" else facts | {"sid": SID}}
        session = await add_session(self.gateway.parts.database, **values | {"client_id": client_id} | given)
        return session.id, self.gateway.parts.refresh.encode(session.id, 0, client_id)


@asynccontextmanager
async def calling(
    database_url: str,
    folder: Path,
    apps: Mapping[str, Mapping[str, Any]] | None = None,
    tables: Mapping[str, Any] | None = None,
    **gateway: Any,
) -> AsyncIterator[Calling]:
    defaults = {"public_url": URL, "database_url": database_url, "secret_keys": [SECRET], "rate_limits": False}
    clock = Clock()
    made = {"gateway": defaults | gateway, "apps": app_tables(folder) | dict(apps or {})}
    app = create_app(build(made | dict(tables or {})), clock=clock)
    transport = httpx2.ASGITransport(app=app)
    try:
        async with httpx2.AsyncClient(transport=transport, base_url=URL, headers={"Accept": "*/*"}) as client:
            await app.start()
            yield Calling(app, client, clock)
    finally:
        await app.stop()


def basic(client_id: str, secret: str = APP_SECRET) -> dict[str, str]:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return {"Authorization": "Basic " + b64encode(pair.encode()).decode()}


def assertion(client_id: str, now: float, key: ECKey = KEY, alg: str = "ES256", **changed: Any) -> dict[str, str]:
    """Form fields of `private_key_jwt`; a claim given as None is left out."""
    said = {"iss": client_id, "sub": client_id, "aud": f"{URL}/auth/token", "iat": now, "exp": now + 60}
    said |= {"jti": secrets.token_urlsafe(8)} | changed
    claims = {name: value for name, value in said.items() if value is not None}
    token = jwt.encode({"alg": alg}, claims, key, algorithms=[alg])
    return {"client_assertion_type": ASSERTION, "client_assertion": token}


def claims_of(token: str) -> dict[str, Any]:
    """What a token of ours says; nobody has checked it."""
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims
