"""Revocation (RFC 7009) and introspection (RFC 7662): applications about tokens."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import InvalidClient, Unavailable

from . import fields
from .client_auth import authenticate, is_public
from .fields import Fields
from .origins import origin_of
from .parts import parts_of
from .token import json_response

NOT_ACTIVE = b'{"active":false}'  # and not a byte more, whatever the reason


async def revoke(request: Request) -> Response:
    """POST /auth/revoke: 200, whether or not there was something to revoke. A hint changes nothing."""
    parts, asked = parts_of(request.scope), await form(request)
    app = await authenticate(parts, request.scope, asked)
    await parts.tokens.revoke(app, asked.one("token"), origin_of(parts, request.scope), parts.now())
    return Response(status_code=200)


async def introspect(request: Request) -> Response:
    """POST /auth/introspect: what is true of a living token, to applications that can keep a secret."""
    parts, asked = parts_of(request.scope), await form(request)
    app = await authenticate(parts, request.scope, asked)
    if is_public(app):
        raise InvalidClient("an app that cannot prove itself")
    token = asked.one("token")
    if not parts.ended.trustworthy():
        raise Unavailable("the list of ended sessions is too old")
    found = await parts.tokens.inspect(app, token, parts.now())
    return json_response(dict(found)) if found else Response(NOT_ACTIVE, media_type="application/json")


async def form(request: Request) -> Fields:
    return fields.form(request.scope["headers"], await fields.read_body(request.receive, fields.LIMIT))


routes = [
    Route("/auth/revoke", revoke, methods=["POST"]),
    Route("/auth/introspect", introspect, methods=["POST"]),
]
