"""A provider's signature over claims (RFC 7515, RFC 8725): what may be opened, and with which key.

Only the compact form, only the configured asymmetric algorithms, only keys of the provider's own set. A key in
the header, or the address of one (`jwk`, `jku`, `x5c`, `x5u`), is never looked at.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jws import JWSRegistry, deserialize_compact
from joserfc.util import urlsafe_b64decode

from gateway.errors import InvalidIdToken

from .keyset import Came, KeySet, ProviderKey
from .words import quotable

MAX_TOKEN = 64 * 1024  # bytes; 200 groups of Microsoft come to 10 kB
ALGORITHMS = frozenset(
    (
        "RS256",
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
        "ES256",
        "ES384",
        "ES512",
        "EdDSA",
        "Ed25519",
        "Ed448",
    )
)
REFUSED_HEADERS = (
    "crit",
    "b64",
    "zip",
    "enc",
)  # none of their extensions is understood here (RFC 7515 §4.1.11)


@dataclass(frozen=True, slots=True)
class Opened:
    """Claims whose signature is good. Nothing is said yet about who made them, for whom, or when."""

    claims: Mapping[str, Any]
    alg: str
    key: ProviderKey


class Registry(JWSRegistry):
    """The pinned algorithms, without joserfc's warning for `EdDSA`: it is the operator who chose it."""

    max_header_length = 16 * 1024  # a header with `x5c` passes the library's 512 bytes
    max_payload_length = MAX_TOKEN

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(f"Algorithm of '{name}' is not allowed")
        return self.algorithms[name]


class Opener:
    """Opens one provider's tokens. `algs` are those of its configuration, never of its discovery document."""

    def __init__(self, keys: KeySet, algs: Collection[str]) -> None:
        unfit = set(algs) - ALGORITHMS
        if unfit or not algs:
            raise ValueError(f"not signature algorithms for ID tokens: {', '.join(sorted(unfit)) or 'none given'}")
        self._keys = keys
        self._algs = frozenset(algs)
        self._registry = Registry(algorithms=sorted(algs), strict_check_header=False)

    async def open(self, token: str, *, types: Collection[str], came: Came) -> Opened:
        """Check form, header and signature. `types`: what `typ` may be where it is there, in lower case.

        Raises InvalidIdToken, or a ProviderFault where the keys cannot be fetched.
        """
        header, claims = parse(token)
        alg, kid = self._check_header(header, types)
        keys = await self._keys.find(kid, alg, came)
        key = self._signer(token, keys)
        if key is None and (kid is None or (keys and all(tried.kid is None for tried in keys))):
            key = await self._signer_after_rotation(token, alg, keys, came)
        if key is None:
            raise InvalidIdToken("no key of the provider has made the signature" if keys else "unknown or unfit key")
        return Opened(claims, alg, key)

    async def _signer_after_rotation(
        self, token: str, alg: str, tried: tuple[ProviderKey, ...], came: Came
    ) -> ProviderKey | None:
        """Without `kid`, in token or keys, a rotation shows only in a signature that nothing fits."""
        known = {key.thumbprint for key in tried}

        def unseen(keys: tuple[ProviderKey, ...]) -> tuple[ProviderKey, ...]:
            return tuple(key for key in keys if key.fits(alg) and key.thumbprint not in known)

        if not await self._keys.renew(came, lambda keys: bool(unseen(keys))):
            return None
        return self._signer(token, unseen(await self._keys.find(None, alg, came)))

    def _check_header(self, header: Mapping[str, Any], types: Collection[str]) -> tuple[str, str | None]:
        alg, kid, typ = header.get("alg"), header.get("kid"), header.get("typ")
        if not isinstance(alg, str) or alg not in self._algs:
            raise InvalidIdToken(f"algorithm {quotable(str(alg))} is not among id_token_algs")
        if "kid" in header and not isinstance(kid, str):
            raise InvalidIdToken("the kid is not a string")
        if "typ" in header and (not isinstance(typ, str) or typ.lower().removeprefix("application/") not in types):
            raise InvalidIdToken(f"a token of type {quotable(str(typ))} is not one of {', '.join(sorted(types))}")
        for name in REFUSED_HEADERS:
            if name in header:
                raise InvalidIdToken(f"the header holds {name}")
        return alg, kid

    def _signer(self, token: str, keys: tuple[ProviderKey, ...]) -> ProviderKey | None:
        return next((key for key in keys if self._made_by(token, key)), None)

    def _made_by(self, token: str, key: ProviderKey) -> bool:
        try:
            deserialize_compact(token, key.key, registry=self._registry)
        except (JoseError, ValueError):
            return False
        return True


def parse(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a compact JWS, believed by nobody yet. Raises InvalidIdToken."""
    if len(token) > MAX_TOKEN:
        raise InvalidIdToken(f"the token is longer than {MAX_TOKEN} bytes")
    parts = token.split(".")
    if len(parts) != len(("header", "payload", "signature")):
        raise InvalidIdToken("the token is not a compact JWS")
    try:
        return read_part(parts[0]), read_part(parts[1])
    except (ValueError, RecursionError) as error:
        raise InvalidIdToken("the token is not made of base64url and JSON objects") from error


def read_part(part: str) -> dict[str, Any]:
    value = json.loads(urlsafe_b64decode(part.encode("ascii")).decode("utf-8"), object_pairs_hook=unique)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Parsers disagree about members that come twice, so there are none (RFC 7519 §4)."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member comes twice")
    return members
