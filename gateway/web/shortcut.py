"""A shortcut for `GET /auth/verify`: who was let pass a moment ago is let pass again, without the way between.

                      ┌─ known and still true ──► the same answer, with an id of its own
    server ─► find ───┤
                      └─ anything else ─► envelope ─► … ─► Verify ─► passed() ─► remembered

What it buys: more than half of a check's cost, which is ASGI's and the writing of fifteen headers one by one. What the
answer depends on is in the key, a digest of the target and every Authorization and Cookie header. What changes with
time is looked at each time: the token's end, the keys, the ends of sessions. A request that brings anything that
nobody here has heard of goes the plain way, and so does whatever is not simply let pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from time import perf_counter
from uuid import UUID

from starlette.types import Message, Receive, Scope, Send

from gateway.logs import request_id
from gateway.sessions.ended import EndedSessions
from gateway.tokens.access import AccessClaims, AccessTokens
from gateway.tokens.recent import Recent

from .envelope import Envelope

PATH = "/auth/verify"
SIZE = 20_000  # answers remembered, of about a kilobyte each
KEY, NOTE = "gateway.shortcut.key", "gateway.shortcut.note"  # in a scope

DECISIVE = frozenset({b"authorization", b"cookie"})
# What `Verify` reads only where it does not simply let pass, and what nobody reads.
WITHOUT_WEIGHT = frozenset(
    b"host user-agent accept accept-encoding accept-language accept-charset referer dnt pragma cache-control via "
    b"forwarded priority upgrade-insecure-requests if-none-match if-modified-since x-requested-with x-real-ip "
    b"x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-uri x-forwarded-method x-forwarded-port "
    b"x-forwarded-server x-forwarded-prefix x-forwarded-scheme x-original-url x-original-uri x-original-method "
    b"sec-fetch-mode sec-fetch-site sec-fetch-dest sec-fetch-user sec-gpc "
    b"sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform".split()
)
OF_THE_MOMENT = (b"max_age", b"token", b"%")  # in a query: an age, a fresh signature, or who knows

RawHeaders = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Passed:
    """An answer that let somebody pass, and how long it is true."""

    headers: bytes
    session_id: UUID
    expires_at: int  # epoch seconds
    version: int  # of the keys


class Shortcut:
    """The outermost ASGI application, which remembers; and `find`, for a server that asks before it calls it."""

    def __init__(
        self,
        envelope: Envelope,
        access: AccessTokens,
        ended: EndedSessions,
        clock: Callable[[], float],
        *,
        base: str,
        size: int = SIZE,
    ) -> None:
        """`base`: the path of `public_url`, which a proxy may have taken away or not."""
        self._envelope = envelope
        self._access = access
        self._ended = ended
        self._clock = clock
        self._targets = frozenset({PATH.encode(), f"{base}{PATH}".encode()})
        self._recent: Recent[Passed] = Recent(size)

    def find(self, target: bytes, scope: Scope) -> bytes | None:
        """The headers of the answer to a GET, CRLF after each; it is then counted and in the log. None: go the plain
        way, by which the scope now leads to what will be remembered."""
        began = perf_counter()
        path, _, query = target.partition(b"?")
        if path not in self._targets:
            return None
        decisive, given = [target], None
        for name, value in scope["headers"]:
            if name in DECISIVE:
                decisive += name, value
            elif name == b"x-request-id":
                given = value
            elif name not in WITHOUT_WEIGHT and not (name == b"connection" and value.lower() == b"keep-alive"):
                return None
        key = sha256(b"\n".join(decisive)).digest()
        passed = self._recent.get(key)
        if passed is None or not self._is_true(passed):
            if query and any(word in query for word in OF_THE_MOMENT):
                return None
            scope[KEY] = key
            return None
        return passed.headers + self._tell(scope, given, began)

    def _is_true(self, passed: Passed) -> bool:
        return (
            passed.expires_at > self._clock()
            and passed.version == self._access.version
            and self._ended.trustworthy()
            and not self._ended.has(passed.session_id)
        )

    def _tell(self, scope: Scope, given: bytes | None, began: float) -> bytes:
        """Count the request and write its line; its id as a header."""
        scope["method"], scope["path"] = "GET", PATH
        name = self._envelope.name(scope, given)
        token = request_id.set(name)
        try:
            self._envelope.finish(scope, 200, 0, perf_counter() - began)
        finally:
            request_id.reset(token)
        return b"x-request-id: %b\r\n" % name.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = scope.get(KEY)
        if key is None:
            await self._envelope(scope, receive, send)
            return
        version, note, started = self._access.version, list[AccessClaims](), list[Message]()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.append(message)
            await send(message)

        await self._envelope({**scope, NOTE: note}, receive, noting)
        if note and note[0].session_id is not None:
            lines = b"".join(b"%b: %b\r\n" % pair for pair in started[0]["headers"] if pair[0] != b"x-request-id")
            self._recent.put(key, Passed(lines, note[0].session_id, note[0].exp, version))


def passed(scope: Scope, claims: AccessClaims) -> None:
    """To be told of a request that may pass, and would again."""
    note = scope.get(NOTE)
    if note is not None:
        note.append(claims)
