"""`refresh_token` (RFC 6749 section 6): of an application, which says who it is, or of the gateway's own session."""

from __future__ import annotations

from typing import Any

from starlette.types import Scope

from gateway.errors import InvalidScope, UnauthorizedClient
from gateway.flows.admit import SCOPE
from gateway.flows.renew import Pair
from gateway.settings import AppSettings
from gateway.tokens.refresh import Presented
from gateway.web.client_auth import authenticate, names_client
from gateway.web.fields import Fields
from gateway.web.id_tokens import id_token_for
from gateway.web.origins import origin_of
from gateway.web.parts import Parts
from gateway.web.targets import check_target

from .answers import members


async def grant(parts: Parts, scope: Scope, asked: Fields) -> dict[str, Any]:
    app = await authenticate(parts, scope, asked) if names_client(scope, asked) else None
    if app and app.type == "service":
        raise UnauthorizedClient("nobody signs in to a service")
    narrowed = narrow(asked.get("scope"), SCOPE.split(" ") if app is None else app.scopes)
    token = asked.one("refresh_token")
    if app is None:
        return members(await renew(parts, scope, parts.renewal.decode(token), narrowed), refresh=True)
    check_target(parts, app, asked)
    presented = await parts.renewal.decode_for(app, token, origin_of(parts, scope), parts.now())
    pair = await renew(parts, scope, presented, narrowed, app)
    return members(pair, refresh=True) | id_token_for(parts, app, pair, parts.now())


def narrow(asked: str | None, most: tuple[str, ...] | list[str]) -> str | None:
    """The scope of this access token: what was asked, if it is within what can have been granted."""
    if not asked:
        return None
    if not set(asked.split(" ")) <= set(most):
        raise InvalidScope("more than was granted")
    return asked


async def renew(
    parts: Parts, scope: Scope, presented: Presented, narrowed: str | None = None, app: AppSettings | None = None
) -> Pair:
    """The next pair. InvalidGrant; RateLimited for one session that renews without end."""
    await parts.limiter.check("session", str(presented.session_id), parts.clock())
    return await parts.renewal.renew(presented, origin_of(parts, scope), parts.now(), narrowed, app)
