"""The refresh token: derived from session id, counter and a server key; no row belongs to it.

    gwr_ base64url( version 1 byte │ session id 16 │ counter 8 │ HMAC-SHA256 32 )    80 characters, no padding

A copy of the database holds nothing that could be presented, and what nobody issued costs no database access. The HMAC
of an application's token covers its client_id as well: presented by another it is nothing.
"""

from __future__ import annotations

import struct
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from joserfc.util import urlsafe_b64decode

from gateway.sealing import Sealer

PURPOSE = "refresh"
GATEWAY = "gateway"  # the client of the browser's own session; its label is not in the HMAC
PREFIX = "gwr_"  # lets secret scanners and people see what it is
VERSION = 1
BODY = struct.Struct(">B16sQ")
LENGTH = len(PREFIX) + 76  # 57 bytes are exactly 76 characters: every value has one spelling
MAX_COUNTER = 2**62  # leaves room in a signed 64-bit column


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that once was ours to issue. Whether it still counts, the session's row says."""

    session_id: UUID
    counter: int


class RefreshTokens:
    """Writes and reads refresh tokens; the newest secret key signs, every one is believed."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def encode(self, session_id: UUID, counter: int, client_id: str = GATEWAY) -> str:
        body = BODY.pack(VERSION, session_id.bytes, counter)
        return PREFIX + urlsafe_b64encode(body + self._sealer.mac(PURPOSE, labelled(body, client_id))).decode("ascii")

    def decode(self, token: str, client_id: str = GATEWAY) -> Presented | None:
        """None for whatever we did not issue to this client: altered, cut, padded, spelled otherwise. No database
        access."""
        body, tag = split(token)
        if not body or not self._sealer.mac_matches(PURPOSE, labelled(body, client_id), tag):
            return None
        version, session_id, counter = BODY.unpack(body)
        if version != VERSION or counter >= MAX_COUNTER:
            return None
        return Presented(UUID(bytes=session_id), counter)

    def owner(self, token: str, client_ids: Iterable[str]) -> tuple[str, Presented] | None:
        """Which of these clients the token was issued to; for one that its presenter was not."""
        for client_id in client_ids:
            if found := self.decode(token, client_id):
                return client_id, found
        return None


def split(token: str) -> tuple[bytes, bytes]:
    """Body and tag; nothing where the token cannot be one of ours."""
    if len(token) != LENGTH or not token.startswith(PREFIX):
        return b"", b""
    try:
        raw = urlsafe_b64decode(token[len(PREFIX) :].encode("ascii"))
    except ValueError:
        return b"", b""
    return raw[: BODY.size], raw[BODY.size :]


def labelled(body: bytes, client_id: str) -> bytes:
    """The body has a fixed length, so the two cannot be confused."""
    return body if client_id == GATEWAY else body + client_id.encode()
