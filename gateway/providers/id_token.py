"""The one verifier of ID tokens (OpenID Core §3.1.3.7): signature, issuer, audience, time, nonce, subject.

    compact JWS ─► jws.Opener ─► issuer ─► audience ─► time ─► subject ─► nonce ─► at_hash ─► Verified

NOTE: `acr` and `amr` are not judged, since no request asks for them, and `auth_time` is not judged here: what is
recent enough is for the attempt to say. `c_hash` belongs to flows that are not offered; and a good token of a person
whom the provider has locked out since passes.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from hashlib import sha256, sha384, sha512, shake_256
from math import isfinite
from types import MappingProxyType
from typing import Any

from gateway.errors import InvalidIdToken, NonceMismatch

from .discovery import Metadata
from .jws import Opened, Opener
from .kept import Clock
from .keyset import Came, ProviderKey
from .openid import OpenID

TYPES = frozenset(("jwt",))
MAX_SUBJECT = 255  # characters
# Seconds since `iat`. The token endpoint makes the token for the call; a posted one may be as old as its nonce,
# ten minutes, and some providers set `iat` back by five.
MAX_AGE: Mapping[Came, int] = {"direct": 3600, "posted": 900}

_SEAL = object()


@dataclass(frozen=True, slots=True)
class Verified:
    """Claims that hold. Only the verifier can make one; whoever has one need not check again."""

    claims: Mapping[str, Any] = field(repr=False)
    issuer: str  # normalised
    subject: str = field(repr=False)  # `sub`, verbatim
    seal: object = field(repr=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("only the verifier makes Verified")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token is held against. `nonce` None: the caller has another proof of freshness."""

    audiences: frozenset[str]
    parties: frozenset[str]  # who `azp` may be
    nonce: str | None
    access_token: str | None
    came: Came


class Verifier:
    """Verifies one provider's ID tokens."""

    def __init__(self, opener: Opener, rules: OpenID, clock: Clock) -> None:
        self._opener = opener
        self._rules = rules
        self._clock = clock
        settings = rules.settings
        self._ours = frozenset((settings.client_id,))
        self._parties = self._ours | frozenset(settings.audiences)
        self._leeway = settings.leeway

    async def verify(self, token: str, metadata: Metadata, *, nonce: str, access_token: str) -> Verified:
        """An ID token out of a token response. Raises InvalidIdToken, or a ProviderFault for the keys."""
        expected = Expected(self._ours, self._parties, nonce, access_token, "direct")
        return await self._verify(token, metadata, expected)

    async def verify_posted(self, token: str, metadata: Metadata) -> Verified:
        """An ID token that a browser brought; `audiences` count here.

        NOTE: `at_hash` cannot be checked without the access token, and the nonce is for the caller to judge.
        """
        expected = Expected(self._parties, self._parties, None, None, "posted")
        return await self._verify(token, metadata, expected)

    def lapses(self, verified: Verified) -> int:
        """When a posted token can no longer be good, in epoch seconds."""
        expires, issued = number(verified.claims, "exp"), number(verified.claims, "iat")
        return int(min(expires, issued + MAX_AGE["posted"])) + self._leeway

    async def _verify(self, token: str, metadata: Metadata, expected: Expected) -> Verified:
        opened = await self._opener.open(token, types=TYPES, came=expected.came)
        issuer = self._rules.check_issuer(opened.claims, opened.key, metadata)
        check_audience(opened.claims, expected.audiences, expected.parties)
        check_time(opened.claims, self._clock(), self._leeway, MAX_AGE[expected.came])
        subject = check_subject(opened.claims.get("sub"), "sub")
        check_nonce(opened.claims, expected.nonce)
        check_access_token(opened, expected.access_token)
        return Verified(MappingProxyType(dict(opened.claims)), issuer, subject, _SEAL)


def check_audience(claims: Mapping[str, Any], audiences: Collection[str], parties: Collection[str]) -> None:
    """`aud` holds one of ours and nobody else; `azp`, where it is there, is ours (rules 3 to 5)."""
    aud = claims.get("aud")
    named = [aud] if isinstance(aud, str) else aud
    if not isinstance(named, list) or not named:
        raise InvalidIdToken("aud is missing, or neither a string nor a list of them")
    if not all(isinstance(name, str) and name in audiences for name in named):
        raise InvalidIdToken("aud names somebody else")
    if "azp" in claims and not (isinstance(claims["azp"], str) and claims["azp"] in parties):
        raise InvalidIdToken("azp is somebody else")


def check_time(claims: Mapping[str, Any], now: float, leeway: int, max_age: int) -> None:
    """`exp` and `iat` are there, and with `nbf` they are numbers that hold now (rules 9 and 10). All in seconds."""
    expires, issued = number(claims, "exp"), number(claims, "iat")
    if now >= expires + leeway:
        raise InvalidIdToken(f"expired {now - expires:.0f} s ago")
    if issued > now + leeway:
        raise InvalidIdToken(f"issued {issued - now:.0f} s in the future; compare the clocks")
    if issued < now - max_age - leeway:
        raise InvalidIdToken(f"issued {now - issued:.0f} s ago")
    if "nbf" in claims and number(claims, "nbf") > now + leeway:
        raise InvalidIdToken("not valid yet; compare the clocks")


def number(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidIdToken(f"{name} is missing or not a number")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = float("inf")
    if not isfinite(seconds):
        raise InvalidIdToken(f"{name} is not a time")
    return seconds


def digest_of(token: str) -> str:
    """What tells one token from another: what was signed. The signature may have several spellings, it has not."""
    return sha256(token.rpartition(".")[0].encode("utf-8", "surrogatepass")).hexdigest()


def read_nonce(claims: Mapping[str, Any]) -> str | None:
    """The nonce a posted token carries. NonceMismatch where it is no text."""
    nonce = claims.get("nonce")
    if nonce is not None and not isinstance(nonce, str):
        raise NonceMismatch("nonce is not a string")
    return nonce


def check_subject(value: object, name: str) -> str:
    """A subject verbatim: 1 to 255 characters, none of them invisible (OpenID Core §2)."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidIdToken(f"{name} is missing, empty or not a string")
    if len(value) > MAX_SUBJECT or not value.isprintable():
        raise InvalidIdToken(f"{name} is longer than {MAX_SUBJECT} characters, or holds control characters")
    return value


def check_nonce(claims: Mapping[str, Any], nonce: str | None) -> None:
    """Rule 11, in constant time."""
    if nonce is None:
        return
    claimed = claims.get("nonce")
    if not isinstance(claimed, str):
        raise NonceMismatch("nonce is missing or not a string")
    if not hmac.compare_digest(claimed.encode("utf-8", "surrogatepass"), nonce.encode()):
        raise NonceMismatch("nonce is another sign-in's")


def check_access_token(opened: Opened, access_token: str | None) -> None:
    """`at_hash`, where it is there, fits the access token of the same answer (§3.1.3.8)."""
    if access_token is None or "at_hash" not in opened.claims:
        return
    claimed = opened.claims["at_hash"]
    if not isinstance(claimed, str):
        raise InvalidIdToken("at_hash is not a string")
    expected = half_hash(access_token.encode("utf-8", "surrogatepass"), opened.alg, opened.key)
    if not hmac.compare_digest(claimed.encode("utf-8", "surrogatepass"), expected):
        raise InvalidIdToken("at_hash does not fit the access token")


def half_hash(value: bytes, alg: str, key: ProviderKey) -> bytes:
    """Base64url of the left half of the hash that belongs to the signature algorithm."""
    match alg[-3:]:
        case "256":
            digest = sha256(value).digest()
        case "384":
            digest = sha384(value).digest()
        case "512":
            digest = sha512(value).digest()
        case _:  # Ed25519 hashes with SHA-512, Ed448 with SHAKE256 to 114 bytes (RFC 8032 §5)
            long = getattr(key.key, "curve_name", "") == "Ed448"
            digest = shake_256(value).digest(114) if long else sha512(value).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
