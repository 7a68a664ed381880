"""What others may know about us: keys, metadata (RFC 8414), health."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.apps import PROMPTS

from .grants import GRANTS
from .parts import Parts, parts_of

PUBLIC = {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
AUTH_METHODS = ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
CLAIMS = ["sub", "auth_time", "sid", "email", "email_verified", "name", "picture", "groups"]
PATIENCE = 2  # seconds a readiness probe waits for the database


async def jwks(request: Request) -> Response:
    """GET /.well-known/jwks.json: the public halves of the next, current and previous signing keys."""
    keys = [key for keyring in parts_of(request.scope).keyrings for key in keyring.jwks()["keys"]]
    return JSONResponse({"keys": keys}, headers=PUBLIC)


async def metadata(request: Request) -> Response:
    """GET /.well-known/oauth-authorization-server and /.well-known/openid-configuration."""
    return Response(json.dumps(describe(parts_of(request.scope))), media_type="application/json", headers=PUBLIC)


def describe(parts: Parts) -> dict[str, object]:
    """What there is for applications (RFC 8414 section 2, OpenID Connect Discovery section 3)."""
    url, apps = parts.settings.public_url, parts.settings.apps.values()
    scopes = dict.fromkeys(scope for app in apps for scope in app.scopes)
    return {
        "issuer": url,
        "authorization_endpoint": f"{url}/auth/authorize",
        "token_endpoint": f"{url}/auth/token",
        "userinfo_endpoint": f"{url}/auth/userinfo",
        "end_session_endpoint": f"{url}/auth/end-session",
        "revocation_endpoint": f"{url}/auth/revoke",
        "introspection_endpoint": f"{url}/auth/introspect",
        "jwks_uri": f"{url}/.well-known/jwks.json",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": sorted(GRANTS),
        "token_endpoint_auth_methods_supported": AUTH_METHODS,
        "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
        "introspection_endpoint_auth_methods_supported": [name for name in AUTH_METHODS if name != "none"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "ES384", "ES512", "PS256", "RS256"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": list(scopes) or ["openid", "profile", "email"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted({"ES256", *(app.id_token_alg for app in apps)}),
        "claims_supported": CLAIMS,
        "prompt_values_supported": sorted(PROMPTS),
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "authorization_response_iss_parameter_supported": True,
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


async def live(_request: Request) -> Response:
    """GET /health/live: the process answers."""
    return JSONResponse({"status": "ok"})


async def ready(request: Request) -> Response:
    """GET /health/ready: database and keys; never waits for a provider."""
    parts = parts_of(request.scope)
    database, keys = await parts.database.answers(PATIENCE), all(keyring.ready for keyring in parts.keyrings)
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
