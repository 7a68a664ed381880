"""The way in: which provider, or straight on for somebody who is signed in or can be silently."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from gateway.errors import InvalidGrant, InvalidToken, NotSignedIn, UnknownProvider

from . import fields
from .callers import cookies_of, identify
from .pages import ProviderButton, SignInView
from .parts import Parts, parts_of
from .sign_in import known_hint, known_invitation
from .token import renew_browser, session_cookies, with_cookies

INVITED = "You have been invited. Choose how you want to sign in: that makes your account."


async def choose(request: Request) -> Response:
    """GET /auth/login: moves on when somebody is signed in or can be silently, else shows the providers."""
    parts, scope = parts_of(request.scope), request.scope
    asked = fields.query(scope)
    if asked.get("iss"):
        return third_party(parts, asked)
    target = parts.redirects.check(asked.get("redirect_to"))
    invitation = known_invitation(asked.get("invitation"))
    try:
        identify(parts, scope)
        return RedirectResponse(target, 302)
    except (NotSignedIn, InvalidToken):
        return await renew_or_show(parts, scope, target, sign_in_view(parts, target, invitation))


async def renew_or_show(parts: Parts, scope: Scope, target: str, view: SignInView) -> Response:
    if not cookies_of(scope).get(parts.cookies.refresh):
        return HTMLResponse(parts.pages.sign_in(view))
    try:
        pair = await renew_browser(parts, scope)
    except InvalidGrant:
        page = HTMLResponse(parts.pages.sign_in(view))
        return with_cookies(page, parts.cookies.clear_session())
    return with_cookies(RedirectResponse(target, 302), session_cookies(parts, pair))


def sign_in_view(parts: Parts, target: str, invitation: str) -> SignInView:
    """The page's links carry on where the person wants to go, and the invitation they came with."""
    carried = {} if target == parts.redirects.default else {"redirect_to": target}
    carried |= {"invitation": invitation} if invitation else {}
    query = f"?{urlencode(carried)}" if carried else ""
    return SignInView(
        notice=INVITED if invitation else None,
        buttons=tuple(
            ProviderButton(
                provider.name,
                provider.settings.label,
                f"{parts.base}/auth/{provider.name}/login{query}",
                provider.settings.preset,
            )
            for provider in parts.providers
        ),
    )


def third_party(parts: Parts, asked: fields.Fields) -> Response:
    """Login initiated by somebody else (OpenID Connect Core section 4): start the provider whose issuer that is."""
    provider = parts.providers.by_issuer(asked.one("iss"))
    if provider is None:
        raise UnknownProvider("no provider with that issuer")
    target = parts.redirects.check(asked.get("target_link_uri"))
    query = {"redirect_to": target} if target != parts.redirects.default else {}
    hint = known_hint(asked.get("login_hint"))
    query |= {"login_hint": hint} if hint else {}
    path = f"{parts.base}/auth/{provider.name}/login"
    return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 302)


async def list_providers(request: Request) -> Response:
    """GET /auth/providers, for sign-in pages of one's own."""
    parts = parts_of(request.scope)
    return JSONResponse(
        [
            {
                "name": provider.name,
                "label": provider.settings.label,
                "login_url": f"{parts.settings.public_url}/auth/{provider.name}/login",
            }
            for provider in parts.providers
        ]
    )


async def home(request: Request) -> Response:
    """GET /: the account page when signed in, else the sign-in page."""
    parts = parts_of(request.scope)
    try:
        identify(parts, request.scope)
        return RedirectResponse(f"{parts.base}/auth/account", 302)
    except (NotSignedIn, InvalidToken):
        return RedirectResponse(f"{parts.base}/auth/login", 302)


routes = [
    Route("/", home),
    Route("/auth/login", choose),
    Route("/auth/providers", list_providers),
]
