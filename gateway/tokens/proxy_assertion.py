"""The assertion for an application behind a proxy: who asks, signed, for one host and for a minute.

It is no access token. Its `typ` is another, so that neither is ever taken for the other (RFC 8725 section 3.11).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .claims import AccessClaims
from .keys import Keyring
from .signing import Signer

TYPE = "forward-auth+jwt"
LIFE = 60  # seconds


class ProxyAssertions:
    """Signs what a verified access token says, for the application that the request goes on to."""

    def __init__(self, issuer: str, keyring: Keyring, clock: Callable[[], float] = time.time) -> None:
        self._issuer = issuer
        self._keyring = keyring
        self._clock = clock
        self._signer: Signer | None = None
        self._version = 0

    def mint(self, claims: AccessClaims, audience: str) -> str:
        """A signed token; `audience` is the host. Never outlives the access token. Unavailable without a key."""
        if self._signer is None or self._version != self._keyring.version:
            self._signer, self._version = self._keyring.signer(TYPE), self._keyring.version
        now = int(self._clock())
        return self._signer.sign(
            {
                "iss": self._issuer,
                "aud": audience,
                "sub": claims.subject,
                "iat": now,
                "exp": min(now + LIFE, claims.exp),
                "sid": str(claims.session_id),
                "auth_time": claims.auth_time,
                "idp": claims.idp,
                "email": claims.email if claims.email_verified else None,
                "roles": claims.roles,
                "groups": claims.groups or (),
            }
        )
