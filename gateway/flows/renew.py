"""Renew: a refresh token becomes the next pair. What the presentation comes to is decided in `sessions.rotation`."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from gateway import events
from gateway.db import Database
from gateway.errors import InvalidGrant, InvalidScope
from gateway.events import Event, EventName, Origin
from gateway.sessions.ended import EndedSessions
from gateway.sessions.rotation import FastForwarded, Outcome, Reused, Unknown
from gateway.settings import RoleRule
from gateway.tokens.access import AccessGrant, AccessTokens
from gateway.tokens.refresh import Presented, RefreshTokens

from .roles import roles_for

LONGEST_NAME = 100  # characters
LONGEST_TOKEN = 3000  # characters: a cookie holds 4096 bytes with its name, and headers of requests have an end, too
NO_EMAIL: dict[str, Any] = {"email": None, "email_verified": None}

# What is left out of a token that would be too long, until it fits. The last are roles: without any, whatever asks for
# one denies, whereas a part of them would deny at random.
SPARED: tuple[dict[str, Any], ...] = (
    {},
    {"groups": None},
    {"groups": None, "name": None},
    {"groups": None, "name": None, **NO_EMAIL},
    {"groups": None, "name": None, **NO_EMAIL, "roles": ()},
)

logger = logging.getLogger(__name__)


class Issuable(Protocol):
    """What a pair is made from: a session, or the row a rotation returned."""

    @property
    def id(self) -> uuid.UUID: ...
    @property
    def account_id(self) -> uuid.UUID: ...
    @property
    def client_id(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def auth_time(self) -> int: ...
    @property
    def expires_at(self) -> int: ...
    @property
    def scope(self) -> str: ...
    @property
    def current(self) -> int: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Pair:
    """What a renewal or a sign-in hands out. Lives in seconds."""

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)
    refresh_expires_in: int
    scope: str
    session_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Issuer:
    """Makes pairs: the signer, the refresh tokens, the role rules, and the lives of both."""

    access: AccessTokens
    refresh: RefreshTokens
    roles: Sequence[RoleRule]
    idle_ttl: int

    def issue(self, session: Issuable, now: int, scope: str | None = None) -> Pair:
        scope = scope or session.scope
        grant = AccessGrant(
            subject=str(session.account_id),
            session_id=session.id,
            auth_time=session.auth_time,
            idp=session.provider,
            client_id=session.client_id,
            scope=scope,
            roles=roles_for(session.provider, session.facts, self.roles),
            not_after=session.expires_at,
            **personal(session.facts, scope.split(" ")),
        )
        return Pair(
            access_token=self._mint(grant),
            expires_in=min(self.access.ttl, session.expires_at - now),
            refresh_token=self.refresh.encode(session.id, session.current),
            refresh_expires_in=min(self.idle_ttl, session.expires_at - now),
            scope=scope,
            session_id=session.id,
        )

    def _mint(self, grant: AccessGrant) -> str:
        """A token that fits a cookie."""
        for spared in SPARED:
            said = replace(grant, **spared)
            token = self.access.mint(said)
            if len(token) <= LONGEST_TOKEN:
                break
        if said.roles != grant.roles:
            fields = {"session": str(grant.session_id), "roles": len(grant.roles)}
            logger.warning("roles_left_out", extra={"fields": fields})
        return token


def personal(facts: Mapping[str, Any], scopes: Sequence[str]) -> dict[str, Any]:
    """What the token may say of the person: only what its scope asks for (OpenID Connect Core section 5.4)."""
    said: dict[str, Any] = {}
    if "email" in scopes and facts.get("email"):
        said |= {"email": facts["email"], "email_verified": facts["email_verified"]}
    if "profile" in scopes and facts.get("name"):
        said["name"] = facts["name"][:LONGEST_NAME]
    if "groups" in scopes:
        said["groups"] = tuple(facts["groups"])
    return said


class Rotates(Protocol):
    """Presents a refresh token to the database: `sessions.queue`, or somebody who watches it."""

    async def rotate(self, presented: Presented) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Renewal:
    """The parts a renewal needs besides the token."""

    database: Database
    rotations: Rotates
    ended: EndedSessions
    issuer: Issuer

    def decode(self, token: str) -> Presented:
        """What a refresh token names; InvalidGrant for one that we never issued. No database access."""
        presented = self.issuer.refresh.decode(token)
        if presented is None:
            raise InvalidGrant("not a refresh token of ours")
        return presented

    async def renew(self, presented: Presented, origin: Origin, now: int, scope: str | None = None) -> Pair:
        """The next pair for a refresh token, its access token with the narrower `scope` if one is given.

        InvalidGrant for a token that does not count any longer, or not again.
        """
        outcome = await self.rotations.rotate(presented)
        match outcome:
            case Unknown():
                raise InvalidGrant("no such session, or it has ended")
            case Reused():
                self.ended.add([outcome.session.id])
                await self._record("refresh_reuse", outcome.session, origin, now)
                raise InvalidGrant("a refresh token was used again; its session has ended")
            case FastForwarded():
                await self._record("refresh_fast_forward", outcome.session, origin, now)
            case _:
                pass
        if scope and not set(scope.split(" ")) <= set(outcome.session.scope.split(" ")):
            raise InvalidScope("more than this session was granted")
        return self.issuer.issue(outcome.session, now, scope)

    async def _record(self, name: EventName, session: Issuable, origin: Origin, now: int) -> None:
        async with self.database.write() as connection:
            event = Event(name, session.account_id, session.id, session.provider)
            await events.record(connection, event, origin, now)
