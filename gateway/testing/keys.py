"""The keys a stand-in signs with, and how it publishes them.

Making an RSA key is slow, so a process makes a few and deals them out in turn, each time under a new `kid`.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import itertools
import secrets
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import ECKey, OKPKey, RSAKey

PrivateKey = RSAKey | ECKey | OKPKey

RSA_KEYS_IN_A_PROCESS = 8
CURVES = {"ES256": "P-256", "ES256K": "secp256k1", "ES384": "P-384", "ES512": "P-521"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key pair. `members` are published beside the key itself."""

    private: PrivateKey
    kid: str | None
    use: str = "sig"
    members: Mapping[str, Any] = field(default_factory=dict)

    def public(self) -> dict[str, Any]:
        kid = {} if self.kid is None else {"kid": self.kid}
        return {**self.private.as_dict(private=False), "use": self.use, **kid, **self.members}

    def signs(self, alg: str) -> bool:
        if self.use != "sig":
            return False
        if isinstance(self.private, RSAKey):
            return alg.startswith(("RS", "PS"))
        if isinstance(self.private, OKPKey):
            return alg in ("EdDSA", "Ed25519")
        return CURVES.get(alg) == self.private.curve_name


@dataclass(frozen=True, slots=True)
class Keys:
    """Everything in a stand-in's key set, in the order of publication."""

    every: Sequence[Key]

    def published(self) -> dict[str, Any]:
        return {"keys": [key.public() for key in self.every]}

    def signer(self, alg: str) -> Key:
        """The last signing key of the right type, so that just taking the first one is found out."""
        return [key for key in self.every if key.signs(alg)][-1]


@cache
def _rsa_pool() -> Iterator[RSAKey]:
    made = [RSAKey.generate_key(2048) for _ in range(RSA_KEYS_IN_A_PROCESS)]
    return itertools.cycle(made)


_pool_lock = threading.Lock()


def rsa() -> RSAKey:
    """The next RSA key in turn; the last few are all different."""
    with _pool_lock:
        return next(_rsa_pool())


def generic_keys(*, rsa_keys: int = 2, p256: int = 2, secp256k1: int = 1, ed25519: int = 1, kids: bool = True) -> Keys:
    """The conformance suite's key set: curves few know, no `alg`, and two encryption keys at the end."""
    signing: list[PrivateKey] = [
        *(rsa() for _ in range(rsa_keys)),
        *(ECKey.generate_key("P-256") for _ in range(p256)),
        *(ECKey.generate_key("secp256k1") for _ in range(secp256k1)),
        *(OKPKey.generate_key("Ed25519") for _ in range(ed25519)),
    ]
    encryption = [
        Key(rsa(), _uuid(), "enc", {"alg": "RSA-OAEP"}),
        Key(ECKey.generate_key("P-256"), _uuid(), "enc", {"alg": "ECDH-ES"}),
    ]
    return Keys([*(Key(private, _uuid() if kids else None) for private in signing), *encryption])


def google_keys() -> Keys:
    """Two RSA keys with `alg`, named by 40 hexadecimal digits."""
    return Keys([Key(rsa(), secrets.token_hex(20), "sig", {"alg": "RS256"}) for _ in range(2)])


def microsoft_keys(issuers: Sequence[str]) -> Keys:
    """One RSA key for each of `issuers`, with its certificate and without `alg`; named by the thumbprint."""
    return Keys([_certified(rsa(), issuer) for issuer in issuers])


def _certified(private: RSAKey, issuer: str) -> Key:
    der = certificate(private).public_bytes(Encoding.DER)
    thumbprint = base64url(hashlib.sha1(der).digest())  # noqa: S324  RFC 7517 section 4.8 says SHA-1
    x5c = [base64.b64encode(der).decode()]
    return Key(private, thumbprint, "sig", {"x5t": thumbprint, "x5c": x5c, "issuer": issuer})


def certificate(private: RSAKey) -> x509.Certificate:
    """A self-signed certificate for a key, good for one day; a new one each time."""
    pair = private.private_key
    if not isinstance(pair, RSAPrivateKey):
        raise TypeError("a certificate needs the private key")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(pair.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
    return builder.not_valid_after(now + datetime.timedelta(days=1)).sign(pair, hashes.SHA256())


def thumbprint(certificate: x509.Certificate) -> str:
    """`x5t#S256` (RFC 7515 section 4.1.8)."""
    return base64url(hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest())


def base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _uuid() -> str:
    return str(uuid.uuid4())
