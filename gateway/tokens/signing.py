"""One signing key at work: made, written down, read again, signing compact JWS and checking them (RFC 7515).

Our tokens have a header of fixed bytes per key and type. Whoever verifies compares the header with those bytes
first, so that a stranger's `alg`, `typ`, `crit` or `jwk` never come to be looked at.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Literal

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

Algorithm = Literal["ES256", "EdDSA", "RS256"]


def generate(alg: Algorithm) -> Key:
    """A new private key: P-256, Ed25519 or RSA with 3072 bits (the last takes up to a second of CPU).

    Its id does not begin with a hyphen, or commands would take it for an option.
    """
    while (key := any_key(alg)).thumbprint().startswith("-"):
        pass
    return key


def any_key(alg: Algorithm) -> Key:
    match alg:
        case "ES256":
            return ECKey.generate_key("P-256")
        case "EdDSA":
            return OKPKey.generate_key("Ed25519")
        case "RS256":
            return RSAKey.generate_key(3072)


def public_jwk(key: Key, alg: str) -> dict[str, Any]:
    """Public members only; `kid` is the thumbprint (RFC 7638), `alg` ties the key to one algorithm."""
    return {**key.as_dict(private=False), "use": "sig", "alg": alg, "kid": key.thumbprint()}


def write_private(key: Key) -> bytes:
    """The whole key as a JWK document, to be sealed."""
    return json.dumps(key.as_dict(private=True)).encode()


def read_key(jwk: Mapping[str, Any]) -> Key:
    """A key from its JWK, private or public. ValueError when it is none."""
    try:
        return JWKRegistry.import_key(dict(jwk))
    except (JoseError, KeyError, TypeError) as error:
        raise ValueError("not a usable JWK") from error


def header_segment(alg: str, kid: str, typ: str) -> bytes:
    """The encoded header of every token of this type that the key signs: always the same bytes."""
    return encode({"alg": alg, "kid": kid, "typ": typ})


write = json.JSONEncoder(separators=(",", ":")).encode


def encode(value: Mapping[str, Any]) -> bytes:
    return urlsafe_b64encode(write(value).encode()).rstrip(b"=")


class Signer:
    """Signs claims into a compact JWS with one key and one header; what does not change is built once."""

    def __init__(self, key: Key, *, alg: str, kid: str, typ: str) -> None:
        # From the class table, because the lookup warns about the name EdDSA (RFC 9864), which verifiers know.
        self._algorithm = JWSRegistry.algorithms[alg]
        self._algorithm.check_key(key)
        self._key = key
        self._prefix = header_segment(alg, kid, typ) + b"."

    def sign(self, claims: Mapping[str, Any]) -> str:
        signed = self._prefix + encode(claims)
        signature = self._algorithm.sign(signed, self._key)
        return (signed + b"." + urlsafe_b64encode(signature).rstrip(b"=")).decode("ascii")


class Verifier:
    """Checks signatures of one public key with the one algorithm it was made for."""

    def __init__(self, key: Key, *, alg: str) -> None:
        self._algorithm = JWSRegistry.algorithms[alg]
        self._algorithm.check_key(key)
        self._key = key

    def payload(self, signed: bytes, signature: bytes) -> bytes:
        """The decoded payload of `header.payload`. ValueError when signature or encoding do not hold."""
        if not self._algorithm.verify(signed, urlsafe_b64decode(signature), self._key):
            raise ValueError("signature does not match")
        return urlsafe_b64decode(signed.partition(b".")[2])
