"""The feed of ended sessions, for APIs that check access tokens by themselves (`gateway.resource`). No database.

Published is the first half of the SHA-256 of each session's id: an API that holds a token can look it up, and nobody
learns an id, or anything but how many sessions have ended lately.
"""

from __future__ import annotations

import hashlib
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import Unavailable
from gateway.sessions.ended import EndedSessions

from .parts import Parts, parts_of

MARK = 16  # bytes of a digest


@dataclass(frozen=True, slots=True)
class Edition:
    """The feed as it stands: asked for every two seconds by each process of each API, made when something ends."""

    version: tuple[float, int, int]
    body: bytes
    etag: str


class Feed:
    def __init__(self, ended: EndedSessions, clock: Callable[[], float] = time.time) -> None:
        self._ended = ended
        self._clock = clock
        self._marks: Mapping[UUID, str] = {}
        self._edition: Edition | None = None

    def edition(self) -> Edition:
        """The same for every process that knows the same ends, so that an ETag serves at each."""
        version = self._ended.version()
        if self._edition is None or self._edition.version != version:
            known = self._marks
            self._marks = {one: known.get(one) or mark(one) for one in self._ended.all()}
            marks = sorted(self._marks.values())
            digest = hashlib.sha256("".join(marks).encode()).digest()[:MARK]
            body = json.dumps({"as_of": int(self._clock()), "ended": marks}, separators=(",", ":")).encode()
            self._edition = Edition(version, body, f'"{base64url(digest)}"')
        return self._edition


def mark(session_id: UUID) -> str:
    return base64url(hashlib.sha256(str(session_id).encode()).digest()[:MARK])


def base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


async def revocations(request: Request) -> Response:
    """GET /auth/revocations. Unavailable while this process itself does not know: no list is not an empty list."""
    parts: Parts = parts_of(request.scope)
    if not parts.ended.trustworthy():
        raise Unavailable("the list of ended sessions is too old")
    edition = parts.revocations.edition()
    headers = {"ETag": edition.etag, "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == edition.etag:
        return Response(status_code=304, headers=headers)
    return Response(edition.body, media_type="application/json", headers=headers)


routes = [Route("/auth/revocations", revocations)]
