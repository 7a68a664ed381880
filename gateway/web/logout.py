"""Signing out of the gateway, and of the provider where it has a page for that."""

from __future__ import annotations

import uuid

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from gateway import sessions
from gateway.errors import GatewayError, InvalidGrant, InvalidToken, NotSignedIn, UnsupportedMediaType
from gateway.flows import posted

from . import fields
from .callers import cookies_of, identify, identify_owner, same_site
from .origins import origin_of
from .pages import ConfirmSignOutView, SignedOutView
from .parts import Parts, parts_of
from .problems import wants_page
from .token import renew_browser, with_cookies

TRUE = frozenset({"true", "1", "on"})


async def logout(request: Request) -> Response:
    """POST /auth/logout?everywhere=&provider=: ends the session, or all of the account's. Idempotent."""
    parts, scope = parts_of(request.scope), request.scope
    asked = await asked_for(request)
    found = await own_session(parts, scope)
    session = await read_session(parts, found) if found and asked["provider"] else None
    if found:
        await parts.sign_out.sign_out(found, asked["everywhere"], origin_of(parts, scope), parts.now())
    response = goodbye(parts, scope, asked["provider"], await provider_page(parts, session) if session else None)
    return with_cookies(response, parts.cookies.clear_session())


async def asked_for(request: Request) -> dict[str, bool]:
    """The two switches, from the query or a form's fields."""
    query = fields.query(request.scope)
    try:
        form = fields.form(request.scope["headers"], await fields.read_body(request.receive, fields.LIMIT))
    except UnsupportedMediaType:
        form = None
    asked = {}
    for name in ("everywhere", "provider"):
        value = query.get(name) or (form.get(name) if form else None) or ""
        asked[name] = value.lower() in TRUE
    return asked


async def own_session(parts: Parts, scope: Scope) -> uuid.UUID | None:
    """The session to end: by access token, or by a refresh cookie, which is spent for that as for a renewal.

    Whatever a bearer token does not prove must come from our own pages: without that also the answer's cookies,
    which a browser would forget its own for, are refused to another site.
    """
    try:
        caller = identify_owner(parts, scope)
        if not caller.by_cookie:
            return caller.session_id
    except (NotSignedIn, InvalidToken):
        caller = None
    same_site(parts, scope)
    if caller:
        return caller.session_id
    try:
        return (await renew_browser(parts, scope)).session.id
    except InvalidGrant:
        return None


async def read_session(parts: Parts, session_id: uuid.UUID) -> sessions.Session | None:
    async with parts.database.read() as connection:
        return await sessions.get(connection, session_id, parts.now())


def goodbye(parts: Parts, scope: Scope, provider: bool, onward: str | None) -> Response:
    """204; with `provider` the place to go on to as JSON; for a form 303 to that place or the signed-out page."""
    local = f"{parts.settings.public_url}/auth/signed-out"
    if wants_page(scope):
        return RedirectResponse(onward or local, 303)
    if provider:
        return JSONResponse({"location": onward or local})
    return Response(status_code=204)


async def provider_page(parts: Parts, session: sessions.Session) -> str | None:
    """The provider's end-session URL (OpenID Connect RP-Initiated Logout 1.0 section 2), or None without one."""
    opened = parts.sealer.open("id-token", session.id_token) if session.id_token else None
    hint = opened.decode() if opened else None
    try:
        provider = parts.providers.get(session.provider)
        if hint:
            await posted.withhold(parts.database, provider, hint, parts.now())
        return await provider.end_session_url(f"{parts.settings.public_url}/auth/signed-out", hint)
    except GatewayError:
        return None  # signed out here all the same


async def confirm(request: Request) -> Response:
    """GET /auth/logout changes nothing: it asks."""
    parts = parts_of(request.scope)
    try:
        identify(parts, request.scope)
    except (NotSignedIn, InvalidToken):
        if not cookies_of(request.scope).get(parts.cookies.refresh):
            return RedirectResponse(f"{parts.base}/auth/signed-out", 302)
    view = ConfirmSignOutView(back_href=f"{parts.base}/auth/account")
    return HTMLResponse(parts.pages.confirm_sign_out(view))


async def signed_out(request: Request) -> Response:
    """GET /auth/signed-out: where a provider's end-session page returns to. Parameters are not looked at."""
    parts = parts_of(request.scope)
    return HTMLResponse(parts.pages.signed_out(SignedOutView(sign_in_href=f"{parts.base}/auth/login")))


routes = [
    Route("/auth/logout", confirm, methods=["GET"]),
    Route("/auth/logout", logout, methods=["POST"]),
    Route("/auth/signed-out", signed_out),
]
