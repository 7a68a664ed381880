"""A stand-in that behaves as Microsoft Entra ID does, for every kind of tenant under one base URL.

<base>/common | organizations | consumers | <tenant id> | <domain> /v2.0/.well-known/openid-configuration
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar, Unpack

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.testing import pages
from gateway.testing.authorization import Asked, Grant
from gateway.testing.behaviour import Behaviour, Document
from gateway.testing.buttons import Buttons
from gateway.testing.calls import Call, Refused
from gateway.testing.codes import random_text
from gateway.testing.directory import CONSUMERS, TENANTS, default_people, has_home_in, invent, tenant_id
from gateway.testing.keys import Key, Keys, base64url, microsoft_keys
from gateway.testing.people import Person
from gateway.testing.provider import Options, StandIn

TEMPLATE = "{tenantid}"
BUTTONS = {"script": "/msal-browser.js", "select": "/{authority}/spa/select", "issue": "/{authority}/spa/issue"}
WORK_LIFE, PERSONAL_LIFE = 3900, 86700  # seconds an ID token lives
MOST_GROUPS = 200  # in one token; beyond, it only says where to ask

METADATA: Document = {
    "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
    "response_modes_supported": ["query", "fragment", "form_post"],
    "subject_types_supported": ["pairwise"],
    "id_token_signing_alg_values_supported": ["RS256"],
    "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
    "scopes_supported": ["openid", "profile", "email", "offline_access"],
    "request_uri_parameter_supported": False,
    "http_logout_supported": True,
    "frontchannel_logout_supported": True,
    "claims_supported": [
        "sub",
        "iss",
        "cloud_instance_name",
        "cloud_instance_host_name",
        "cloud_graph_host_name",
        "msgraph_host",
        "aud",
        "exp",
        "iat",
        "auth_time",
        "acr",
        "nonce",
        "preferred_username",
        "name",
        "tid",
        "ver",
        "at_hash",
        "c_hash",
        "email",
    ],
    "tenant_region_scope": None,
    "cloud_instance_name": "microsoftonline.com",
    "cloud_graph_host_name": "graph.windows.net",
    "msgraph_host": "graph.microsoft.com",
    "rbac_url": "https://pas.windows.net",
}
NUMBERS = {
    "the redirect URI is not registered exactly so": 50011,
    "nobody is signed in here": 50058,
    "the code has been used before": 54005,
    "the code has expired": 70008,
    "the person cancelled": 65004,
    "the client is unknown": 700016,
    "the client secret is wrong": 7000215,
    "the tenant is unknown": 90002,
    "code_verifier does not match the challenge": 501481,
}


class Microsoft(StandIn):
    """`tenants` maps domains to tenant ids. `authority` of the gateway's configuration is `base_url`."""

    label: ClassVar[str] = "Microsoft"
    slug: ClassVar[str] = "microsoft"
    page_first: ClassVar[bool] = True
    redirect_status: ClassVar[int] = 302
    jwt_typ: ClassVar[str | None] = "JWT"
    paths: ClassVar[Mapping[str, str]] = {
        "discovery": "/{authority}/v2.0/.well-known/openid-configuration",
        "jwks": "/{authority}/discovery/v2.0/keys",
        "authorize": "/{authority}/oauth2/v2.0/authorize",
        "token": "/{authority}/oauth2/v2.0/token",
        "logout": "/{authority}/oauth2/v2.0/logout",
        "userinfo": "/oidc/userinfo",
    }

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        tenants: Mapping[str, str] = TENANTS,
        **options: Unpack[Options],
    ) -> None:
        self.buttons = Buttons(self, BUTTONS, ("popup.js", "msal.js"))
        super().__init__(behaviour, **options)
        self.tenants = dict(tenants)

    @property
    def issuer(self) -> str:
        """Of `common` and `organizations`: a template that no token ever names."""
        return self.issuer_of(TEMPLATE)

    @property
    def discovery_url(self) -> str:
        return self.discovery_url_of("common")

    @property
    def auth_methods(self) -> tuple[str, ...]:
        return tuple(METADATA["token_endpoint_auth_methods_supported"])

    def issuer_of(self, tenant: str) -> str:
        return f"{self.base_url}/{tenant}/v2.0"

    def discovery_url_of(self, authority: str) -> str:
        return self.url("discovery", authority)

    def default_people(self) -> list[Person]:
        return default_people()

    def people_at(self, authority: str) -> list[Person]:
        return [person for person in self.people if has_home_in(person, authority, self.tenants)]

    def invent(self, name: str, email: str, verified: bool, authority: str) -> Person:
        return invent(name, email, verified, authority, self.tenants)

    def make_keys(self) -> Keys:
        return microsoft_keys([self.issuer, self.issuer, self.issuer_of(CONSUMERS)])

    def signing_key(self, person: Person) -> Key:
        """Personal accounts are signed for with a key that says it is for their issuer alone."""
        issuer = self.issuer_of(CONSUMERS) if person.tenant == CONSUMERS else self.issuer
        return [key for key in self.keys.every if key.members.get("issuer") == issuer][-1]

    def discovery_document(self, authority: str) -> Document:
        tenant = tenant_id(authority, self.tenants)
        urls = {**self.endpoint_urls(tenant), "end_session_endpoint": self.url("logout", tenant)}
        templated = tenant in ("common", "organizations")
        issuer = self.issuer if templated else self.issuer_of(CONSUMERS if tenant == "consumers" else tenant)
        return {"issuer": issuer, **urls, **METADATA}

    def id_token_claims(self, grant: Grant) -> Document:
        person, now, scopes = grant.person, self.now(), grant.asked.scopes
        life = PERSONAL_LIFE if person.tenant == CONSUMERS else WORK_LIFE
        claims: Document = {"ver": "2.0", "iss": self.issuer_of(person.tenant or ""), "aud": grant.asked.client.id}
        claims |= {"iat": now, "nbf": now, "exp": now + life, "tid": person.tenant, "sub": self.pairwise(grant)}
        claims |= {"sid": session_id(person), "uti": random_text(22), "rh": "0.stand-in.", "aio": random_text(40)}
        return {**claims, **about(person, scopes), **self.guest_claims(person), **self.group_claims(person)}

    def guest_claims(self, person: Person) -> Document:
        return {"acct": 1, "idp": self.issuer_of(person.home_tenant)} if person.home_tenant else {}

    def group_claims(self, person: Person) -> Document:
        roles = {"roles": list(person.roles)} if person.roles else {}
        if len(person.groups) <= MOST_GROUPS:
            return {**roles, **({"groups": list(person.groups)} if person.groups else {})}
        # In the real token this address is a retired API. Here it is ours, so that a test can see nobody asks it.
        endpoint = f"{self.base_url}/{person.tenant}/users/{person.object_id}/getMemberObjects"
        return {**roles, "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": endpoint}}}

    def pairwise(self, grant: Grant) -> str:
        """Another `sub` for every client and tenant."""
        seed = f"{grant.asked.client.id} {grant.person.tenant} {grant.person.subject}"
        return base64url(hashlib.sha256(seed.encode()).digest())

    def userinfo_claims(self, grant: Grant) -> Document:
        person, scopes = grant.person, grant.asked.scopes
        claims: Document = {"sub": self.pairwise(grant)}
        if "profile" in scopes:
            picture = {"picture": "https://graph.microsoft.com/v1.0/me/photo/$value"}
            claims |= {"name": person.name, "given_name": person.given_name, "family_name": person.family_name}
            claims |= picture
        return claims | ({"email": person.email} if "email" in scopes and person.email else {})

    def access_token(self) -> str:
        return f"Ew{random_text(90)}"

    def token_extras(self, grant: Grant) -> Document:
        return {"scope": " ".join(grant.asked.scopes), "expires_in": 3599, "ext_expires_in": 3599}

    def code_extras(self, asked: Asked, person: Person) -> dict[str, str]:  # noqa: ARG002  Google's need both
        return {"session_state": session_id(person)}

    def refusal(self, refused: Refused) -> Document:
        number = NUMBERS.get(refused.rule, 9002313)
        now = f"{datetime.fromtimestamp(self.now(), UTC):%Y-%m-%d %H:%M:%SZ}"
        trace, correlation = uuid.uuid4(), uuid.uuid4()
        text = f"AADSTS{number}: {refused.rule}. Trace ID: {trace} Correlation ID: {correlation} Timestamp: {now}"
        return {"error": refused.error, "error_description": text}

    def more_routes(self) -> list[Route]:
        return [self.route("logout", self.paths["logout"], self._logout, ["GET", "POST"]), *self.buttons.routes()]

    async def _logout(self, _: Request, call: Call) -> Response:
        """Back to `post_logout_redirect_uri` if it is one of the registered redirect URIs, else a page."""
        target = call.params.get("post_logout_redirect_uri", "")
        registered = any(target in client.redirect_uris for client in self.clients)
        state = {"state": call.params["state"]} if "state" in call.params else {}
        back = RedirectResponse(pages.with_query(target, state), 302)
        response = back if registered else pages.signed_out(self.label)
        response.delete_cookie(self.cookie)
        return response


def about(person: Person, scopes: tuple[str, ...]) -> Document:
    """By scope: `oid` only comes with `profile`, and nothing ever says `email_verified`."""
    claims: Document = {}
    if "profile" in scopes:
        claims |= {"name": person.name, "preferred_username": person.email}
        claims |= {"oid": person.object_id} if person.object_id else {}
    if "email" in scopes and person.email:
        claims |= {"email": person.email}
        claims |= {} if person.edov is None else {"xms_edov": person.edov}
    return claims


def session_id(person: Person) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"session {person.subject}"))
