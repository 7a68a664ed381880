"""What an application may know and do about tokens: which are living (RFC 7662), and to end its own (RFC 7009)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway import events, sessions
from gateway.db import Database
from gateway.errors import InvalidToken, UnsupportedTokenType
from gateway.events import Event, Origin
from gateway.sessions.ended import EndedSessions
from gateway.settings import AppSettings
from gateway.tokens.access import AccessClaims, AccessTokens
from gateway.tokens.refresh import Presented, RefreshTokens

REVOKED = "revoked"  # end_reason


@dataclass(frozen=True, slots=True)
class TokenDesk:
    """The parts that know about tokens."""

    database: Database
    access: AccessTokens
    refresh: RefreshTokens
    ended: EndedSessions
    idle_ttl: int

    async def revoke(self, app: AppSettings, token: str, origin: Origin, now: int) -> None:
        """End the grant that one of the app's own tokens belongs to, with every token of it. Whatever is no living
        token of this app is left alone, and that is no error. UnsupportedTokenType for a service's token."""
        session_id = self._own_session(app, token)
        if session_id is None:
            return
        async with self.database.write() as connection:
            ended = await sessions.end(connection, session_id, reason=REVOKED, now=now)
            if ended is None:
                return
            detail = {"reason": REVOKED, "client": app.client_id}
            event = Event("session_ended", ended.account_id, session_id, ended.provider, detail)
            await events.record(connection, event, origin, now)
        self.ended.add([session_id])

    def _own_session(self, app: AppSettings, token: str) -> uuid.UUID | None:
        if presented := self.refresh.decode(token, app.client_id):
            return presented.session_id
        said = self._said_by(token)
        if said is None or said.client_id != app.client_id:
            return None
        if said.session_id is None:
            raise UnsupportedTokenType("nothing is kept of a service's token")
        return said.session_id

    async def inspect(self, app: AppSettings, token: str, now: int) -> Mapping[str, Any] | None:
        """What is true of a living token that the app may ask about: its own, or one meant for its audience."""
        if presented := self.refresh.decode(token, app.client_id):
            return await self._of_refresh(presented, app, now)
        said = self._said_by(token)
        if said is None or not concerns(app, said) or (said.session_id and self.ended.has(said.session_id)):
            return None
        return of_access(said, self.access.issuer)

    def _said_by(self, token: str) -> AccessClaims | None:
        try:
            return self.access.verify_for_any(token)
        except InvalidToken:
            return None

    async def _of_refresh(self, presented: Presented, app: AppSettings, now: int) -> Mapping[str, Any] | None:
        """A refresh token that has been replaced is not active, although it may be answered for a moment still."""
        async with self.database.read() as connection:
            found = await sessions.get(connection, presented.session_id, now)
        if found is None or presented.counter < found.current or found.last_used_at + self.idle_ttl <= now:
            return None
        return {
            "active": True,
            "client_id": app.client_id,
            "sub": str(found.account_id),
            "scope": found.scope,
            "iss": self.access.issuer,
            "exp": min(found.expires_at, found.last_used_at + self.idle_ttl),
            "sid": str(found.id),
        }


def concerns(app: AppSettings, said: AccessClaims) -> bool:
    """Whether the app may be told of this token: the one default audience of many makes none of them its judge."""
    return said.client_id == app.client_id or (app.audience is not None and app.audience in said.audience)


def of_access(said: AccessClaims, issuer: str) -> Mapping[str, Any]:
    """RFC 7662 section 2.2, in the words of the token itself."""
    known: dict[str, Any] = {
        "active": True,
        "token_type": "Bearer",
        "client_id": said.client_id,
        "sub": said.subject,
        "scope": said.scope,
        "iss": issuer,
        "aud": said.audience[0] if len(said.audience) == 1 else list(said.audience),
        "iat": said.iat,
        "exp": said.exp,
        "jti": said.jti,
    }
    if said.session_id is not None:
        known |= {"sid": str(said.session_id), "auth_time": said.auth_time, "idp": said.idp, "roles": said.roles}
    return known
