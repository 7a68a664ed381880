"""An OpenID provider in memory: it answers the gateway's HTTP client directly, and misbehaves as a test says."""

from __future__ import annotations

import json
import tomllib
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx2
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

import gateway.providers
from gateway.providers import ProviderClient, Providers
from gateway.settings import ProviderSettings, Secret

NOW = 1_800_000_000
CLIENT_ID = "gateway-client"
CODE = "code-4711"
NONCE = "nonce-4711"
CODE_VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636 appendix B
ACCESS_TOKEN = "access-4711"
STATE = "state-4711"
PRESETS = tomllib.loads((Path(gateway.providers.__file__).parent / "presets.toml").read_text())

Key = RSAKey | ECKey | OKPKey | OctKey
Answer = Callable[[httpx2.Request], httpx2.Response]


def any_nonce(_nonce: str | None) -> None:
    """For tests of posted tokens that are about something else."""


class Clock:
    """Time that stands still until a test moves it."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@cache
def made(kind: str, size: Any, number: int) -> Any:
    """Keys take a while to make, so tests share them."""
    kinds: dict[str, Any] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    return kinds[kind].generate_key(size)


def rsa(number: int = 0) -> RSAKey:
    key: RSAKey = made("RSA", 2048, number)
    return key


def ec(number: int = 0, curve: str = "P-256") -> ECKey:
    key: ECKey = made("EC", curve, number)
    return key


def okp(curve: str = "Ed25519") -> OKPKey:
    key: OKPKey = made("OKP", curve, 0)
    return key


def public(key: Key, **members: object) -> dict[str, Any]:
    """The key as a JWK set shows it."""
    return {**key.as_dict(private=False), **members}


def half_hash(value: str) -> str:
    return urlsafe_b64encode(sha256(value.encode()).digest()[:16]).rstrip(b"=").decode()


def b64(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(claims: Mapping[str, Any] | bytes, key: Key, header: Mapping[str, Any]) -> str:
    """A token as a provider, or somebody who would like to be one, may make it: no header is too odd."""
    alg = jws.JWSRegistry.algorithms[header["alg"]]
    text = f"{b64(dict(header))}.{b64(claims)}"
    return f"{text}.{b64(alg.sign(text.encode(), key))}"


@dataclass
class Op:
    """`document`, `claims`, `keys` … are what it answers with; an entry in `answers` replaces an endpoint."""

    issuer: str = "https://op.example"
    clock: Clock = field(default_factory=Clock)
    document: dict[str, Any] = field(default_factory=dict)
    keys: list[dict[str, Any]] = field(default_factory=list)
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256", "kid": "one"})
    key: Key = field(default_factory=rsa)
    claims: dict[str, Any] = field(default_factory=dict)
    token_answer: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    calls: list[httpx2.Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.document = {
            "issuer": self.issuer,
            "authorization_endpoint": "https://op.example/authorize",
            "token_endpoint": "https://op.example/token",
            "jwks_uri": "https://op.example/jwks",
            "userinfo_endpoint": "https://op.example/userinfo",
            **self.document,
        }
        self.keys = self.keys or [public(rsa(), kid="one", use="sig")]
        self.claims = {
            "iss": self.issuer,
            "sub": "ada-1",
            "aud": CLIENT_ID,
            "nonce": NONCE,
            "iat": int(self.clock()),
            "exp": int(self.clock()) + 300,
            "at_hash": half_hash(ACCESS_TOKEN),
            **self.claims,
        }

    def count(self, path: str) -> int:
        return sum(1 for call in self.calls if call.url.path == path)

    def form(self) -> dict[str, list[str]]:
        """What came in the last token request."""
        call = next(call for call in reversed(self.calls) if call.url.path == "/token")
        return parse_qs(call.content.decode(), keep_blank_values=True)

    def rotate(self, kid: str, number: int) -> None:
        """A new key in the place of all others."""
        self.keys, self.key = [public(rsa(number), kid=kid, use="sig")], rsa(number)
        self.header = {**self.header, "kid": kid}

    def id_token(self) -> str:
        return sign(self.claims, self.key, self.header)

    def tokens(self) -> dict[str, Any]:
        """What the token endpoint answers."""
        answer = {"token_type": "Bearer", "access_token": ACCESS_TOKEN, "id_token": self.id_token()}
        return {**answer, **self.token_answer}

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        self.calls.append(request)
        path = request.url.path
        if path in self.answers:
            return self.answers[path](request)
        match path:
            case "/token":
                return as_json(self.tokens())
            case "/jwks":
                return as_json({"keys": self.keys})
            case "/userinfo":
                return as_json({"sub": self.claims["sub"], **self.userinfo})
            case _:
                return as_json(self.document)

    def settings(self, **given: Any) -> ProviderSettings:
        values: dict[str, Any] = {
            "name": "op",
            "label": "Op",
            "discovery_url": "https://op.example/.well-known/openid-configuration",
            "issuer": self.issuer,
            "client_id": CLIENT_ID,
            "client_secret": Secret("secret-4711"),
            "userinfo": "never",
        }
        return ProviderSettings(**{**values, **given})

    def providers(self, **given: Any) -> Providers:
        return Providers(
            {"op": self.settings(**given)},
            public_url="https://login.example",
            clock=self.clock,
            transport=httpx2.MockTransport(self.handle),
        )

    def client(self, **given: Any) -> ProviderClient:
        return self.providers(**given).get("op")


def as_json(value: object) -> httpx2.Response:
    """ASCII alone, so that a test may send halves of characters."""
    return httpx2.Response(200, content=json.dumps(value), headers={"Content-Type": "application/json"})


async def begin(client: ProviderClient) -> str:
    return await client.begin(state=STATE, nonce=NONCE, code_verifier=CODE_VERIFIER)


async def finish(client: ProviderClient) -> gateway.providers.Vouched:
    return await client.finish(code=CODE, nonce=NONCE, code_verifier=CODE_VERIFIER)


def failing(error: type[httpx2.TransportError]) -> Answer:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise error("no", request=request)

    return answer


def answering(status: int = 200, *, body: bytes | str = b"", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _request: httpx2.Response(status, content=body, headers=named)


class Endless(httpx2.AsyncByteStream):
    """A body that never ends; it counts what was read of it."""

    def __init__(self) -> None:
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.read += 65536
            yield b" " * 65536
