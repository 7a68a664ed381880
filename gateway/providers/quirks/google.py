"""Google: two spellings of one issuer, Workspace domains, and where Google is an authority for an address."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.errors import DomainNotAllowed, InvalidIdToken
from gateway.providers.discovery import Metadata
from gateway.providers.keyset import ProviderKey
from gateway.providers.lookup import look_up
from gateway.providers.openid import Claims, OpenID, same_issuer

ANY = "*"


class Google(OpenID):
    def goes_by(self, iss: str, issuer: str) -> bool:
        return iss in spellings(issuer)

    def owns(self, issuer: str) -> bool:
        return any(same_issuer(spelling, issuer) for spelling in spellings(self.settings.issuer))

    def check_issuer(self, claims: Claims, key: ProviderKey, metadata: Metadata) -> str:  # noqa: ARG002  the rule's form
        if claims.get("iss") not in spellings(metadata.issuer):
            raise InvalidIdToken("iss is not the provider's issuer in either spelling")
        return metadata.issuer

    def check_claims(self, claims: Claims) -> None:
        """`hd` is the Workspace domain; the parameter of that name is a hint that people can take away."""
        allowed = {domain.lower() for domain in self.settings.hosted_domains}
        if not allowed:
            return
        domain = hosted_domain(claims)
        if domain is None:
            raise DomainNotAllowed("the account belongs to no Workspace domain (no hd claim)")
        if domain not in allowed and ANY not in allowed:
            raise DomainNotAllowed("hd is not among hosted_domains")

    def prompt(self, asked: str | None) -> str | None:
        """It knows no `login`; choosing the account again is the nearest it has."""
        return "select_account" if asked == "login" else asked

    def max_age(self, prompt: str | None) -> str | None:  # noqa: ARG002  the rule's form
        """It knows neither `max_age` nor `auth_time`."""
        return None

    def authorize_params(self) -> Mapping[str, str]:
        domains = self.settings.hosted_domains
        implied = {"hd": domains[0] if len(domains) == 1 else ANY} if domains else {}
        return implied | ({"access_type": "offline"} if self.settings.store_tokens else {})  # for a refresh token

    def vouches(self, claims: Claims, address: str) -> bool:
        """Old tokens have the word "true" where others have the boolean."""
        return super().vouches(claims, address) or (
            look_up(claims, "email_verified") == "true" and claims.get("email") == address
        )

    def is_authority(self, claims: Claims, address: str) -> bool:
        """Any other address was verified once, and may have changed hands since."""
        return address.lower().endswith("@gmail.com") or hosted_domain(claims) is not None


def spellings(issuer: str) -> tuple[str, ...]:
    return issuer, issuer.removeprefix("https://").removeprefix("http://")


def hosted_domain(claims: Claims) -> str | None:
    domain = claims.get("hd")
    return domain.lower() if isinstance(domain, str) and domain else None


QUIRK = Google
