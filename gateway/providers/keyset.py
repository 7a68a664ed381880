"""A provider's public keys: kept one by one and merged, so that no single answer can take the good ones away.

Replicas of large providers disagree about their newest and oldest keys for hours, and proxies answer with
empty sets. A key is forgotten when a good set has not named it for a day.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, thumbprint
from joserfc.util import base64_to_int

from gateway.errors import ProviderUnavailable

from .kept import Clock, Kept

FORGET_AFTER = 86400  # seconds since a key was last seen
MAX_KEYS = 200
MAX_TRIES = 8  # keys tried for a token without `kid`
BURST = 3  # fetches for unknown keys that bring nothing, before the pace of
REFILL = 60  # seconds for each further one
RSA_BITS = range(2048, 8193)

# Members that make the key; the others are not imported, so that an odd one cannot spoil it (RFC 7638 §3.2).
MATERIAL: Mapping[str, tuple[str, ...]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
CURVES: Mapping[str, tuple[str, ...]] = {
    "ES256": ("P-256",),
    "ES384": ("P-384",),
    "ES512": ("P-521",),
    "Ed25519": ("Ed25519",),
    "Ed448": ("Ed448",),
    "EdDSA": ("Ed25519", "Ed448"),  # the older name of both (RFC 9864 §2.2)
}

Came = Literal["direct", "posted"]  # from the token endpoint itself, or by a browser, who may invent key ids
PublicKey = RSAKey | ECKey | OKPKey

log = logging.getLogger("gateway.providers")


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """One public signing key. `issuer` and `cloud` (`cloud_instance_name`) are members of Microsoft's."""

    kid: str | None
    key: PublicKey
    thumbprint: str
    alg: str | None
    issuer: str | None
    cloud: str | None
    seen: float

    def fits(self, alg: str) -> bool:
        """Whether the key is of the algorithm's type, and not meant for another one (RFC 8725 §3.1)."""
        if isinstance(self.key, RSAKey):
            return alg[:2] in ("RS", "PS") and self.alg in (None, alg)
        if self.key.curve_name not in CURVES.get(alg, ()):
            return False
        return self.alg in (None, alg) or (isinstance(self.key, OKPKey) and self.alg in ("EdDSA", self.key.curve_name))


class Bucket:
    """Tokens for fetches that an unknown key id asks for. A fetch that brings the key costs nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left = float(BURST)
        self._at = clock()

    def take(self) -> bool:
        now = self._clock()
        self._left = min(float(BURST), self._left + max(0.0, now - self._at) / REFILL)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def give_back(self) -> None:
        self._left = min(float(BURST), self._left + 1)


class KeySet:
    """The keys at one provider's `jwks_uri`. `fetch` gives the document or raises a ProviderFault."""

    def __init__(self, fetch: Callable[[], Awaitable[Mapping[str, Any]]], *, what: str, clock: Clock) -> None:
        self._fetch = fetch
        self._what = what
        self._clock = clock
        self._kept: Kept[tuple[ProviderKey, ...]] = Kept(self._load, what=what, clock=clock)
        # Floods of invented key ids in posted tokens must not use up what a rotation needs at the callback.
        self._buckets: dict[Came, Bucket] = {"direct": Bucket(clock), "posted": Bucket(clock)}

    def refresh_ahead(self) -> None:
        """Have the keys fetched in the background where they are missing or old."""
        self._kept.ahead()

    async def warm(self) -> None:
        await self._kept.get()

    async def stop(self) -> None:
        await self._kept.stop()

    async def find(self, kid: str | None, alg: str, came: Came) -> tuple[ProviderKey, ...]:
        """The keys that may have signed; a key id nobody knows has the set fetched again, within limits.

        Raises a ProviderFault where there are no keys, or where the set cannot be asked about an unknown one.
        """
        keys = await self._kept.get()
        found = candidates(keys, kid, alg)
        if found or kid is None or any(key.kid == kid for key in keys):
            return found
        if await self.renew(came, lambda keys: any(key.kid == kid for key in keys)):
            return candidates(self._kept.value or (), kid, alg)
        return ()

    async def renew(self, came: Came, enough: Callable[[tuple[ProviderKey, ...]], bool]) -> bool:
        """Fetch because a token asks for it, if the pace allows; whether the set is then `enough`.

        To wait for a fetch under way is free. It may have started before the key existed, so where it was not
        enough one more follows it.
        """
        bucket = self._buckets[came]
        for _ in range(2):
            joined = self._kept.flying
            if not joined and not bucket.take():
                log.warning("provider_keys_not_asked_again", extra={"fields": {"document": self._what}})
                return False
            await self._kept.renew()
            if enough(self._kept.value or ()):
                if not joined:
                    bucket.give_back()
                return True
            if not joined:
                break
        if self._kept.failure is not None:
            raise ProviderUnavailable(self._kept.failure.cause)
        return False

    async def _load(self) -> tuple[ProviderKey, ...]:
        now = self._clock()
        named = read_keys(await self._fetch(), now)
        if not named:
            raise ProviderUnavailable("no usable signing key in the set")
        return merge(self._kept.value or (), named, now)


def candidates(keys: tuple[ProviderKey, ...], kid: str | None, alg: str) -> tuple[ProviderKey, ...]:
    """Keys by id; keys without one count for every token. Few enough to try them all."""
    fitting = [key for key in keys if key.fits(alg)]
    named = [key for key in fitting if key.kid == kid] if kid is not None else fitting
    return tuple(named or [key for key in fitting if key.kid is None])[:MAX_TRIES]


def merge(old: tuple[ProviderKey, ...], new: tuple[ProviderKey, ...], now: float) -> tuple[ProviderKey, ...]:
    """The new set, and before it has been a day, what it leaves out. A reused key id means the new key."""
    named = {key.kid for key in new if key.kid is not None}
    prints = {key.thumbprint for key in new}
    left = [key for key in old if key.kid not in named and key.thumbprint not in prints]
    return (*new, *(key for key in left if now - key.seen < FORGET_AFTER))[:MAX_KEYS]


def read_keys(document: Mapping[str, Any], now: float) -> tuple[ProviderKey, ...]:
    """The signing keys of a JWK set (RFC 7517 §5); what is not understood is left out."""
    members = document.get("keys")
    if not isinstance(members, list):
        return ()
    keys = (read_key(member, now) for member in members[:MAX_KEYS] if isinstance(member, dict))
    return tuple(key for key in keys if key is not None)


def read_key(member: Mapping[str, Any], now: float) -> ProviderKey | None:
    operations = member.get("key_ops", ["verify"])
    if member.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        key = import_key(member)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if key is None:
        return None
    return ProviderKey(
        kid=text(member.get("kid")),
        key=key,
        thumbprint=thumbprint({name: member[name] for name in ("kty", *MATERIAL[member["kty"]])}),
        alg=text(member.get("alg")),
        issuer=text(member.get("issuer")),
        cloud=text(member.get("cloud_instance_name")),
        seen=now,
    )


def import_key(member: Mapping[str, Any]) -> PublicKey | None:
    kty = member.get("kty")
    if not isinstance(kty, str) or kty not in MATERIAL:  # an `oct` key in a public document is no secret
        return None
    material = {name: member[name] for name in MATERIAL[kty]}
    if not all(isinstance(value, str) for value in material.values()):
        return None
    match kty:
        case "RSA":
            return import_rsa(material["n"], material["e"])
        case "EC":
            return ECKey.import_key({"kty": kty, **material})
        case _:
            return OKPKey.import_key({"kty": kty, **material})


def import_rsa(n: str, e: str) -> RSAKey | None:
    """None for sizes that are weak, or slow to verify with; looked at before the key is made."""
    if len(n) > RSA_BITS.stop // 6 + 2 or len(e) > len("AQABAQAB"):
        return None
    modulus = base64_to_int(n)
    if modulus.bit_length() not in RSA_BITS:
        return None
    return RSAKey.import_key({"kty": "RSA", "n": n, "e": e})


def text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
