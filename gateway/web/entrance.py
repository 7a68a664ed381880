"""The way in: which provider, or straight on for somebody who is signed in or can be silently."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from gateway.errors import InvalidGrant, InvalidToken, NotSignedIn, RequestFault, UnknownProvider
from gateway.tokens.access import AccessClaims

from . import fields
from .callers import cookies_of, identify
from .pages import ProviderButton, SignInView
from .parts import Parts, parts_of
from .sign_in import known_hint, known_invitation
from .token import renew_browser, session_cookies, with_cookies

INVITED = "You have been invited. Choose how you want to sign in: that makes your account."
AGAIN = "Please sign in again, to confirm that it is you."
AGE = re.compile(r"[0-9]{1,9}", re.ASCII)


async def choose(request: Request) -> Response:
    """GET /auth/login: moves on when somebody is signed in or can be silently, else shows the providers.

    With `max_age` only who signed in within so many seconds moves on; a renewal makes no sign-in younger.
    """
    parts, scope = parts_of(request.scope), request.scope
    asked = fields.query(scope)
    if asked.get("iss"):
        return third_party(parts, asked)
    target = parts.redirects.check(asked.get("redirect_to"))
    max_age = known_age(asked.get("max_age"))
    view = sign_in_view(parts, target, known_invitation(asked.get("invitation")), again=max_age is not None)
    try:
        claims = identify(parts, scope).claims
    except (NotSignedIn, InvalidToken):
        return await renew_or_show(parts, scope, target, view, max_age)
    return RedirectResponse(target, 302) if is_young(parts, claims, max_age) else show(parts, view)


async def renew_or_show(parts: Parts, scope: Scope, target: str, view: SignInView, max_age: int | None) -> Response:
    if not cookies_of(scope).get(parts.cookies.refresh):
        return show(parts, view)
    try:
        pair = await renew_browser(parts, scope)
    except InvalidGrant:
        return with_cookies(show(parts, view), parts.cookies.clear_session())
    young = max_age is None or is_young(parts, parts.access.verify(pair.access_token), max_age)
    response = RedirectResponse(target, 302) if young else show(parts, view)
    return with_cookies(response, session_cookies(parts, pair))


def show(parts: Parts, view: SignInView) -> Response:
    return HTMLResponse(parts.pages.sign_in(view))


def is_young(parts: Parts, claims: AccessClaims, max_age: int | None) -> bool:
    return max_age is None or parts.clock() - claims.auth_time <= max_age


def known_age(max_age: str | None) -> int | None:
    if max_age is None:
        return None
    if AGE.fullmatch(max_age):
        return int(max_age)
    raise RequestFault("max_age is no number of seconds")


def sign_in_view(parts: Parts, target: str, invitation: str, *, again: bool) -> SignInView:
    """The page's links carry on where the person wants to go, the invitation they came with, and whether the provider
    is to ask them `again`."""
    carried = {} if target == parts.redirects.default else {"redirect_to": target}
    carried |= {"invitation": invitation} if invitation else {}
    carried |= {"prompt": "login"} if again else {}
    query = f"?{urlencode(carried)}" if carried else ""
    return SignInView(
        notice=INVITED if invitation else AGAIN if again else None,
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
