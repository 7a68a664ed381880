"""The access token: minted and verified without the database (RFC 9068, RFC 8725)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Container
from hashlib import sha256

from gateway.errors import InvalidToken

from . import claims
from .claims import AccessClaims, AccessGrant, service
from .keys import Keyring
from .recent import Recent
from .signing import Signer, header_segment
from .stored import SigningKey

__all__ = ["AccessClaims", "AccessGrant", "AccessTokens", "service"]

Clock = Callable[[], float]

TYPE = "at+jwt"  # RFC 9068 section 2.1
MAX_SIZE = 8192  # characters of a token
CACHE_SIZE = 20_000  # verified tokens kept


class AccessTokens:
    """Mints and verifies. Whether the session of a valid token has ended is for the caller to ask."""

    def __init__(
        self,
        issuer: str,
        audience: str,
        ttl: int,
        keyring: Keyring,
        clock: Clock = time.time,
        *,
        cache_size: int = CACHE_SIZE,
    ) -> None:
        """`ttl`: seconds that a token lives."""
        self.issuer = issuer
        self.audience = audience
        self.ttl = ttl
        self._keyring = keyring
        self._clock = clock
        self._verified = VerifiedTokens(cache_size)
        self._headers: dict[bytes, SigningKey] = {}
        self._signer: Signer | None = None
        self._version = 0

    @property
    def version(self) -> int:
        """Another one whenever a token may be judged otherwise than before, but for its end and its session's."""
        return self._keyring.version

    def mint(self, grant: AccessGrant) -> str:
        """A signed token, valid from now. Unavailable without a key to sign with."""
        self._follow_keys()
        if self._signer is None:
            self._signer = self._keyring.signer(TYPE)
        now = int(self._clock())
        return self._signer.sign(claims.write(grant, issuer=self.issuer, audience=self.audience, now=now, ttl=self.ttl))

    def verify(self, token: str) -> AccessClaims:
        """What the token says. InvalidToken when anything about it does not hold."""
        found = self.verify_for_any(token)
        if self.audience not in found.audience:
            raise InvalidToken("for another audience")
        return found

    def verify_for_any(self, token: str) -> AccessClaims:
        """As `verify`, whichever API the token is meant for: also for those of applications of their own."""
        self._follow_keys()
        raw = as_bytes(token)
        digest = sha256(raw).digest()
        found = self._verified.get(digest)
        if found is None:
            found = self._check(raw)
            self._verified.put(digest, found)
        if found.exp <= self._clock():
            raise InvalidToken("expired")
        return found

    def _follow_keys(self) -> None:
        if self._version == self.version:
            return
        keys = self._keyring.keys
        self._headers = {header_segment(key.alg, key.kid, TYPE): key for key in keys.values()}
        self._signer = None
        self._verified.keep(keys)
        self._version = self.version

    def _check(self, raw: bytes) -> AccessClaims:
        signed, _, signature = raw.rpartition(b".")
        key = self._headers.get(signed.partition(b".")[0])
        if key is None:
            raise InvalidToken("not signed as ours are")
        try:
            said = json.loads(key.verifier.payload(signed, signature))
            return claims.read(said, issuer=self.issuer, now=self._clock(), kid=key.kid)
        except (ValueError, RecursionError) as error:
            raise InvalidToken(str(error)) from error


class VerifiedTokens(Recent[AccessClaims]):
    """Verified claims by digest of the whole token."""

    def keep(self, kids: Container[str]) -> None:
        """Forget what other keys have signed."""
        self._young = {digest: one for digest, one in self._young.items() if one.kid in kids}
        self._old = {digest: one for digest, one in self._old.items() if one.kid in kids}


def as_bytes(token: str) -> bytes:
    if len(token) > MAX_SIZE:
        raise InvalidToken("too long")
    try:
        return token.encode("ascii")
    except UnicodeEncodeError as error:
        raise InvalidToken("not ASCII") from error
