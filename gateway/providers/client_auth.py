"""Who we are at a provider's token endpoint (RFC 6749 §2.3, RFC 7523 §2.2): one method per request."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote_plus, urlencode

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from gateway.errors import ProviderUnavailable
from gateway.settings import ClientAuth, ProviderSettings

from .discovery import Metadata
from .kept import Clock

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFE = 300  # seconds
CURVE_ALGS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


def choose_method(settings: ProviderSettings, supported: tuple[str, ...]) -> ClientAuth:
    """The configured method, else basic; post where discovery lists that and not basic (empty: unknown)."""
    if settings.client_auth is not None:
        return settings.client_auth
    if settings.client_secret is None:
        return "none" if settings.private_key_file is None else "private_key_jwt"
    post_only = "client_secret_post" in supported and "client_secret_basic" not in supported
    return "client_secret_post" if post_only else "client_secret_basic"


class ClientAuthentication:
    """Adds our credentials to a token request. Secrets and keys are read at each use: files may change."""

    def __init__(self, settings: ProviderSettings, clock: Clock) -> None:
        self._settings = settings
        self._signer = Signer(settings, clock) if settings.private_key_file else None

    def sign(self, metadata: Metadata, headers: Any, body: bytes) -> bytes:
        """The body to send; `headers` gains an Authorization for basic."""
        client_id = self._settings.client_id
        match choose_method(self._settings, metadata.auth_methods):
            case "client_secret_basic":
                headers["Authorization"] = basic(client_id, self._secret())
                return body
            case "client_secret_post":
                return add(body, client_id=client_id, client_secret=self._secret())
            case "private_key_jwt":
                assertion = self._assert(metadata)
                return add(
                    body,
                    client_id=client_id,
                    client_assertion_type=ASSERTION_TYPE,
                    client_assertion=assertion,
                )
            case "none":
                return add(body, client_id=client_id)

    def _secret(self) -> str:
        if self._settings.client_secret is None:
            raise ProviderUnavailable("no client_secret is configured")
        return self._settings.client_secret.get()

    def _assert(self, metadata: Metadata) -> str:
        if self._signer is None:
            raise ProviderUnavailable("no private_key_file is configured")
        to_issuer = self._settings.client_assertion_audience == "issuer"
        return self._signer.sign(metadata.issuer if to_issuer else metadata.token_endpoint)


def basic(client_id: str, secret: str) -> str:
    """Both halves form-encoded before they are joined (RFC 6749 §2.3.1): colons and umlauts survive."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + b64encode(pair.encode("ascii")).decode("ascii")


def add(body: bytes, **fields: str) -> bytes:
    return b"&".join(part for part in (body, urlencode(fields).encode("ascii")) if part)


@dataclass(frozen=True, slots=True)
class SigningKey:
    key: RSAKey | ECKey
    header: Mapping[str, str]  # alg, and which key it was


class Signer:
    """Client assertions (RFC 7523 §3): each with a `jti` of its own, good for five minutes."""

    def __init__(self, settings: ProviderSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._files = tuple(Path(name) for name in (settings.private_key_file, settings.certificate_file) if name)
        self._stamp: tuple[tuple[int, int], ...] = ()
        self._key: SigningKey | None = None

    def sign(self, audience: str) -> str:
        """A signed assertion for `audience`. Raises ProviderUnavailable where the key cannot be used."""
        try:
            key = self._current()
        except (OSError, ValueError, TypeError) as error:
            raise ProviderUnavailable(f"the private key cannot be used: {type(error).__name__}") from error
        now, client_id = int(self._clock()), self._settings.client_id
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "jti": token_urlsafe(24),
            "iat": now,
            "nbf": now,
            "exp": now + ASSERTION_LIFE,
        }
        return jwt.encode(dict(key.header), claims, key.key, algorithms=[key.header["alg"]])

    def _current(self) -> SigningKey:
        """The key, read again when a file has changed."""
        stamp = tuple((stat.st_mtime_ns, stat.st_size) for stat in (file.stat() for file in self._files))
        if self._key is None or stamp != self._stamp:
            self._key = read_key(self._settings)
            self._stamp = stamp
        return self._key


def read_key(settings: ProviderSettings) -> SigningKey:
    """The key of `private_key_file` with the header that names it. OSError or ValueError otherwise."""
    native = load_pem_private_key(Path(settings.private_key_file or "").read_bytes(), password=None)
    if isinstance(native, RSAPrivateKey):
        key: RSAKey | ECKey = RSAKey.import_key(native)
        alg = "PS256"
    elif isinstance(native, EllipticCurvePrivateKey):
        key = ECKey.import_key(native)
        alg = CURVE_ALGS.get(key.curve_name, "")
    else:
        raise ValueError("neither RSA nor EC")
    header = {"alg": settings.client_assertion_alg or alg}
    if settings.certificate_file is None:
        return SigningKey(key, header | {"kid": key.thumbprint()})  # RFC 7638
    certificate = x509.load_pem_x509_certificate(Path(settings.certificate_file).read_bytes())
    digest = urlsafe_b64encode(certificate.fingerprint(SHA256())).rstrip(b"=").decode("ascii")
    return SigningKey(key, header | {"x5t#S256": digest})  # what Entra knows a certificate by
