"""Redeem: an authorization code becomes an application's session, once.

code ──► browser session living, account enabled? ──► the session that this code leads to is there already?
             │ no: nothing                                 │ yes: the code was used before; that session ends
             ▼                                             ▼ no: it is made
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import accounts, events, sessions
from gateway.db import Database
from gateway.errors import InvalidGrant
from gateway.events import Event, Origin
from gateway.sessions import Opening, Session
from gateway.sessions.ended import EndedSessions
from gateway.settings import AppSettings
from gateway.tokens.codes import Code, Codes

MARGIN = 60  # seconds after its end until a token is surely dead for everybody


@dataclass(frozen=True, slots=True)
class Lives:
    """How long grants live, in seconds: with a refresh token, without, and what is given out last."""

    max_ttl: int
    idle_ttl: int
    access_ttl: int


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The grant; or none, because the code had been used and `ended` is what it had led to."""

    grant: Session | None = None
    ended: list[uuid.UUID] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Redemption:
    """The parts a redemption needs besides the code."""

    database: Database
    codes: Codes
    ended: EndedSessions
    lives: Lives

    async def redeem(self, code: Code, app: AppSettings, origin: Origin, now: int) -> Session:
        """The session of the application. InvalidGrant; that a code was used again ends what the first use got."""
        async with self.database.write() as connection:
            redeemed = await self._redeem(connection, code, app, origin, now)
        self.ended.add(redeemed.ended)
        if redeemed.grant is None:
            raise InvalidGrant("the code was used before")
        return redeemed.grant

    async def _redeem(
        self, connection: AsyncConnection, code: Code, app: AppSettings, origin: Origin, now: int
    ) -> Redeemed:
        session_id, account_id = self.codes.session_of(code), uuid.UUID(code.account_id)
        account = await accounts.hold(connection, account_id)
        parent, grant = await sessions.hold_and_find(
            connection, account_id, uuid.UUID(code.session_id), session_id, now
        )
        if grant:
            return await self._reused(connection, session_id, code, origin, now)
        if account is None or account.disabled_at or account.merged_into:
            raise InvalidGrant("the account is not there any more")
        if parent is None:
            raise InvalidGrant("the browser session has ended")
        if app.providers and parent.provider not in app.providers:
            raise InvalidGrant("the app does not take this provider")
        return await self._grant(connection, session_id, parent, code, origin, now)

    async def _reused(
        self, connection: AsyncConnection, session_id: uuid.UUID, code: Code, origin: Origin, now: int
    ) -> Redeemed:
        ended = await sessions.end(connection, session_id, reason="code_reuse", now=now)
        reused = Event(
            "code_reuse", uuid.UUID(code.account_id), session_id, ended.provider if ended else None, about(code)
        )
        await events.record(connection, reused, origin, now)
        return Redeemed(ended=[session_id])

    async def _grant(
        self, connection: AsyncConnection, session_id: uuid.UUID, parent: Session, code: Code, origin: Origin, now: int
    ) -> Redeemed:
        offline = "offline_access" in code.scope.split(" ")
        grant = sessions.new(
            account_id=parent.account_id,
            identity_id=parent.identity_id,
            client_id=code.client_id,
            provider=parent.provider,
            auth_time=parent.auth_time,
            expires_at=now + (self.lives.max_ttl if offline else self.lives.idle_ttl),
            user_agent=parent.user_agent,
            ip=origin.ip,
            facts=self._facts(parent, code),
            scope=code.scope,
            session_id=session_id,
            parent_id=parent.id,
            now=now,
        )
        granted = Event("app_signed_in", grant.account_id, grant.id, grant.provider, about(code))
        dead = now - self.lives.access_ttl - MARGIN
        ended = await sessions.open_grant(connection, Opening(grant, granted, origin, now), dead)
        return Redeemed(grant, [one.id for one in ended])

    def _facts(self, parent: Session, code: Code) -> dict[str, Any]:
        """What role rules look at, and under which name the application knows the browser's session."""
        return {**parent.facts, "sid": self.codes.sid(code.session_id, code.client_id)}


def about(code: Code) -> dict[str, str]:
    return {"client": code.client_id}
