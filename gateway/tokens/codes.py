"""Authorization codes: sealed, not stored. What a code stands for travels in it; that it is used once, the session
that it leads to decides, whose id follows from the code's.
"""

from __future__ import annotations

import json
import secrets
import uuid
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest

from gateway.sealing import Sealer

LIFETIME = 60  # seconds
PURPOSE = "code"
LONGEST = 8192  # characters
SHORTEST_VERIFIER, LONGEST_VERIFIER = 43, 128  # characters (RFC 7636 section 4.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What a code stands for. Times are epoch seconds."""

    id: str
    client_id: str
    redirect_uri: str
    scope: str
    challenge: str
    nonce: str | None
    session_id: str  # the browser session that it was given to
    account_id: str
    issued_at: int

    def expired(self, now: int) -> bool:
        return now >= self.issued_at + LIFETIME

    def proven_by(self, verifier: str) -> bool:
        """Whether this is the verifier of the challenge (RFC 7636 section 4.6)."""
        if not SHORTEST_VERIFIER <= len(verifier) <= LONGEST_VERIFIER or not verifier.isascii():
            return False
        found = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        return compare_digest(found, self.challenge)


class Codes:
    """Seals and opens codes."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def seal(self, **what: str | int | None) -> str:
        """A new code for what the fields of `Code` say, without its id."""
        code = {"id": secrets.token_hex(16), **what}
        return self._sealer.seal(PURPOSE, json.dumps(code).encode()).decode()

    def open(self, value: str) -> Code | None:
        """None for whatever we did not seal as a code. Whether it still counts is for the caller to ask."""
        if len(value) > LONGEST or not value.isascii():
            return None
        opened = self._sealer.open(PURPOSE, value.encode())
        return Code(**json.loads(opened)) if opened else None

    def session_of(self, code: Code) -> uuid.UUID:
        """The id of the one session that this code can lead to: the same whatever secret keys a process has."""
        return uuid.UUID(bytes=sha256(f"grant:{code.id}".encode()).digest()[:16])

    def sid(self, session_id: str, client_id: str) -> str:
        """Under which name an application knows a browser session: no two applications under the same."""
        return self._sealer.mac("sid", f"{session_id}:{client_id}".encode())[:16].hex()
