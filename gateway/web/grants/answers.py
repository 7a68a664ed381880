"""What the token endpoint answers with (RFC 6749 section 5.1)."""

from __future__ import annotations

from typing import Any

from gateway.flows.renew import Pair


def members(pair: Pair, *, refresh: bool) -> dict[str, Any]:
    """The members of the answer; with the refresh token where the client may have one."""
    said: dict[str, Any] = {
        "access_token": pair.access_token,
        "token_type": "Bearer",
        "expires_in": pair.expires_in,
        "scope": pair.scope,
    }
    return said | {"refresh_token": pair.refresh_token} if refresh else said
