"""A provider's own access token, for applications that call its APIs in a person's name."""

from __future__ import annotations

import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway import sessions
from gateway.errors import InsufficientScope, InvalidToken

from .callers import Caller, identify
from .parts import Parts, parts_of

SCOPE = "provider-tokens"  # no browser session has it: a page that somebody slips a script into must not get at it


async def provider_token(request: Request) -> Response:
    """GET /auth/<provider>/token: a live access token of that provider, refreshed when it is stale."""
    parts = parts_of(request.scope)
    caller = identify(parts, request.scope)
    if SCOPE not in caller.claims.scope.split(" "):
        raise InsufficientScope(f"needs {SCOPE}")
    name, now = request.path_params["provider"], parts.now()
    app = parts.settings.apps.get(caller.claims.client_id)
    if app and app.providers and name not in app.providers:
        raise InsufficientScope("not a provider of this app")
    prefer = await signed_in_through(parts, caller)
    tokens = await parts.provider_tokens.live(caller.account_id, name, now, prefer=prefer)
    body: dict[str, Any] = {"access_token": tokens.access_token, "token_type": "Bearer"}
    body |= {"expires_in": tokens.expires_at - now} if tokens.expires_at is not None else {}
    body |= {"scope": tokens.scope} if tokens.scope else {}
    return JSONResponse(body)


async def signed_in_through(parts: Parts, caller: Caller) -> uuid.UUID | None:
    """The identity that the caller's session came through. InvalidToken when the session has ended."""
    async with parts.database.read() as connection:
        session = await sessions.get(connection, caller.session_id, parts.now())
    if session is None:
        raise InvalidToken("the session has ended")
    return session.identity_id


routes = [Route("/auth/{provider}/token", provider_token, methods=["GET"])]
