"""Whose tokens are accepted, and what they must say: this gateway's, any issuer's by RFC 9068 or its own habits,
Google's.

An issuer is configuration. A token only chooses among those that were configured, by its `iss`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from . import claims as said
from .errors import InvalidToken, quoted
from .fetch import is_loopback
from .jws import ALGORITHMS, Unverified
from .keys import PublishedKey
from .principal import Principal, frozen
from .source import metadata_urls

GATEWAY_ALGORITHMS = ("ES256", "EdDSA", "Ed25519", "RS256")
GOOGLE, GOOGLE_SPELLINGS = "https://accounts.google.com", ("https://accounts.google.com", "accounts.google.com")
OF_ID_TOKENS = ("nonce", "at_hash", "c_hash")  # claims that no access token has


@dataclass(frozen=True, slots=True)
class Place:
    """Where the keys for a token are found: a hashable name for a `KeySource`."""

    metadata: tuple[str, ...]
    issuers: tuple[str, ...]  # what the metadata may call the issuer


class Issuer(Protocol):
    """One entry of a verifier's configuration."""

    @property
    def names(self) -> Collection[str]:
        """Every `iss` that is this issuer's."""

    @property
    def algorithms(self) -> Collection[str]: ...

    @property
    def types(self) -> Collection[str]:
        """What a token's `typ` may be, in lower case; the empty one stands for a token without."""

    def recognise(self, token: Unverified) -> Place:
        """Where its keys are. Raises InvalidToken for what can be told without them."""

    def accept(self, token: Unverified, key: PublishedKey, now: float, leeway: int) -> Principal:
        """What a token says whose signature is good. Raises InvalidToken."""


class AccessTokens:
    """Access tokens by RFC 9068: this gateway's, and every other issuer's that keeps to it."""

    types: Collection[str] = ("at+jwt",)

    def __init__(
        self, issuer: str, audience: str | Sequence[str], *, algorithms: Collection[str] = GATEWAY_ALGORITHMS
    ) -> None:
        """`audience`: one of these must be in `aud`."""
        self.issuer = checked_issuer(issuer)
        self.names: Collection[str] = (issuer,)
        self.audiences = listed(audience, "audience")
        self.algorithms: Collection[str] = checked_algorithms(algorithms)
        self._place = Place(metadata_urls(issuer), (issuer,))

    def recognise(self, _token: Unverified) -> Place:
        return self._place

    def accept(self, token: Unverified, _key: PublishedKey, now: float, leeway: int) -> Principal:
        """The claims that RFC 9068 section 2.2 requires, and their meaning as in section 4."""
        claims = token.claims
        said.check_audience(claims, self.audiences)
        expires_at = said.check_times(claims, now, leeway)
        subject, client_id = said.text(claims, "sub"), said.text(claims, "client_id")
        said.whole(claims, "iat")
        said.text(claims, "jti")
        return Principal(
            subject=subject,
            issuer=self.issuer,
            scopes=said.words(claims, "scope"),
            roles=said.strings(claims, "roles"),
            groups=said.strings(claims, "groups"),
            is_app=subject in (client_id, f"app:{client_id}"),
            client_id=client_id,
            session_id=said.optional_text(claims, "sid"),
            auth_time=said.optional_whole(claims, "auth_time"),
            expires_at=expires_at,
            claims=frozen(claims),
        )


class OpenID:
    """Access tokens as JWT of an issuer with habits of its own: another `typ`, `scp`, roles elsewhere.

    NOTE: such an issuer's ID tokens may look the same. What has a claim that only they have is refused, and `audience`
    must be the API's, never a client id that ID tokens are made for.
    """

    def __init__(
        self,
        issuer: str,
        audience: str | Sequence[str],
        *,
        algorithms: Collection[str] = ("RS256",),
        types: Collection[str] = ("at+jwt",),
        roles_claim: str = "roles",
        groups_claim: str = "groups",
    ) -> None:
        """`types`: `("jwt", "")` for one that does not say `at+jwt`. The claims may be dotted paths."""
        self.issuer = checked_issuer(issuer)
        self.names: Collection[str] = (issuer,)
        self.audiences = listed(audience, "audience")
        self.algorithms: Collection[str] = checked_algorithms(algorithms)
        self.types: Collection[str] = tuple(typ.lower() for typ in types)
        self._roles, self._groups = roles_claim, groups_claim
        self._place = Place(metadata_urls(issuer), (issuer,))

    def recognise(self, _token: Unverified) -> Place:
        return self._place

    def accept(self, token: Unverified, _key: PublishedKey, now: float, leeway: int) -> Principal:
        claims = token.claims
        refuse_id_tokens(claims)
        said.check_audience(claims, self.audiences)
        expires_at = said.check_times(claims, now, leeway)
        subject = said.text(claims, "sub")
        client_id = next(filter(None, (said.optional_text(claims, name) for name in ("client_id", "azp", "cid"))), None)
        return Principal(
            subject=subject,
            issuer=self.issuer,
            scopes=said.words(claims, "scope") | said.words(claims, "scp"),
            roles=said.strings_at(claims, self._roles),
            groups=said.strings_at(claims, self._groups),
            is_app=subject == client_id,
            client_id=client_id,
            session_id=said.optional_text(claims, "sid"),
            auth_time=said.optional_whole(claims, "auth_time"),
            expires_at=expires_at,
            claims=frozen(claims),
        )


class GoogleIdTokens:
    """Google's ID tokens for these client ids. Google has no access tokens for other people's APIs."""

    names: Collection[str] = GOOGLE_SPELLINGS
    algorithms: Collection[str] = ("RS256",)
    types: Collection[str] = ("jwt", "")

    def __init__(
        self, client_ids: str | Sequence[str], *, hosted_domains: Collection[str] = (), base_url: str = GOOGLE
    ) -> None:
        """`hosted_domains`: only people of these Workspace domains. `base_url` replaces Google, for tests."""
        self.client_ids = listed(client_ids, "client_ids")
        self._domains = frozenset(hosted_domains)
        if base_url != GOOGLE:
            self.names = (checked_issuer(base_url),)
        self._place = Place(metadata_urls(base_url), (base_url,))

    def recognise(self, _token: Unverified) -> Place:
        return self._place

    def accept(self, token: Unverified, _key: PublishedKey, now: float, leeway: int) -> Principal:
        claims = token.claims
        said.check_audience(claims, self.client_ids)
        expires_at = said.check_times(claims, now, leeway)
        azp = said.optional_text(claims, "azp")
        if azp is not None and azp not in self.client_ids:
            raise InvalidToken(f"the token was made for client {quoted(azp)}, which is not among client_ids")
        if self._domains and claims.get("hd") not in self._domains:
            raise InvalidToken(f"hd is {quoted(claims.get('hd'))}, which is not among hosted_domains")
        return Principal(
            subject=said.text(claims, "sub"),
            issuer=self._place.issuers[0],
            client_id=azp,
            auth_time=said.optional_whole(claims, "auth_time"),
            expires_at=expires_at,
            claims=frozen(claims),
        )


def refuse_id_tokens(claims: Mapping[str, Any]) -> None:
    found = [name for name in OF_ID_TOKENS if name in claims]
    if found or claims.get("typ") in ("ID", "Refresh"):
        raise InvalidToken("this is an ID token or a refresh token; send the access token")


def checked_issuer(issuer: str) -> str:
    """ValueError for anything but https, or http on loopback."""
    parts = urlsplit(issuer)
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        return issuer
    raise ValueError(f"an issuer is an https URL, or http on loopback: {issuer!r}")


def checked_algorithms(algorithms: Collection[str]) -> tuple[str, ...]:
    unfit = set(algorithms) - ALGORITHMS
    if unfit or not algorithms:
        raise ValueError(f"not asymmetric signature algorithms: {', '.join(sorted(unfit)) or 'none given'}")
    return tuple(algorithms)


def listed(value: str | Sequence[str], what: str) -> tuple[str, ...]:
    """One or several. ValueError where there is none, or an empty one."""
    found = (value,) if isinstance(value, str) else tuple(value)
    if not all(found or ("",)):
        raise ValueError(f"{what} must name at least one")
    return found


def table(issuers: Sequence[Issuer]) -> Iterator[tuple[str, Issuer]]:
    """`iss` → issuer. ValueError where two lay claim to the same."""
    seen: dict[str, Issuer] = {}
    for issuer in issuers:
        for name in issuer.names:
            if name in seen:
                raise ValueError(f"two issuers are called {name}")
            seen[name] = issuer
            yield name, issuer
