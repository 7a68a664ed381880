"""GET and POST /auth/userinfo: who somebody is, for an application with their access token (OIDC Core section 5.3)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.errors import InsufficientScope, NotSignedIn, RequestFault

from . import fields
from .callers import bearer, header, living
from .id_tokens import said_of
from .parts import parts_of


async def userinfo(request: Request) -> Response:
    """The claims that the token's scope asks for; `sub` as in the ID token. By the Authorization header alone."""
    parts = parts_of(request.scope)
    if fields.query(request.scope).get("access_token") is not None:
        raise RequestFault("an access token in the address (RFC 6750 section 2.3)")
    authorization = header(request.scope, b"authorization")
    if authorization is None:
        raise NotSignedIn("no access token")
    caller = living(parts, parts.access.verify_for_any(bearer(authorization)), by_cookie=False)
    claims = caller.claims
    scopes = claims.scope.split(" ")
    if "openid" not in scopes:
        raise InsufficientScope("a token without openid")
    found = await parts.whoami.look_up(caller.account_id, caller.session_id)
    facts = {
        "email": found.account.email,
        "email_verified": found.account.email_verified,
        "name": found.account.name,
        "picture": found.account.picture,
        "groups": found.session.facts.get("groups"),
    }
    return JSONResponse({"sub": claims.subject, **said_of(facts, scopes)})


routes = [Route("/auth/userinfo", userinfo, methods=["GET", "POST"])]
