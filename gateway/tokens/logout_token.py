"""Logout tokens: that somebody's session ended, said to one application (Back-Channel Logout 1.0 section 2.4)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from gateway.errors import Unavailable

from .keys import Keyring

TYPE = "logout+jwt"
LIFETIME = 120  # seconds
EVENT = "http://schemas.openid.net/event/backchannel-logout"


class LogoutTokens:
    """Mints logout tokens, with the keys of the application's ID tokens."""

    def __init__(self, issuer: str, keyrings: Mapping[str, Keyring]) -> None:
        """`keyrings` by algorithm."""
        self._issuer = issuer
        self._keyrings = keyrings

    def mint(self, alg: str, client_id: str, subject: str, sid: str, now: int) -> str:
        """A token that is good for one delivery. Unavailable without a key to sign with."""
        if (keyring := self._keyrings.get(alg)) is None:
            raise Unavailable(f"no keys for {alg}")
        return keyring.signer(TYPE).sign(
            {
                "iss": self._issuer,
                "aud": client_id,
                "iat": now,
                "exp": now + LIFETIME,
                "jti": secrets.token_urlsafe(16),
                "sub": subject,
                "sid": sid,
                "events": {EVENT: {}},
            }
        )
