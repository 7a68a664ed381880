"""Signing out of the gateway, and of the provider where it has a page for that."""

from __future__ import annotations

import uuid
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from gateway import sessions
from gateway.errors import GatewayError, InvalidToken, NotSignedIn, UnknownProvider, UnsupportedMediaType

from . import fields
from .callers import cookies_of, identify, same_site
from .origins import origin_of
from .pages import ConfirmSignOutView, SignedOutView
from .parts import Parts, parts_of
from .problems import wants_page

TRUE = frozenset({"true", "1", "on"})


async def logout(request: Request) -> Response:
    """POST /auth/logout?everywhere=&provider=: ends the session, or all of the account's. Idempotent."""
    parts, scope = parts_of(request.scope), request.scope
    asked = await asked_for(request)
    found = presented_session(parts, scope)
    onward = await provider_page(parts, found) if found and asked["provider"] else None
    if found:
        await parts.sign_out.sign_out(found, asked["everywhere"], origin_of(parts, scope), parts.now())
    response = goodbye(parts, scope, asked["provider"], onward)
    for cookie in parts.cookies.clear_session():
        response.headers.append("set-cookie", cookie)
    return response


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


def presented_session(parts: Parts, scope: Scope) -> uuid.UUID | None:
    """The session to end: by access token, or by a refresh cookie when the access token has expired."""
    try:
        caller = identify(parts, scope)
        found: uuid.UUID | None = caller.session_id
        by_cookie = caller.by_cookie
    except (NotSignedIn, InvalidToken):
        presented = parts.refresh.decode(cookies_of(scope).get(parts.cookies.refresh, ""))
        found, by_cookie = (presented.session_id, True) if presented else (None, False)
    if by_cookie:
        same_site(parts, scope)
    return found


def goodbye(parts: Parts, scope: Scope, provider: bool, onward: str | None) -> Response:
    """204; with `provider` the place to go on to as JSON; for a form 303 to that place or the signed-out page."""
    local = f"{parts.settings.public_url}/auth/signed-out"
    if wants_page(scope):
        return RedirectResponse(onward or local, 303)
    if provider:
        return JSONResponse({"location": onward or local})
    return Response(status_code=204)


async def provider_page(parts: Parts, session_id: uuid.UUID) -> str | None:
    """The provider's end-session URL (OpenID Connect RP-Initiated Logout 1.0 section 2), or None without one."""
    async with parts.database.read() as connection:
        session = await sessions.get(connection, session_id, parts.now())
    if session is None:
        return None
    try:
        provider = parts.providers.get(session.provider)
        endpoint = (await provider.metadata()).get("end_session_endpoint")
    except (UnknownProvider, GatewayError):
        return None  # signing out here does not wait for a provider that cannot be reached
    if not isinstance(endpoint, str):
        return None
    query = {
        "post_logout_redirect_uri": f"{parts.settings.public_url}/auth/signed-out",
        "client_id": provider.settings.client_id,
    }
    id_token = parts.sealer.open("id-token", session.id_token) if session.id_token else None
    if id_token:
        query["id_token_hint"] = id_token.decode()
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"


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
