"""The grant types of the token endpoint, by name. Each takes the request's fields and gives the answer's members."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.types import Scope

from gateway.web.fields import Fields
from gateway.web.parts import Parts

from . import authorization_code, client_credentials, refresh_token, token_exchange

Grant = Callable[[Parts, Scope, Fields], Awaitable[dict[str, Any]]]

GRANTS: Mapping[str, Grant] = {
    "authorization_code": authorization_code.grant,
    "refresh_token": refresh_token.grant,
    "client_credentials": client_credentials.grant,
    "urn:ietf:params:oauth:grant-type:token-exchange": token_exchange.grant,
}
