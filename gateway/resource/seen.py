"""Tokens that were verified a moment ago, by the digest of the whole token: remembered until they expire, so many."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256

from .principal import Principal


@dataclass(frozen=True, slots=True)
class Verified:
    principal: Principal
    expires_at: int  # epoch seconds
    session: str | None  # as a feed of ended sessions would name it


class SeenTokens:
    """Two generations, so that the oldest go first and cheaply. Threads may share it: each step is one of a dict."""

    def __init__(self, size: int) -> None:
        self._half = max(1, size // 2)
        self._young: dict[bytes, Verified] = {}
        self._old: dict[bytes, Verified] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def get(self, digest: bytes) -> Verified | None:
        found = self._young.get(digest)
        if found is None and (found := self._old.pop(digest, None)) is not None:
            self.put(digest, found)
        return found

    def put(self, digest: bytes, verified: Verified) -> None:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[digest] = verified

    def clear(self) -> None:
        self._young, self._old = {}, {}


def session_mark(session_id: str) -> str:
    """How a feed of ended sessions names one: the first 128 bits of its SHA-256, so that it tells nobody its id."""
    return urlsafe_b64encode(sha256(session_id.encode()).digest()[:16]).rstrip(b"=").decode("ascii")
