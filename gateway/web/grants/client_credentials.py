"""`client_credentials` (RFC 6749 section 4.4): a service's token for itself; no session, no refresh token."""

from __future__ import annotations

from typing import Any

from starlette.types import Scope

from gateway.errors import UnauthorizedClient
from gateway.tokens.access import service
from gateway.web.client_auth import authenticate
from gateway.web.fields import Fields
from gateway.web.parts import Parts
from gateway.web.targets import check_target

from .refresh_token import narrow


async def grant(parts: Parts, scope: Scope, asked: Fields) -> dict[str, Any]:
    app = await authenticate(parts, scope, asked)
    if app.type != "service":
        raise UnauthorizedClient(f"type = {app.type!r}")
    check_target(parts, app, asked)
    granted = narrow(asked.get("scope"), app.scopes) or " ".join(app.scopes)
    return {
        "access_token": parts.access.mint(service(app.client_id, granted, app.audience)),
        "token_type": "Bearer",
        "expires_in": parts.access.ttl,
        "scope": granted,
    }
