"""ID tokens for applications (OpenID Connect Core section 2): who signed in, said to one application.

Each application has its algorithm. Where access tokens are signed with another one, a family of keys of its own signs.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from gateway.errors import Unavailable

from .keys import Keyring
from .signing import header_segment
from .stored import SigningKey

TYPE = "JWT"
LIFETIME = 300  # seconds
LONGEST = 8192  # characters of a hint


@dataclass(frozen=True, slots=True)
class Hint:
    """What an ID token of ours said once; it may have expired since (RP-Initiated Logout 1.0 section 2)."""

    client_id: str
    subject: str
    sid: str


class IdTokens:
    """Mints ID tokens and reads them back as hints."""

    def __init__(self, issuer: str, keyrings: Mapping[str, Keyring]) -> None:
        """`keyrings` by algorithm."""
        self._issuer = issuer
        self._keyrings = keyrings

    def mint(self, alg: str, access_token: str, now: int, claims: Mapping[str, Any]) -> str:
        """`claims` says at least `sub`, `aud`, `auth_time` and `sid`. Unavailable without a key to sign with."""
        if (keyring := self._keyrings.get(alg)) is None:
            raise Unavailable(f"no keys for {alg}")
        times = {"iat": now, "exp": now + LIFETIME}
        half = sha256(access_token.encode()).digest()[:16]  # both algorithms hash with SHA-256
        at_hash = urlsafe_b64encode(half).rstrip(b"=").decode()
        return keyring.signer(TYPE).sign({"iss": self._issuer, **times, **claims, "at_hash": at_hash})

    def read_hint(self, token: str) -> Hint | None:
        """What a hint says; None for whatever is not an ID token that we signed."""
        if len(token) > LONGEST or not token.isascii():
            return None
        signed, _, signature = token.encode().rpartition(b".")
        header = signed.partition(b".")[0]
        for key in self._keys():
            if header == header_segment(key.alg, key.kid, TYPE):
                try:
                    return self._hint(json.loads(key.verifier.payload(signed, signature)))
                except (ValueError, LookupError, RecursionError):
                    return None
        return None

    def _keys(self) -> Iterable[SigningKey]:
        return (key for keyring in self._keyrings.values() for key in keyring.keys.values())

    def _hint(self, said: Mapping[str, Any]) -> Hint | None:
        if said.get("iss") != self._issuer:
            return None
        return Hint(str(said["aud"]), str(said["sub"]), str(said["sid"]))
