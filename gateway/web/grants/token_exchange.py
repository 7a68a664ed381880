"""Token exchange (RFC 8693): a provider's ID token that an application holds becomes tokens of ours.

The same verifier, decision and once-only rule as for an ID token that a browser posts; what comes of it is a grant to
the application, under no browser's session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.types import Scope

from gateway.errors import (
    AttemptFault,
    InvalidGrant,
    InvalidIdToken,
    JoinFirst,
    NotExchanged,
    ProviderFault,
    Refusal,
    RequestFault,
    UnauthorizedClient,
)
from gateway.flows import posted
from gateway.flows.admit import Grant, Newcomer
from gateway.identity import Identity
from gateway.sessions import Session
from gateway.settings import AppSettings
from gateway.web.client_auth import authenticate
from gateway.web.fields import Fields
from gateway.web.id_tokens import id_token_for
from gateway.web.origins import origin_of
from gateway.web.parts import Parts
from gateway.web.refusals import recorded_refusal
from gateway.web.targets import check_target

from .answers import members
from .refresh_token import narrow

if TYPE_CHECKING:
    from gateway.providers.client import ProviderClient

TYPE = "urn:ietf:params:oauth:token-type:"
TAKEN = frozenset({f"{TYPE}id_token", f"{TYPE}jwt"})
GIVEN = f"{TYPE}access_token"
UNFIT = (AttemptFault, ProviderFault, Refusal)  # of the token, or of whom it is about


async def grant(parts: Parts, scope: Scope, asked: Fields) -> dict[str, Any]:
    app = await authenticate(parts, scope, asked)
    if app.type == "service":
        raise UnauthorizedClient("nobody signs in to a service")
    if app.consent:
        raise UnauthorizedClient("people are asked before this app gets anything, and here nobody can be")
    check_request(parts, app, asked)
    online = " ".join(one for one in app.scopes if one != "offline_access")
    granted = narrow(asked.get("scope"), app.scopes) or online
    try:
        session = await admit(parts, scope, app, asked.one("subject_token"), granted)
    except UNFIT as error:
        if error.status >= 500:  # nobody can tell; the token is as good as before
            raise
        raise NotExchanged(error) from error
    now = parts.now()
    pair = parts.renewal.issuer.issue(session, now)
    said = members(pair, refresh="offline_access" in granted.split(" "))
    return said | id_token_for(parts, app, pair, now) | {"issued_token_type": GIVEN}


def check_request(parts: Parts, app: AppSettings, asked: Fields) -> None:
    """RFC 8693 section 2.1. RequestFault, InvalidTarget."""
    if asked.one("subject_token_type") not in TAKEN:
        raise RequestFault("another subject_token_type than an ID token's")
    if asked.get("requested_token_type") not in (None, "", GIVEN):
        raise RequestFault("another requested_token_type than an access token")
    if asked.get("actor_token"):
        raise RequestFault("nobody acts for somebody else here")
    check_target(parts, app, asked)


async def admit(parts: Parts, scope: Scope, app: AppSettings, token: str, granted: str) -> Session:
    """The application's session with whom the token is about. Raises what speaks against it."""
    provider = provider_of(parts, app, token)
    identity = await receive(parts, scope, provider, token)
    lives = parts.redemption.lives
    life = lives.max_ttl if "offline_access" in granted.split(" ") else lives.idle_ttl
    newcomer = Newcomer(identity, grant=Grant(app.client_id, granted, life))
    admission = await parts.desk.admit(newcomer, origin_of(parts, scope), parts.now())
    if admission.refusal:
        raise admission.refusal
    if admission.session is None:
        raise JoinFirst("its verified address is known")
    parts.ended.add(admission.ended)
    return admission.session


def provider_of(parts: Parts, app: AppSettings, token: str) -> ProviderClient:
    """The provider that the token names, believed by nobody yet. InvalidGrant where the app does not take it."""
    from gateway.providers.jws import parse  # with the checks of what providers sign

    issuer = parse(token)[1].get("iss")
    if not isinstance(issuer, str):
        raise InvalidIdToken("no iss")
    provider = parts.providers.by_issuer(issuer)
    if provider is None or (app.providers and provider.name not in app.providers):
        raise InvalidGrant("no provider of this app has the token's issuer")
    return provider


async def receive(parts: Parts, scope: Scope, provider: ProviderClient, token: str) -> Identity:
    """Whom the token is about; a token that does not hold leaves an event behind."""
    async with recorded_refusal(parts, scope, provider):
        return (await posted.receive(parts.database, provider, token, parts.now())).identity
