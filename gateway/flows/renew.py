"""Renew: a refresh token becomes the next pair. What the presentation comes to is decided in `sessions.rotation`."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from gateway import events, sessions
from gateway.db import Database
from gateway.errors import InvalidGrant, InvalidScope
from gateway.events import Event, EventName, Origin
from gateway.sessions.ended import EndedSessions
from gateway.sessions.rotation import FastForwarded, Outcome, Replayed, Reused, Rotated, Superseded, Unknown
from gateway.settings import AppSettings, RoleRule
from gateway.tokens.access import AccessGrant, AccessTokens
from gateway.tokens.refresh import GATEWAY, Presented, RefreshTokens

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

Made = TypeVar("Made")

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
    """What a renewal or a sign-in hands out, and the session it was made from. Lives in seconds."""

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)
    refresh_expires_in: int
    scope: str
    session: Issuable = field(repr=False)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Makes pairs: the signer, the refresh tokens, the role rules, and the lives of both."""

    access: AccessTokens
    refresh: RefreshTokens
    roles: Sequence[RoleRule]
    idle_ttl: int
    apps: Mapping[str, AppSettings] = field(default_factory=dict)

    def issue(self, session: Issuable, now: int, scope: str | None = None) -> Pair:
        scope = session.scope if scope is None else scope
        grant = AccessGrant(
            subject=str(session.account_id),
            session_id=session.id,
            auth_time=session.auth_time,
            idp=session.provider,
            client_id=session.client_id,
            audience=app.audience if (app := self.apps.get(session.client_id)) else None,
            scope=scope,
            roles=roles_for(session.provider, session.facts, self.roles),
            not_after=session.expires_at,
            **personal(session.facts, scope.split(" ")),
        )
        return Pair(
            access_token=self._mint(grant),
            expires_in=min(self.access.ttl, session.expires_at - now),
            refresh_token=self.refresh.encode(session.id, session.current, session.client_id),
            refresh_expires_in=min(self.idle_ttl, session.expires_at - now),
            scope=scope,
            session=session,
        )

    def _mint(self, grant: AccessGrant) -> str:
        """A token that fits a cookie."""
        for spared in SPARED:
            said = replace(grant, **spared) if spared else grant
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

    async def rotate(self, presented: Presented, client_id: str, then: Callable[[Outcome], Made]) -> Made: ...


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

    async def decode_for(self, app: AppSettings, token: str, origin: Origin, now: int) -> Presented:
        """As `decode`, for an application. That another client's token was presented is worth an event."""
        refresh = self.issuer.refresh
        if presented := refresh.decode(token, app.client_id):
            return presented
        if stolen := refresh.owner(token, (GATEWAY, *self.issuer.apps)):
            owner, found = stolen
            detail = {"client": app.client_id, "owner": owner}
            await self._record(Event("refresh_wrong_client", None, found.session_id, None, detail), origin, now)
        raise InvalidGrant("not a refresh token of this app")

    async def renew(
        self,
        presented: Presented,
        origin: Origin,
        now: int,
        scope: str | None = None,
        app: AppSettings | None = None,
    ) -> Pair:
        """The next pair for a refresh token, its access token with the narrower `scope` if one is given.

        InvalidGrant for a token that does not count any longer, or not again, or whose provider the application does
        not take any more.
        """

        def finish(outcome: Outcome) -> Pair | Outcome:
            """The pair, where the database need not be asked again: made beside those of others (`Batches.ask`)."""
            match outcome:
                case Rotated() | Replayed() | Superseded() if takes(app, outcome.session):
                    return self._issue(outcome.session, now, scope, app)
                case _:
                    return outcome

        outcome = await self.rotations.rotate(presented, app.client_id if app else GATEWAY, finish)
        match outcome:
            case Pair():
                return outcome
            case Unknown():
                raise InvalidGrant("no such session, or it has ended")
            case Reused():
                await self._end_grants(outcome.session, origin, now)
                raise InvalidGrant("a refresh token was used again; its session has ended")
            case FastForwarded():
                await self._record(about("refresh_fast_forward", outcome.session), origin, now)
            case _:
                pass
        if not takes(app, outcome.session):
            await self._end(outcome.session, origin, now)
            raise InvalidGrant("the app does not take this provider any more")
        return self._issue(outcome.session, now, scope, app)

    def _issue(self, session: Issuable, now: int, scope: str | None, app: AppSettings | None) -> Pair:
        granted = within(session.scope, app)
        if scope is not None and not set(scope.split(" ")) <= set(granted.split(" ")):
            raise InvalidScope("more than this session was granted")
        return self.issuer.issue(session, now, granted if scope is None else scope)

    async def _end_grants(self, session: Issuable, origin: Origin, now: int) -> None:
        """A reuse has ended the session; what it had given to applications ends as well."""
        async with self.database.write() as connection:
            ended = await sessions.end_grants(connection, session.id, reason="refresh_reuse", now=now)
            await sessions.tell(connection, [session], now)
            await events.record(connection, about("refresh_reuse", session), origin, now)
        self.ended.add([session.id, *ended])

    async def _end(self, session: Issuable, origin: Origin, now: int) -> None:
        reason = "provider_not_allowed"
        async with self.database.write() as connection:
            if await sessions.end(connection, session.id, reason=reason, now=now):
                await events.record(connection, about("session_ended", session, reason=reason), origin, now)
        self.ended.add([session.id])

    async def _record(self, event: Event, origin: Origin, now: int) -> None:
        async with self.database.write() as connection:
            await events.record(connection, event, origin, now)


def takes(app: AppSettings | None, session: Issuable) -> bool:
    """Whether the application still lets this provider's people in."""
    return not (app and app.providers and session.provider not in app.providers)


def about(name: EventName, session: Issuable, **detail: str) -> Event:
    return Event(name, session.account_id, session.id, session.provider, detail)


def within(granted: str, app: AppSettings | None) -> str:
    """What was granted, less what the application may not ask for any more."""
    return granted if app is None else " ".join(one for one in granted.split(" ") if one in app.scopes)
