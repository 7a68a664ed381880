"""Identity: what a provider vouches for about one person, after verification and mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ProviderTokens:
    """What a provider's token endpoint handed out. `expires_at`: epoch seconds, None where it did not say."""

    access_token: str = field(repr=False)
    expires_at: int | None = None
    refresh_token: str | None = field(default=None, repr=False)
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified person at a provider. (issuer, subject) is the key; everything else is attribute.

    `email_verified`: the provider's word makes the address verified (see `email_trust`).
    `email_authority`: the provider is also an authority for that address, so that it may join accounts.
    """

    provider: str  # name in providers.toml; may change without orphaning anybody
    issuer: str  # normalised
    subject: str  # 1 to 255 characters, verbatim
    email: str | None = None
    email_verified: bool = False
    email_authority: bool = False
    name: str | None = None
    picture: str | None = None
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    ids: Mapping[str, str] = field(default_factory=dict)  # sub, oid, tid: kept beside the key
    provider_session: str | None = None  # the provider's `sid`
    auth_time: int | None = None  # epoch seconds
