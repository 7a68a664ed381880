"""What OpenID Connect says by itself about issuer, claims and e-mail; quirks override it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.errors import InvalidIdToken
from gateway.settings import ProviderSettings

from .discovery import Metadata
from .keyset import ProviderKey
from .lookup import look_up, sibling

Claims = Mapping[str, Any]


class OpenID:
    """The rules for one provider. Every method is a decision over values; none has an effect."""

    id_claims: tuple[str, ...] = ("sub",)  # kept beside the key, as the provider gave them

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings

    def document_fits(self, issuer: str) -> bool:
        """Whether a discovery document that names `issuer` is the configured provider's."""
        return same_issuer(self.settings.issuer, issuer)

    def goes_by(self, iss: str, issuer: str) -> bool:
        """Whether `iss` in a callback (RFC 9207 §2.4) means the document's `issuer`."""
        return iss == issuer

    def owns(self, issuer: str) -> bool:
        """Whether people of `issuer` are this provider's (OpenID Core §4), judged by configuration alone."""
        return same_issuer(self.settings.issuer, issuer)

    def check_issuer(self, claims: Claims, key: ProviderKey, metadata: Metadata) -> str:  # noqa: ARG002  for quirks
        """The normalised issuer. Raises InvalidIdToken (OpenID Core §3.1.3.7 rule 2)."""
        if claims.get("iss") != metadata.issuer:
            raise InvalidIdToken("iss is not the provider's issuer")
        return metadata.issuer

    def check_claims(self, claims: Claims) -> None:
        """Raises a Refusal for people whom the configuration keeps out."""

    def authorize_params(self) -> Mapping[str, str]:
        """Parameters that the configuration implies; those it spells out go before them."""
        return {}

    def wanted_claims(self) -> frozenset[str]:
        """Claims whose absence makes a userinfo call worth it (`userinfo = "missing"`)."""
        settings, wanted = self.settings, set()
        if "email" in settings.scopes:
            wanted.add(settings.email_claim)
            if settings.email_trust == "claim":
                wanted.add(sibling(settings.email_claim, "email_verified"))
        if "profile" in settings.scopes:
            wanted.add(settings.name_claim)
        for scope, claim in (("groups", settings.groups_claim), ("roles", settings.roles_claim)):
            if scope in settings.scopes or claim != scope:
                wanted.add(claim)
        return frozenset(wanted)

    def address(self, claims: Claims) -> object:
        """The e-mail address as claimed, not yet judged."""
        return look_up(claims, self.settings.email_claim)

    def vouches(self, claims: Claims, address: str) -> bool:
        """Whether the provider says that the person owns `address`: `email_verified` (OpenID Core §5.1)."""
        path = self.settings.email_claim
        said = look_up(claims, sibling(path, "email_verified")) is True
        # It speaks of `email`, not of an address that is mapped from another claim.
        return said and look_up(claims, sibling(path, "email")) == address

    def prompt(self, asked: str | None) -> str | None:
        """The provider's word for what is asked (OpenID Connect Core §3.1.2.1)."""
        return asked

    def max_age(self, prompt: str | None) -> str | None:
        """Goes with `prompt=login`, so that the provider says in `auth_time` whether it complied (§3.1.2.1, §15.1)."""
        return "0" if prompt == "login" else None

    def may_grant(self) -> bool:
        """Whether groups and roles come from somebody who may give them here."""
        return True

    def disowns(self, claims: Claims) -> bool:
        """Whether the provider says that the address is not proven; a listed domain does not overrule that."""
        return look_up(claims, sibling(self.settings.email_claim, "email_verified")) in (False, "false")

    def is_authority(self, claims: Claims, address: str) -> bool:  # noqa: ARG002  for quirks
        """Whether the provider runs the mailbox it vouches for. A listed domain counts besides."""
        return False


def same_issuer(one: str, other: str) -> bool:
    """Equal, or apart by one trailing slash: configuration against document only, never a token."""
    return one == other or one + "/" == other or one == other + "/"
