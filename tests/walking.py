"""A plain relying party on httpx2, that walks the code flow against a stand-in step by step."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, quote_plus, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.testing import Client, StandIn

TLS = httpx2.create_ssl_context()  # built once: it takes 30 ms, and no address here is https
CALLBACK = "http://127.0.0.1:9/callback"
CLIENT = Client("app", "pass:word %+é, which is long", (CALLBACK,))


@dataclass
class Walk:
    """One browser and one relying party. Every step takes what should differ from the ordinary."""

    standin: StandIn
    client: Client = CLIENT
    authority: str = "common"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    browser: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=10, trust_env=False, verify=TLS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.browser.close()

    def discover(self) -> dict[str, Any]:
        document: dict[str, Any] = self.browser.get(self.standin.url("discovery", self.authority)).json()
        return document

    def request(self, **other: str | None) -> dict[str, str]:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        params: dict[str, str | None] = {
            "client_id": self.client.id,
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid email profile",
            "state": "a-state",
            "nonce": "a-nonce",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in {**params, **other}.items() if value is not None}

    def authorize(self, **other: str | None) -> httpx2.Response:
        return self.browser.get(self.standin.url("authorize", self.authority), params=self.request(**other))

    def choose(self, **choice: str) -> httpx2.Response:
        url = self.standin.url("authorize", self.authority) + "/choose"
        return self.browser.post(url, data={**self.request(), **choice})

    def code(self, **other: str | None) -> str:
        return answered(self.authorize(**other))["code"]

    def redeem(
        self, code: str, *, secret: str | None = None, headers: dict[str, str] | None = None, **other: Any
    ) -> httpx2.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": self.verifier,
        }
        form = {name: value for name, value in {**form, **other}.items() if value is not None}
        basic = {"Authorization": basic_header(self.client.id, secret or self.client.secret or "")}
        headers = basic if headers is None else headers
        return self.browser.post(self.standin.url("token", self.authority), data=form, headers=headers)

    def tokens(self, **other: str | None) -> dict[str, Any]:
        tokens: dict[str, Any] = self.redeem(self.code(**other)).json()
        return tokens

    def claims(self, **other: str | None) -> dict[str, Any]:
        """The ID token's claims, its signature checked against the published keys."""
        return self.verified(self.tokens(**other)["id_token"]).claims

    def verified(self, id_token: str) -> jwt.Token:
        keys = self.browser.get(self.standin.url("jwks", self.authority)).json()["keys"]
        signing = [key for key in keys if key["use"] == "sig"]
        return jwt.decode(id_token, KeySet.import_key_set({"keys": signing}))

    def userinfo(self, access_token: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {access_token}"}
        return self.browser.get(self.standin.url("userinfo"), headers=headers)


def answered(response: httpx2.Response) -> dict[str, str]:
    """The parameters of the authorization response in a redirect."""
    return dict(parse_qsl(urlsplit(response.headers["location"]).query))


def basic_header(client_id: str, secret: str) -> str:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
