"""Applications and what a plain OAuth client does, step by step: what the tests of the application side stand on."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2

from harness import World

SECRET = "not-a-real-secret-of-an-application-0123456789"
SHOP_URI = "https://shop.example.com/callback"
READER_URI = "https://reader.example.com/"
PHONE_URI = "http://127.0.0.1/return"
BYE_URI = "https://shop.example.com/bye"
APPS: dict[str, dict[str, Any]] = {
    "shop": {
        "type": "web",
        "label": "The shop",
        "redirect_uris": [SHOP_URI, "https://shop.example.com/other?tenant=1"],
        "post_logout_redirect_uris": [BYE_URI],
        "client_secret": SECRET,
        "scopes": ["openid", "profile", "email", "groups", "offline_access"],
    },
    "reader": {"type": "spa", "redirect_uris": [READER_URI], "audience": "https://api.example.com"},
    "phone": {"type": "native", "redirect_uris": [PHONE_URI, "com.example.phone:/return"]},
    "office": {
        "type": "web",
        "redirect_uris": ["https://office.example.com/callback"],
        "client_secret": SECRET,
        "providers": ["microsoft"],
        "id_token_alg": "RS256",
    },
    "careful": {
        "type": "spa",
        "label": "Careful",
        "redirect_uris": ["https://careful.example.com/"],
        "consent": True,
    },
}


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Shop:
    """One application in one browser. Every step takes what should differ from the ordinary; None leaves out."""

    world: World
    client_id: str = "shop"
    redirect_uri: str = SHOP_URI
    secret: str | None = SECRET
    scope: str = "openid profile email offline_access"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    browser: httpx2.Client = None  # type: ignore[assignment]  # made below when none is given

    def __post_init__(self) -> None:
        self.browser = self.browser or self.world.gateway.browser()

    def request(self, **other: str | None) -> dict[str, str]:
        params: dict[str, str | None] = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": self.scope,
            "state": "a-state",
            "nonce": "a-nonce",
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (params | other).items() if value is not None}

    def authorize(self, **other: str | None) -> httpx2.Response:
        return self.browser.get("/auth/authorize", params=self.request(**other))

    def answer(self, **other: str | None) -> dict[str, str]:
        """What comes back to the application from a browser in which nobody needs to be asked."""
        return returned(self.authorize(**other), self.redirect_uri)

    def sign_in(self, provider: str = "google", **other: str | None) -> dict[str, str]:
        """The whole way of somebody who is not signed in yet: what comes back to the application."""
        page = self.follow(self.authorize(**other))
        return self.go_through(page, provider)

    def follow(self, response: httpx2.Response) -> httpx2.Response:
        """Follow redirects as long as they stay at the gateway."""
        while response.is_redirect and response.headers["location"].startswith(("/", self.world.gateway.url)):
            response = self.browser.get(response.headers["location"])
        return response

    def go_through(self, page: httpx2.Response, provider: str = "google") -> dict[str, str]:
        """From the page with the providers, or the redirect to the only one, through that provider, and back."""
        if not page.is_redirect:
            page = self.browser.get(link_of(page, provider))
        back = httpx2.get(page.headers["location"], timeout=20, trust_env=False, verify=False).headers["location"]
        return returned(self.follow(self.browser.get(back)), self.redirect_uri)

    def token(self, **form: str | None) -> httpx2.Response:
        client = {"client_id": self.client_id, "client_secret": self.secret}
        fields = {name: value for name, value in (client | form).items() if value is not None}
        return self.world.gateway.api().post("/auth/token", data=fields)

    def redeem(self, code: str, **other: str | None) -> httpx2.Response:
        form = {"code": code, "redirect_uri": self.redirect_uri, "code_verifier": self.verifier}
        return self.token(grant_type="authorization_code", **(form | other))

    def refresh(self, refresh_token: str, **other: str | None) -> httpx2.Response:
        return self.token(grant_type="refresh_token", refresh_token=refresh_token, **other)

    def tokens(self, provider: str = "google", **other: str | None) -> dict[str, Any]:
        response = self.redeem(self.sign_in(provider, **other)["code"])
        assert response.status_code == 200, response.text
        members: dict[str, Any] = response.json()
        return members

    def userinfo(self, access_token: str) -> httpx2.Response:
        return self.world.gateway.api().get("/auth/userinfo", headers={"Authorization": f"Bearer {access_token}"})


def link_of(page: httpx2.Response, provider: str) -> str:
    """Where the page's button for a provider leads."""
    links = [html.unescape(found) for found in re.findall(r'href="([^"]+)"', page.text)]
    return next(link for link in links if f"/auth/{provider}/login" in link)


def returned(response: httpx2.Response, redirect_uri: str) -> dict[str, str]:
    """The parameters that came back to an address of the application."""
    location = response.headers.get("location", "")
    assert location.split("?")[0] == redirect_uri.split("?")[0], (response.status_code, location, response.text[:300])
    return dict(parse_qsl(urlsplit(location).query))
