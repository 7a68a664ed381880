"""A stand-in that behaves as Google does: what it advertises, says in tokens and adds to its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Unpack

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.testing import tokens
from gateway.testing.authorization import Asked, Grant
from gateway.testing.behaviour import Behaviour, Document
from gateway.testing.buttons import Buttons
from gateway.testing.calls import Call, Refused
from gateway.testing.codes import random_text
from gateway.testing.keys import Keys, google_keys
from gateway.testing.people import Person, digits
from gateway.testing.provider import Options, StandIn

HOUR = 3600
BUTTONS = {"script": "/gsi/client", "select": "/gsi/select", "issue": "/gsi/issue"}

METADATA: Document = {
    "response_types_supported": [
        "code",
        "token",
        "id_token",
        "code token",
        "code id_token",
        "token id_token",
        "code token id_token",
        "none",
    ],
    "subject_types_supported": ["public"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "scopes_supported": ["openid", "email", "profile"],
    "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
    "claims_supported": [
        "aud",
        "email",
        "email_verified",
        "exp",
        "family_name",
        "given_name",
        "iat",
        "iss",
        "name",
        "picture",
        "sub",
    ],
    "code_challenge_methods_supported": ["plain", "S256"],
    "grant_types_supported": [
        "authorization_code",
        "refresh_token",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
    ],
}
LONG_SCOPES = {
    "email": "https://www.googleapis.com/auth/userinfo.email",
    "profile": "https://www.googleapis.com/auth/userinfo.profile",
}


def person(name: str, email: str, *, verified: bool = True, hosted_domain: str | None = None, note: str = "") -> Person:
    """A Google account; with `hosted_domain` one of a Workspace. The same address is always the same subject."""
    return Person(
        subject="1" + digits(f"google {email}", 20),
        name=name,
        email=email,
        email_verified=verified,
        hosted_domain=hosted_domain,
        note=note,
    )


def people() -> list[Person]:
    return [
        person("Ada Lovelace", "ada@example.com", hosted_domain="example.com", note="Workspace account"),
        person("Grace Hopper", "grace@example.net", note="Personal account"),
        person("Alan Turing", "alan@example.org", verified=False, note="Address not verified"),
    ]


class Google(StandIn):
    """`bare_issuer` puts the other spelling of the issuer, without the scheme, into ID tokens."""

    label: ClassVar[str] = "Google"
    slug: ClassVar[str] = "google"
    page_first: ClassVar[bool] = True
    redirect_status: ClassVar[int] = 302
    jwt_typ: ClassVar[str | None] = "JWT"
    paths: ClassVar[Mapping[str, str]] = {
        "discovery": "/.well-known/openid-configuration",
        "jwks": "/oauth2/v3/certs",
        "authorize": "/o/oauth2/v2/auth",
        "token": "/token",
        "userinfo": "/v1/userinfo",
        "revoke": "/revoke",
    }

    def __init__(
        self, behaviour: Behaviour | None = None, *, bare_issuer: bool = False, **options: Unpack[Options]
    ) -> None:
        self.buttons = Buttons(self, BUTTONS, ("popup.js", "gsi.js"))
        super().__init__(behaviour, **options)
        self.bare_issuer = bare_issuer

    @property
    def issuer(self) -> str:
        return self._issuer or self.base_url

    @property
    def auth_methods(self) -> tuple[str, ...]:
        return tuple(METADATA["token_endpoint_auth_methods_supported"])

    def default_people(self) -> list[Person]:
        return people()

    def make_keys(self) -> Keys:
        return google_keys()

    def discovery_document(self, authority: str) -> Document:
        revoke = {"revocation_endpoint": self.url("revoke")}
        return {"issuer": self.issuer, **self.endpoint_urls(authority), **revoke, **METADATA}

    def id_token_claims(self, grant: Grant) -> Document:
        now, client_id = self.now(), grant.asked.client.id
        issuer = self.issuer.partition("://")[2] if self.bare_issuer else self.issuer
        claims = {"iss": issuer, "azp": client_id, "aud": client_id, **about(grant), "iat": now, "exp": now + HOUR}
        if grant.access_token:
            return {**claims, "at_hash": tokens.half_hash(self.behaviour.signing_alg, grant.access_token)}
        return {**claims, "nbf": now - 300, "jti": random_text(40)}  # from a button: there is no access token

    def userinfo_claims(self, grant: Grant) -> Document:
        return about(grant)

    def access_token(self) -> str:
        return f"ya29.{random_text(60)}"

    def token_extras(self, grant: Grant) -> Document:
        scope = " ".join(LONG_SCOPES.get(scope, scope) for scope in grant.asked.scopes)
        return {"expires_in": HOUR - 1, "scope": scope}

    def code_extras(self, asked: Asked, person: Person) -> dict[str, str]:
        hd = {"hd": person.hosted_domain} if person.hosted_domain else {}
        scope = " ".join([*asked.scopes, *(LONG_SCOPES[s] for s in asked.scopes if s in LONG_SCOPES)])
        # Not advertised in the discovery document, and sent all the same.
        return {"iss": self.issuer, "scope": scope, "authuser": "0", **hd, "prompt": asked.prompt or "consent"}

    def offline(self, asked: Asked) -> bool:
        return asked.params.get("access_type") == "offline"

    def more_routes(self) -> list[Route]:
        return [self.route("revoke", self.paths["revoke"], self._revoke, ["POST"]), *self.buttons.routes()]

    async def _revoke(self, _: Request, call: Call) -> Response:
        if not self.codes.revoke(call.params.get("token", "")):
            raise Refused("invalid_token", "the token to revoke is unknown")
        return JSONResponse({})


def about(grant: Grant) -> Document:
    """What ID token and userinfo both say about the person, by scope."""
    person, scopes = grant.person, grant.asked.scopes
    claims: Document = {"sub": person.subject}
    if "email" in scopes and person.email:
        claims |= {"email": person.email, "email_verified": person.email_verified}
    if "profile" in scopes:
        names = {"name": person.name, "given_name": person.given_name, "family_name": person.family_name}
        claims |= {**names, "picture": f"https://lh3.googleusercontent.com/a/stand-in-{person.subject[-6:]}=s96-c"}
    return {**claims, **({"hd": person.hosted_domain} if person.hosted_domain else {})}
