"""What handlers work with: the parts of one running gateway, found in the request's scope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.types import Scope

if TYPE_CHECKING:
    from gateway.attempts import Attempts, Claims
    from gateway.db import Database
    from gateway.flows.admit import Desk
    from gateway.flows.courier import Courier
    from gateway.flows.provider_tokens import ProviderTokenDesk
    from gateway.flows.reception import Reception
    from gateway.flows.redeem import Redemption
    from gateway.flows.renew import Renewal
    from gateway.flows.sign_out import SignOut
    from gateway.flows.tokens import TokenDesk
    from gateway.flows.whoami import Whoami
    from gateway.nonces import Nonces
    from gateway.providers.registry import Providers
    from gateway.sealing import Sealer
    from gateway.sessions.ended import EndedSessions
    from gateway.settings import Settings
    from gateway.tokens.access import AccessTokens
    from gateway.tokens.id_token import IdTokens
    from gateway.tokens.keys import Keyring
    from gateway.tokens.proxy_assertion import ProxyAssertions
    from gateway.tokens.refresh import RefreshTokens

    from .cookies import Cookies
    from .limits import RateLimiter
    from .metrics import Metrics
    from .pages import Pages
    from .redirects import Redirects
    from .revocations import Feed

KEY = "gateway.parts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """One gateway: made by `app.create_app`, read by every handler, never changed."""

    settings: Settings
    base: str  # path of public_url, without trailing slash
    origin: str  # origin of public_url
    clock: Callable[[], float]
    database: Database
    sealer: Sealer
    providers: Providers
    provider_tokens: ProviderTokenDesk
    attempts: Attempts
    claims: Claims
    nonces: Nonces
    keyring: Keyring  # for access tokens
    keyrings: tuple[Keyring, ...]  # that one and those for ID tokens
    id_tokens: IdTokens
    access: AccessTokens
    proxy_assertions: ProxyAssertions
    refresh: RefreshTokens
    desk: Desk
    reception: Reception
    whoami: Whoami
    renewal: Renewal
    redemption: Redemption
    sign_out: SignOut
    tokens: TokenDesk
    courier: Courier
    ended: EndedSessions
    revocations: Feed
    limiter: RateLimiter
    metrics: Metrics
    cookies: Cookies
    redirects: Redirects
    pages: Pages

    def now(self) -> int:
        return int(self.clock())


def parts_of(scope: Scope) -> Parts:
    parts: Parts = scope[KEY]
    return parts
