"""Microsoft Entra: issuers and keys per tenant, account classes, addresses that any admin can make up.

document issuer     …/{tenantid}/v2.0 (several tenants) or …/<tenant id>/v2.0
token `tid`         fills {tenantid}; the result must be `iss`, and the issuer that the signing key carries
account class       organizations: nobody personal; consumers: only them; common: both
allowed_tenants     which of those; "*" is every one
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.errors import InvalidIdToken, TenantNotAllowed
from gateway.providers.discovery import Metadata
from gateway.providers.keyset import ProviderKey
from gateway.providers.lookup import sibling
from gateway.providers.openid import Claims, OpenID, same_issuer

TENANT = "{tenantid}"
PERSONAL = "9188040d-6c67-4c5b-b112-36a304b66dad"  # the tenant of all personal accounts
ANY = "*"
OPEN = ("common", "organizations")
GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
ISSUER = re.compile(r"(?P<authority>https?://.+/)(?P<tenant>[^/]+)(?P<version>/v2\.0)")


class Microsoft(OpenID):
    id_claims = ("sub", "oid", "tid")

    def document_fits(self, issuer: str) -> bool:
        """The same authority, and the tenant asked for: a domain and `consumers` come back as an id."""
        configured, named = ISSUER.fullmatch(self.settings.issuer), ISSUER.fullmatch(issuer)
        if configured is None or named is None:
            return same_issuer(self.settings.issuer, issuer)
        if configured["authority"] != named["authority"]:
            return False
        return self._tenant_fits(configured["tenant"], named["tenant"])

    def _tenant_fits(self, configured: str, named: str) -> bool:
        if configured == TENANT and self.settings.tenant in OPEN:
            return named == TENANT
        if configured == TENANT:
            return GUID.fullmatch(named) is not None
        if named == TENANT:
            return self.settings.tenant == "consumers"
        return configured.lower() == named.lower()

    def goes_by(self, iss: str, issuer: str) -> bool:
        return fits_template(iss, issuer)

    def owns(self, issuer: str) -> bool:
        return fits_template(issuer, self.settings.issuer)

    def check_issuer(self, claims: Claims, key: ProviderKey, metadata: Metadata) -> str:
        tenant = tenant_of(claims)
        iss = claims.get("iss")
        if iss != metadata.issuer.replace(TENANT, tenant, 1):
            version = claims.get("ver")
            hint = "; a v1.0 token needs the address without /v2.0" if version == "1.0" else ""
            raise InvalidIdToken(f"iss is not the issuer of the token's tenant{hint}")
        named = ISSUER.fullmatch(iss)
        if named is not None and named["tenant"].lower() != tenant.lower():
            raise InvalidIdToken("tid is not the tenant of iss")
        if key.issuer is not None and key.issuer.replace(TENANT, tenant, 1) != iss:
            raise InvalidIdToken("the signing key belongs to another issuer")
        if key.cloud is not None and key.cloud != metadata.document.get("cloud_instance_name"):
            raise InvalidIdToken("the signing key belongs to another cloud")
        return f"{named['authority']}{tenant.lower()}{named['version']}" if named else metadata.issuer

    def check_claims(self, claims: Claims) -> None:
        settings, tenant = self.settings, tenant_of(claims).lower()
        if settings.tenant == "organizations" and tenant == PERSONAL:
            raise TenantNotAllowed("a personal account where only organisations may sign in")
        if settings.tenant == "consumers" and tenant != PERSONAL:
            raise TenantNotAllowed("an organisation's account where only personal ones may sign in")
        allowed = {name.lower() for name in settings.allowed_tenants}
        if not allowed and not self._open:
            return  # one tenant: the issuer has said which
        if tenant not in allowed and ANY not in allowed:
            raise TenantNotAllowed("tid is not among allowed_tenants")

    @property
    def _open(self) -> bool:
        """Whether the address serves any tenant, so that `allowed_tenants` decides."""
        if self.settings.tenant is None:
            return TENANT in self.settings.issuer
        return self.settings.tenant in OPEN

    def max_age(self, prompt: str | None) -> str | None:  # noqa: ARG002  the rule's form
        """Not among its parameters; `auth_time` comes where the application's registration asks for it."""
        return None

    def wanted_claims(self) -> frozenset[str]:
        """Its userinfo knows no `email_verified`, so that one is not worth a call."""
        return super().wanted_claims() - {sibling(self.settings.email_claim, "email_verified")}

    def address(self, claims: Claims) -> object:
        """The mapped claim, or else the first address that is listed as verified."""
        listed = (
            *strings(claims.get("verified_primary_email")),
            *strings(claims.get("verified_secondary_email")),
        )
        return super().address(claims) or next(iter(listed), None)

    def vouches(self, claims: Claims, address: str) -> bool:
        """`xms_edov` speaks of `email` alone, the two lists of what they hold; `email_verified` is not read."""
        if claims.get("email") == address and says_yes(claims.get("xms_edov")):
            return True
        listed = (
            *strings(claims.get("verified_primary_email")),
            *strings(claims.get("verified_secondary_email")),
        )
        return address.lower() in (item.lower() for item in listed)

    def disowns(self, claims: Claims) -> bool:
        """Where every tenant may come, none can speak for a listed domain: its admin makes up any address."""
        return self._everybody or says_no(claims.get("xms_edov"))

    def may_grant(self) -> bool:
        """Where every tenant may come, its admin would grant our roles to whomever they like."""
        return not self._everybody

    @property
    def _everybody(self) -> bool:
        return self._open and ANY in self.settings.allowed_tenants


def tenant_of(claims: Claims) -> str:
    """`tid`, which must be a GUID and come in this spelling alone."""
    tenant = claims.get("tid")
    if not isinstance(tenant, str) or not GUID.fullmatch(tenant):
        raise InvalidIdToken("tid is missing or not a GUID")
    if any(name != "tid" and name.lower() == "tid" for name in claims):
        raise InvalidIdToken("tid comes in two spellings")
    return tenant


def fits_template(issuer: str, template: str) -> bool:
    """Whether `issuer` is `template`, or that with a tenant's id for its place."""
    if TENANT not in template:
        return issuer == template
    head, _, tail = template.partition(TENANT)
    inner = issuer.removeprefix(head).removesuffix(tail)
    return issuer == head + inner + tail and GUID.fullmatch(inner) is not None


def says_yes(value: Any) -> bool:
    return value is True or (type(value) is int and value == 1) or value in ("1", "true")


def says_no(value: Any) -> bool:
    return value is False or (type(value) is int and value == 0) or value in ("0", "false")


def strings(value: Any) -> tuple[str, ...]:
    """The strings of a claim that should be a list of them."""
    items: Mapping[Any, Any] | list[Any] = value if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, str))


QUIRK = Microsoft
