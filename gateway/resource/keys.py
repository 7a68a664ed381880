"""An issuer's public keys as it publishes them (RFC 7517): what is understood and fit, key by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.util import base64_to_int

MAX_KEYS = 200
MAX_TRIES = 8  # keys tried for a token without `kid`
KEEP = 3600  # seconds a key is kept that the set does not name any more: replicas of an issuer disagree for a while
RSA_BITS = range(2048, 8193)

# Members that make the key; the others are not imported, so that an odd one cannot spoil it (RFC 7638 section 3.2).
MATERIAL: Mapping[str, tuple[str, ...]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
CURVES: Mapping[str, tuple[str, ...]] = {
    "ES256": ("P-256",),
    "ES384": ("P-384",),
    "ES512": ("P-521",),
    "Ed25519": ("Ed25519",),
    "Ed448": ("Ed448",),
    "EdDSA": ("Ed25519", "Ed448"),
}

PublicKey = RSAKey | ECKey | OKPKey


@dataclass(frozen=True, slots=True)
class PublishedKey:
    kid: str | None
    alg: str | None
    key: PublicKey
    material: tuple[str, ...]
    issuer: str | None  # Microsoft's: whose tokens the key signs
    seen: float  # epoch seconds

    def fits(self, alg: str) -> bool:
        """Whether the key is of the algorithm's type, and not meant for another one (RFC 8725 section 3.1)."""
        if isinstance(self.key, RSAKey):
            return alg[:2] in ("RS", "PS") and self.alg in (None, alg)
        if self.key.curve_name not in CURVES.get(alg, ()):
            return False
        return self.alg in (None, alg) or (isinstance(self.key, OKPKey) and self.alg in ("EdDSA", self.key.curve_name))


Keys = tuple[PublishedKey, ...]


def candidates(keys: Keys, kid: str | None, alg: str) -> Keys:
    """Keys by id; keys without one count for every token. Few enough to try them all."""
    if kid is not None:
        named = tuple(key for key in keys if key.kid == kid)
        if named:
            return tuple(key for key in named if key.fits(alg))
    return tuple(key for key in keys if (key.kid is None or kid is None) and key.fits(alg))[:MAX_TRIES]


def merge(old: Keys, new: Keys, now: float) -> Keys:
    """The new set, and for an hour what it leaves out. A reused key id means the new key."""
    named = {key.kid for key in new if key.kid is not None}
    material = {key.material for key in new}
    left = [key for key in old if key.kid not in named and key.material not in material and now - key.seen < KEEP]
    return (*new, *left)[:MAX_KEYS]


def read_keys(document: Mapping[str, Any], now: float) -> Keys:
    """The signing keys of a set; what is not understood is left out."""
    members = document.get("keys")
    if not isinstance(members, list):
        return ()
    keys = (read_key(member, now) for member in members[:MAX_KEYS] if isinstance(member, dict))
    return tuple(key for key in keys if key is not None)


def read_key(member: Mapping[str, Any], now: float) -> PublishedKey | None:
    operations = member.get("key_ops", ["verify"])
    if member.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    kty = member.get("kty")
    if not isinstance(kty, str) or kty not in MATERIAL:  # an `oct` key in a public document is no secret
        return None
    material = tuple(member.get(name) for name in MATERIAL[kty])
    try:
        key = import_key(kty, {name: member[name] for name in MATERIAL[kty]})
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if key is None:
        return None
    kid, alg, issuer = (text(member.get(name)) for name in ("kid", "alg", "issuer"))
    return PublishedKey(kid, alg, key, (kty, *material), issuer, now)  # type: ignore[arg-type]  # strings: it was made of them


def import_key(kty: str, material: Mapping[str, Any]) -> PublicKey | None:
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
    if base64_to_int(n).bit_length() not in RSA_BITS:
        return None
    return RSAKey.import_key({"kty": "RSA", "n": n, "e": e})


def text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
