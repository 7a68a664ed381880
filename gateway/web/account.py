"""The signed-in person's own view: who am I, my identities, my sessions; as JSON and as a page with forms."""

from __future__ import annotations

import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway import accounts, sessions
from gateway.accounts import Account, LinkedIdentity
from gateway.errors import InsufficientScope, InvalidToken, NotFound
from gateway.sessions import Session

from .callers import OWN, Caller, identify, identify_for_change, identify_owner
from .origins import origin_of
from .parts import Parts, parts_of
from .rows import back_to_page


class Me:
    """GET /auth/me; the token must have every scope that this tells of."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse(await told(parts_of(scope), scope))(scope, receive, send)


async def told(parts: Parts, scope: Scope) -> dict[str, Any]:
    caller = identify(parts, scope)
    if not caller.has_scopes(OWN):
        raise InsufficientScope("not the scope of a whole profile")
    found = await parts.whoami.look_up(caller.account_id, caller.session_id)
    account = found.account
    return {
        "id": str(account.id),
        "email": account.email,
        "email_verified": account.email_verified,
        "name": account.name,
        "picture": account.picture,
        "roles": list(caller.claims.roles),
        "created_at": account.created_at,
        "identities": [identity_json(identity) for identity in found.identities],
        "merged_from": [str(account_id) for account_id in found.merged],
        "session": session_json(found.session, caller),
    }


async def profile(parts: Parts, caller: Caller) -> tuple[Account, tuple[LinkedIdentity, ...]]:
    async with parts.database.read() as connection:
        found = await accounts.profile(connection, caller.account_id)
    if found is None:
        raise InvalidToken("the account is gone")
    return found


async def own_sessions(parts: Parts, caller: Caller) -> list[Session]:
    async with parts.database.read() as connection:
        idle_ttl = parts.settings.refresh_token_idle_ttl
        return await sessions.list_for(connection, caller.account_id, parts.now(), idle_ttl=idle_ttl)


def identity_json(identity: LinkedIdentity) -> dict[str, Any]:
    return {
        "id": str(identity.id),
        "provider": identity.provider,
        "issuer": identity.issuer,
        "subject": identity.subject,
        "email": identity.email,
        "email_verified": identity.email_verified,
        "linked_at": identity.linked_at,
        "last_used_at": identity.last_used_at,
    }


def session_json(session: Session, caller: Caller) -> dict[str, Any]:
    return {
        "id": str(session.id),
        "current": session.id == caller.session_id,
        "provider": session.provider,
        "app": None if session.parent_id is None else session.client_id,
        "created_at": session.created_at,
        "last_used_at": session.last_used_at,
        "user_agent": session.user_agent,
        "ip": session.ip,
    }


async def list_identities(request: Request) -> Response:
    """GET /auth/identities."""
    parts = parts_of(request.scope)
    _, identities = await profile(parts, identify_owner(parts, request.scope))
    return JSONResponse([identity_json(identity) for identity in identities])


async def list_sessions(request: Request) -> Response:
    """GET /auth/sessions: the living ones, last used first."""
    parts = parts_of(request.scope)
    caller = identify_owner(parts, request.scope)
    return JSONResponse([session_json(session, caller) for session in await own_sessions(parts, caller)])


async def end_session(request: Request) -> Response:
    """DELETE /auth/sessions/<id>: 204; a session of somebody else is not found."""
    await end_one(request)
    return Response(status_code=204)


async def end_session_form(request: Request) -> Response:
    """POST /auth/sessions/<id>/end, from the page."""
    await end_one(request)
    return back_to_page(parts_of(request.scope))


async def end_one(request: Request) -> None:
    parts = parts_of(request.scope)
    caller = identify_for_change(parts, request.scope)
    try:
        session_id = uuid.UUID(request.path_params["id"])
    except ValueError as error:
        raise NotFound("not a session id") from error
    origin = origin_of(parts, request.scope)
    await parts.sign_out.end_one(caller.account_id, session_id, origin, parts.now())


async def end_other_sessions(request: Request) -> Response:
    """DELETE /auth/sessions: ends all but the current one; 204."""
    await end_others(request)
    return Response(status_code=204)


async def end_other_sessions_form(request: Request) -> Response:
    """POST /auth/sessions/end-others, from the page."""
    await end_others(request)
    return back_to_page(parts_of(request.scope))


async def end_others(request: Request) -> None:
    parts = parts_of(request.scope)
    caller = identify_for_change(parts, request.scope)
    origin = origin_of(parts, request.scope)
    await parts.sign_out.end_others(caller.account_id, caller.session_id, origin, parts.now())


me = Me()

routes = [
    Route("/auth/me", me, methods=["GET"]),
    Route("/auth/identities", list_identities),
    Route("/auth/sessions", list_sessions, methods=["GET"]),
    Route("/auth/sessions", end_other_sessions, methods=["DELETE"]),
    Route("/auth/sessions/end-others", end_other_sessions_form, methods=["POST"]),
    Route("/auth/sessions/{id}", end_session, methods=["DELETE"]),
    Route("/auth/sessions/{id}/end", end_session_form, methods=["POST"]),
]
