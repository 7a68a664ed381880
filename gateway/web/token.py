"""Renewing over HTTP: the token endpoint's refresh grant (RFC 6749 section 6), and the browser's own renewal.

Both are on the way of many requests, so they are plain ASGI: no Request object, no multipart machinery.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.errors import InvalidClient, InvalidGrant, InvalidScope, SessionOver, UnsupportedGrantType
from gateway.flows.admit import SCOPE
from gateway.flows.renew import Pair
from gateway.tokens.refresh import Presented

from . import fields
from .callers import browser_mark, presented, same_site
from .origins import origin_of
from .parts import Parts, parts_of
from .problems import answer


class Token:
    """POST /auth/token."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = parts_of(scope)
        body = await fields.read_body(receive, fields.LIMIT)
        asked = fields.form(scope["headers"], body)
        response = await grant(parts, scope, asked)
        await response(scope, receive, send)


async def grant(parts: Parts, scope: Scope, asked: fields.Fields) -> Response:
    if asked.one("grant_type") != "refresh_token":
        raise UnsupportedGrantType()
    if asked.get("client_id") or any(name == b"authorization" for name, _ in scope["headers"]):
        raise InvalidClient("no such app")
    narrowed = narrow(asked.get("scope"))
    pair = await renew(parts, scope, asked.one("refresh_token"), narrowed)
    return json_response(
        {
            "access_token": pair.access_token,
            "token_type": "Bearer",
            "expires_in": pair.expires_in,
            "refresh_token": pair.refresh_token,
            "scope": pair.scope,
        }
    )


def narrow(asked: str | None) -> str | None:
    """The scope of this access token: what was asked, if it is within what was granted (RFC 6749 section 6)."""
    if not asked:
        return None
    if not set(asked.split(" ")) <= set(SCOPE.split(" ")):
        raise InvalidScope("more than was granted")
    return asked


async def renew(parts: Parts, scope: Scope, token: str, narrowed: str | None = None) -> Pair:
    """The next pair. InvalidGrant; RateLimited for one session that renews without end."""
    return await renew_presented(parts, scope, parts.renewal.decode(token), narrowed)


async def renew_presented(parts: Parts, scope: Scope, presented: Presented, narrowed: str | None = None) -> Pair:
    await parts.limiter.check("session", str(presented.session_id), parts.clock())
    return await parts.renewal.renew(presented, origin_of(parts, scope), parts.now(), narrowed)


class Refresh:
    """POST /auth/refresh: renews the cookie session; what cannot be renewed loses its cookies."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await renew_cookies(parts_of(scope), scope)
        await response(scope, receive, send)


async def renew_cookies(parts: Parts, scope: Scope) -> Response:
    same_site(parts, scope)
    try:
        pair = await renew_browser(parts, scope)
    except InvalidGrant as error:
        return answer(scope, SessionOver(error.cause), set_cookies=parts.cookies.clear_session())
    return with_cookies(json_response({"expires_in": pair.expires_in}), session_cookies(parts, pair))


async def renew_browser(parts: Parts, scope: Scope) -> Pair:
    """The next pair of this browser's own session. InvalidGrant when it has none, or none any more."""
    found = presented(parts, scope)
    if found is None:
        raise InvalidGrant("no refresh cookie of a session of this browser")
    return await renew_presented(parts, scope, found)


def session_cookies(parts: Parts, pair: Pair) -> tuple[str, ...]:
    return parts.cookies.set_session(
        pair.access_token,
        pair.expires_in,
        pair.refresh_token,
        pair.refresh_expires_in,
        browser_mark(parts, pair.session_id),
    )


def with_cookies(response: Response, cookies: Iterable[str]) -> Response:
    for cookie in cookies:
        response.headers.append("set-cookie", cookie)
    return response


def json_response(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body, separators=(",", ":")), media_type="application/json")


token, refresh = Token(), Refresh()

routes = [
    Route("/auth/token", token, methods=["POST"]),
    Route("/auth/refresh", refresh, methods=["POST"]),
]
