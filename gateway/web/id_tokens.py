"""What an ID token and the userinfo endpoint say of a person, by scope (OpenID Connect Core section 5.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.flows.renew import Pair
from gateway.settings import AppSettings

from .parts import Parts


def id_token_for(parts: Parts, app: AppSettings, pair: Pair, now: int, *, nonce: str | None = None) -> dict[str, Any]:
    """The ID token that goes with a pair, as a member of the answer; nothing where the scope has no `openid`.

    A later one says the same issuer, subject, audience and time of the sign-in as the first, and no nonce (section
    12.2).
    """
    session, scopes = pair.session, pair.scope.split(" ")
    if "openid" not in scopes:
        return {}
    claims: dict[str, Any] = {
        "sub": str(session.account_id),
        "aud": app.client_id,
        "auth_time": session.auth_time,
        "sid": session.facts["sid"],
        **said_of(session.facts, scopes),
    }
    if nonce:
        claims["nonce"] = nonce
    return {"id_token": parts.id_tokens.mint(app.id_token_alg, pair.access_token, now, claims)}


def said_of(facts: Mapping[str, Any], scopes: Sequence[str]) -> dict[str, Any]:
    """The claims that these scopes ask for."""
    said: dict[str, Any] = {}
    if "email" in scopes and facts.get("email"):
        said |= {"email": facts["email"], "email_verified": facts["email_verified"]}
    if "profile" in scopes:
        said |= {name: facts[name] for name in ("name", "picture") if facts.get(name)}
    if "groups" in scopes:
        said["groups"] = list(facts.get("groups") or ())
    return said
