"""`authorization_code` (OAuth 2.1 section 4.1.3): the code, by the application it was given to, with its verifier."""

from __future__ import annotations

from typing import Any

from starlette.types import Scope

from gateway.errors import InvalidGrant
from gateway.settings import AppSettings
from gateway.tokens.codes import Code
from gateway.web.client_auth import authenticate
from gateway.web.fields import Fields
from gateway.web.id_tokens import id_token_for
from gateway.web.origins import origin_of
from gateway.web.parts import Parts
from gateway.web.targets import check_target

from .answers import members


async def grant(parts: Parts, scope: Scope, asked: Fields) -> dict[str, Any]:
    app = await authenticate(parts, scope, asked)
    check_target(parts, app, asked)
    now = parts.now()
    code = proven(parts, app, asked, now)
    session = await parts.redemption.redeem(code, app, origin_of(parts, scope), now)
    pair = parts.renewal.issuer.issue(session, now)
    said = members(pair, refresh="offline_access" in pair.scope.split(" "))
    return said | id_token_for(parts, app, pair, now, nonce=code.nonce)


def proven(parts: Parts, app: AppSettings, asked: Fields, now: int) -> Code:
    """The code, if everything agrees that it was bound to. InvalidGrant: it is not spent by that."""
    code = parts.redemption.codes.open(asked.one("code"))
    if code is None:
        raise InvalidGrant("not a code of ours")
    if code.client_id != app.client_id:
        raise InvalidGrant("the code of another app")
    if code.redirect_uri != asked.get("redirect_uri"):
        raise InvalidGrant("another redirect_uri")
    if not code.proven_by(asked.one("code_verifier")):
        raise InvalidGrant("another code_verifier")
    if code.expired(now):
        raise InvalidGrant("the code is too old")
    return code
