"""What others may know about us: keys, metadata (RFC 8414), health."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .parts import Parts, parts_of

PUBLIC = {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
PATIENCE = 2  # seconds a readiness probe waits for the database


async def jwks(request: Request) -> Response:
    """GET /.well-known/jwks.json: the public halves of the next, current and previous signing keys."""
    return JSONResponse(parts_of(request.scope).keyring.jwks(), headers=PUBLIC)


async def metadata(request: Request) -> Response:
    """GET /.well-known/oauth-authorization-server and /.well-known/openid-configuration."""
    return Response(json.dumps(describe(parts_of(request.scope))), media_type="application/json", headers=PUBLIC)


def describe(parts: Parts) -> dict[str, object]:
    """Only what is there: renewal of tokens; there is no authorization endpoint for apps."""
    url = parts.settings.public_url
    return {
        "issuer": url,
        "jwks_uri": f"{url}/.well-known/jwks.json",
        "token_endpoint": f"{url}/auth/token",
        "token_endpoint_auth_methods_supported": ["none"],
        "grant_types_supported": ["refresh_token"],
        "response_types_supported": [],
        "scopes_supported": ["openid", "profile", "email"],
    }


async def live(_request: Request) -> Response:
    """GET /health/live: the process answers."""
    return JSONResponse({"status": "ok"})


async def ready(request: Request) -> Response:
    """GET /health/ready: database and keys; never waits for a provider."""
    parts = parts_of(request.scope)
    database, keys = await parts.database.answers(PATIENCE), parts.keyring.ready
    good = database and keys
    status = "ok" if good else "unavailable"
    return JSONResponse({"status": status, "database": database, "keys": keys}, 200 if good else 503)


routes = [
    Route("/.well-known/jwks.json", jwks),
    Route("/.well-known/oauth-authorization-server", metadata),
    Route("/.well-known/openid-configuration", metadata),
    Route("/health/live", live),
    Route("/health/ready", ready),
]
