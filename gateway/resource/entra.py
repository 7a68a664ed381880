"""Microsoft's access tokens: Entra ID (v1 and v2, one tenant or several), Entra External ID, Azure AD B2C.

People's permissions are in `scp`, an application's in `roles`; a person may have roles, too. The two are kept apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from . import claims as said
from .errors import InvalidToken, quoted
from .issuers import Place, checked_issuer, listed
from .jws import Unverified
from .keys import PublishedKey
from .principal import Principal, frozen

PUBLIC_CLOUD, V1_PUBLIC_CLOUD = "https://login.microsoftonline.com", "https://sts.windows.net"
TENANT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
GRAPH = ("https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000", "https://graph.windows.net")
V1, V2 = "1.0", "2.0"
WRONG_VERSION = "a manifest's requestedAccessTokenVersion decides: null or 1 makes tokens of version 1.0, 2 makes 2.0"


class Entra:
    """Tokens of these tenants for the API with this application (client) id."""

    algorithms: Collection[str] = ("RS256",)
    types: Collection[str] = ("jwt", "at+jwt")

    def __init__(
        self,
        tenants: str | Sequence[str],
        client_id: str,
        *,
        audiences: Sequence[str] = (),
        versions: Collection[str] = (V1, V2),
        guests: bool = False,
        clients: Collection[str] | None = None,
        authority: str = PUBLIC_CLOUD,
        v1_authority: str = V1_PUBLIC_CLOUD,
    ) -> None:
        """`tenants`: ids, not domains. `audiences`: App ID URIs besides `api://<client_id>`. `guests`: whether people
        whose home is another tenant may come. `clients`: who may have asked for the token (`azp`, `appid`). National
        clouds have other authorities."""
        self.tenants = tuple(map(checked_tenant, listed(tenants, "tenants")))
        self.client_id = client_id
        self.audiences = (client_id, f"api://{client_id}", f"api://{client_id}/", *audiences)
        self._guests, self._clients = guests, clients
        self._authority = checked_issuer(authority).rstrip("/")
        self._v1_authority = checked_issuer(v1_authority).rstrip("/")
        self._tenant_of = {  # iss → tenant, version
            **{self._v2(tenant): (tenant, V2) for tenant in self.tenants if V2 in versions},
            **{self._v1(tenant): (tenant, V1) for tenant in self.tenants if V1 in versions},
        }

    @property
    def names(self) -> Collection[str]:
        return self._tenant_of

    def _v2(self, tenant: str) -> str:
        return f"{self._authority}/{tenant}/v2.0"

    def _v1(self, tenant: str) -> str:
        return f"{self._v1_authority}/{tenant}/"

    def recognise(self, token: Unverified) -> Place:
        refuse_graph(token, self.client_id)
        tenant, version = self._tenant_of[token.claims["iss"]]
        if version == V1:
            return Place((f"{self._authority}/{tenant}{OPENID}",), (token.claims["iss"],))
        return Place((f"{self._v2(tenant)}{OPENID}",), (self._v2(tenant),))

    def accept(self, token: Unverified, key: PublishedKey, now: float, leeway: int) -> Principal:
        claims = token.claims
        tenant, version = self._tenant_of[claims["iss"]]
        if claims.get("ver") != version or said.text(claims, "tid") != tenant:
            raise InvalidToken(f"ver and tid do not go with iss; {WRONG_VERSION}")
        if version == V2 and key.issuer is not None and key.issuer.replace("{tenantid}", tenant) != claims["iss"]:
            raise InvalidToken("the key that signed is another tenant's")
        said.check_audience(claims, self.audiences, "s")
        self._check_guest(claims, tenant)
        return principal(claims, self._v2(tenant), self._clients, said.check_times(claims, now, leeway))

    def _check_guest(self, claims: Mapping[str, Any], tenant: str) -> None:
        """`idp` names the home tenant in either version's spelling, whatever the token's own."""
        at_home = claims.get("idp") in (None, self._v2(tenant), self._v1(tenant))
        if not self._guests and (claims.get("acct") in (1, "1") or not at_home):
            raise InvalidToken("the person is a guest in this tenant; guests=True lets guests in")


class ExternalId(Entra):
    """Tokens of a Microsoft Entra External ID tenant: as Entra's of version 2.0, from a host of its own."""

    def __init__(self, tenant: str, client_id: str, *, subdomain: str | None = None, **options: Any) -> None:
        """`subdomain`: of `<subdomain>.ciamlogin.com`, where the keys are asked for; the tenant's id without."""
        host = f"https://{subdomain or tenant}.ciamlogin.com"
        self._keys_at = str(options.pop("authority", host)).rstrip("/")
        self._named = options.pop("issuer", None)
        super().__init__(tenant, client_id, versions=(V2,), **options)

    def _v2(self, tenant: str) -> str:
        return str(self._named or f"https://{tenant}.ciamlogin.com/{tenant}/v2.0")

    def recognise(self, token: Unverified) -> Place:
        refuse_graph(token, self.client_id)
        tenant, _ = self._tenant_of[token.claims["iss"]]
        return Place((f"{self._keys_at}/{tenant}/v2.0{OPENID}",), (self._v2(tenant),))


class B2C:
    """Access tokens of an Azure AD B2C tenant, by these user flows (policies) and no others."""

    algorithms: Collection[str] = ("RS256",)
    types: Collection[str] = ("jwt", "at+jwt")

    def __init__(
        self,
        domain: str,
        tenant: str,
        policies: str | Sequence[str],
        client_id: str,
        *,
        clients: Collection[str] | None = None,
        authority: str | None = None,
    ) -> None:
        """`domain`: the `contoso` of `contoso.onmicrosoft.com`; `tenant`: its id; `authority`: of a custom domain."""
        self.tenant = checked_tenant(tenant)
        self.policies = listed(policies, "policies")
        self.client_id = client_id
        self._clients = clients
        self._authority = checked_issuer(authority or f"https://{domain}.b2clogin.com").rstrip("/")
        self._domain = domain
        self._plain = f"{self._authority}/{self.tenant}/v2.0/"
        tfp = [f"{self._authority}/tfp/{self.tenant}/{policy}/v2.0/" for policy in self.policies]
        self.names: Collection[str] = tuple(dict.fromkeys((self._plain, *tfp, *map(str.lower, tfp))))

    def recognise(self, token: Unverified) -> Place:
        refuse_graph(token, self.client_id)
        policy = self._policy_of(token.claims)
        base = f"{self._authority}/{self._domain}.onmicrosoft.com/{policy}/v2.0"
        return Place((f"{base}{OPENID}",), (self._plain, *self._with_policy(policy)))

    def accept(self, token: Unverified, _key: PublishedKey, now: float, leeway: int) -> Principal:
        claims = token.claims
        iss, policy = claims["iss"], self._policy_of(claims)
        if iss != self._plain and iss not in self._with_policy(policy):
            raise InvalidToken("iss names another user flow than tfp")
        said.check_audience(claims, (self.client_id,), " (client_id)")
        return principal(claims, self._plain, self._clients, said.check_times(claims, now, leeway), b2c=True)

    def _policy_of(self, claims: Mapping[str, Any]) -> str:
        """All flows of a tenant may share issuer and keys, and a token of a weaker one must not count."""
        named = claims.get("tfp", claims.get("acr"))
        for policy in self.policies:
            if isinstance(named, str) and named.lower() == policy.lower():
                return policy
        raise InvalidToken(f"the token was made by user flow {quoted(named)}; accepted: {', '.join(self.policies)}")

    def _with_policy(self, policy: str) -> tuple[str, ...]:
        named = f"{self._authority}/tfp/{self.tenant}/{policy}/v2.0/"
        return named, named.lower()


OPENID = "/.well-known/openid-configuration"


def principal(
    claims: Mapping[str, Any], issuer: str, clients: Collection[str] | None, expires_at: int, *, b2c: bool = False
) -> Principal:
    """`issuer`: one spelling for all versions. The subject is `oid`, which all of a tenant's applications see alike."""
    client_id = next(filter(None, (said.optional_text(claims, name) for name in ("azp", "appid"))), None)
    if client_id is None or "at_hash" in claims or "c_hash" in claims or ("nonce" in claims and not b2c):
        raise InvalidToken("this is an ID token; send an access token for this API")
    if clients is not None and client_id not in clients:
        raise InvalidToken(f"the token was asked for by {quoted(client_id)}, which is not among clients")
    is_app = is_for_app(claims)
    return Principal(
        subject=said.optional_text(claims, "oid") or said.text(claims, "sub"),
        issuer=issuer,
        scopes=said.words(claims, "scp"),
        roles=said.strings(claims, "roles"),
        groups=said.strings(claims, "groups"),
        is_app=is_app,
        client_id=client_id,
        session_id=said.optional_text(claims, "sid"),
        auth_time=said.optional_whole(claims, "auth_time"),
        expires_at=expires_at,
        claims=frozen(claims),
    )


def is_for_app(claims: Mapping[str, Any]) -> bool:
    """A person's token has `scp`, a daemon's has not. `idtyp`, where the API asks for it, must agree."""
    delegated, idtyp = "scp" in claims, claims.get("idtyp")
    if not delegated and not claims.get("roles") and idtyp != "app":
        raise InvalidToken("the token has neither scp nor roles: expose a scope, or assign an app role, and ask for it")
    if idtyp == ("app" if delegated else "user"):
        raise InvalidToken("scp and idtyp contradict each other")
    return not delegated


def refuse_graph(token: Unverified, client_id: str) -> None:
    """Nobody but Microsoft Graph can check a token for it: its signature covers another header than is sent."""
    aud = token.claims.get("aud")
    if "nonce" in token.header or (isinstance(aud, str) and aud.rstrip("/") in GRAPH):
        raise InvalidToken(
            f"this token is for Microsoft Graph, not for this API: ask for the scope api://{client_id}/<scope> "
            "instead of User.Read and the like"
        )


def checked_tenant(tenant: str) -> str:
    if not TENANT.fullmatch(tenant.lower()):
        raise ValueError(f"a tenant is named by its id (a GUID, Overview page), not {tenant!r}")
    return tenant.lower()


def foreign_issuer(iss: str) -> str:
    """A hint for an `iss` that looks like Microsoft's and is not configured; empty for any other."""
    host = urlsplit(iss).hostname or ""
    if host == urlsplit(V1_PUBLIC_CLOUD).hostname:
        return f" (a token of version 1.0 of Microsoft's: is it the tenant, or the version? {WRONG_VERSION})"
    if host == urlsplit(PUBLIC_CLOUD).hostname:
        return f" (a token of version 2.0 of Microsoft's: is it the tenant, or the version? {WRONG_VERSION})"
    return ""
