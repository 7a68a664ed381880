"""Tokens over HTTP: the token endpoint (RFC 6749 section 3.2), and the browser's own renewal.

Both are on the way of many requests, so they are plain ASGI: no Request object, no multipart machinery.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.errors import InvalidGrant, SessionOver, UnsupportedGrantType
from gateway.flows.renew import Pair
from gateway.tokens.signing import write

from . import fields
from .callers import browser_mark, presented, same_site
from .grants import GRANTS
from .grants.refresh_token import renew
from .parts import Parts, parts_of
from .problems import answer


class Token:
    """POST /auth/token."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = parts_of(scope)
        body = await fields.read_body(receive, fields.LIMIT)
        asked = fields.form(scope["headers"], body)
        grant = GRANTS.get(asked.one("grant_type"))
        if grant is None:
            raise UnsupportedGrantType()
        response = json_response(await grant(parts, scope, asked))
        await response(scope, receive, send)


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
    return await renew(parts, scope, found)


def session_cookies(parts: Parts, pair: Pair) -> tuple[str, ...]:
    return parts.cookies.set_session(
        pair.access_token,
        pair.expires_in,
        pair.refresh_token,
        pair.refresh_expires_in,
        browser_mark(parts, pair.session.id),
    )


def with_cookies(response: Response, cookies: Iterable[str]) -> Response:
    for cookie in cookies:
        response.headers.append("set-cookie", cookie)
    return response


def json_response(body: dict[str, Any]) -> Response:
    return Response(write(body), media_type="application/json")


token, refresh = Token(), Refresh()

routes = [
    Route("/auth/token", token, methods=["POST"]),
    Route("/auth/refresh", refresh, methods=["POST"]),
]
