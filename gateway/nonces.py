"""Nonces for ID tokens that a browser asks its provider for itself: each of one browser, one provider, for one use.

A nonce holds its time and a MAC over that, its provider and a number that this browser carries in a cookie of its own.
Nothing is written until one is spent. The cookie also says which session the browser had: when a provider's page posts
the token, the session's own cookies stay behind.
"""

from __future__ import annotations

import hmac
import re
import secrets
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from .sealing import Sealer

LIFETIME = 600  # seconds
PACKED = re.compile(r"[A-Za-z0-9_-]{64}")
NONCE = re.compile(r"[A-Za-z0-9_-]{43}")
NO_SESSION = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class Carrier:
    """The browser that nonces are bound to, and the session it had when it asked for the last one."""

    id: bytes  # 16, random
    session: uuid.UUID | None = None


class Nonces:
    """Issues nonces, knows its own again, and carries their browser through a cookie."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def carrier(self, packed: str | None, session: uuid.UUID | None) -> Carrier:
        """The browser as its cookie says, so that nonces in several tabs live beside each other; else a new one."""
        known = self.unpack(packed)
        if known is None:
            return Carrier(secrets.token_bytes(16), session)
        return Carrier(known.id, session or known.session)

    def pack(self, carrier: Carrier) -> str:
        said = carrier.id + (carrier.session or NO_SESSION).bytes
        return encode(said + self._sealer.mac("nonce/browser", said)[:16])

    def unpack(self, packed: str | None) -> Carrier | None:
        """The browser that a cookie names; None when we did not make it."""
        if packed is None or not PACKED.fullmatch(packed):
            return None
        raw = decode(packed)
        if not self._sealer.mac_matches("nonce/browser", raw[:32], raw[32:]):
            return None
        session = uuid.UUID(bytes=raw[16:32])
        return Carrier(raw[:16], None if session == NO_SESSION else session)

    def issue(self, carrier: Carrier, provider: str, now: int) -> str:
        """A nonce of 43 URL-safe characters, good for `LIFETIME` seconds from `now` (epoch seconds)."""
        said = now.to_bytes(5) + secrets.token_bytes(11)
        return encode(said + self._sealer.mac("nonce", bound(said, carrier, provider))[:16])

    def holds(self, nonce: str, carrier: Carrier | None, provider: str, now: int) -> bool:
        """Whether the nonce was issued to this browser for this provider, and is young enough."""
        if carrier is None or not NONCE.fullmatch(nonce):
            return False
        raw = decode(nonce)
        if not hmac.compare_digest(encode(raw), nonce):
            return False  # one nonce has one spelling
        fresh = -60 <= now - int.from_bytes(raw[:5]) <= LIFETIME
        return fresh and self._sealer.mac_matches("nonce", bound(raw[:16], carrier, provider), raw[16:])


def bound(said: bytes, carrier: Carrier, provider: str) -> bytes:
    return said + carrier.id + provider.encode()


def encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
