"""create_app(): the only place where the parts meet. No globals: two gateways may live in one process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from . import schema
from .accounts import Policy as AccountPolicy
from .attempts import Attempts, Claims
from .db import Database, brief
from .errors import CannotStart, GatewayError, Unavailable
from .flows.admit import Desk, Terms
from .flows.courier import Courier
from .flows.provider_tokens import ProviderTokenDesk
from .flows.reception import Reception
from .flows.redeem import Lives, Redemption
from .flows.renew import Issuer, Renewal
from .flows.sign_out import SignOut
from .flows.tokens import TokenDesk
from .flows.whoami import Whoami
from .housekeeping import Chore, Housekeeping, prune
from .nonces import Nonces
from .providers.registry import Providers
from .sealing import Sealer
from .sessions.ended import EndedSessions
from .sessions.queue import Rotations
from .sessions.rotation import Policy
from .settings import Settings
from .tokens.access import AccessTokens
from .tokens.codes import Codes
from .tokens.id_token import LIFETIME, IdTokens
from .tokens.keys import Keyring, UnreadableKey
from .tokens.logout_token import LogoutTokens
from .tokens.proxy_assertion import ProxyAssertions
from .tokens.refresh import RefreshTokens
from .web import (
    account,
    assets,
    authorize,
    end_session,
    entrance,
    forward_auth,
    linking,
    logout,
    metrics,
    openapi,
    owner,
    posted,
    problems,
    provider_token,
    revocations,
    sign_in,
    token,
    token_state,
    userinfo,
    well_known,
)
from .web.cookies import Cookies
from .web.cors import for_browsers, return_origins
from .web.envelope import Envelope
from .web.front import Front, HotPaths
from .web.limits import RateLimiter
from .web.metrics import Metrics, WatchedRotations
from .web.pages import Pages
from .web.parts import KEY, Parts
from .web.redirects import Redirects, origin
from .web.shortcut import Shortcut

if TYPE_CHECKING:
    import httpx2

log = logging.getLogger("gateway.app")

Clock = Callable[[], float]


class Gateway:
    """The ASGI application. Starts its parts with the server's lifespan, with that of an application around it
    (`lifespan`), or else with the first request.

        gateway = create_app(load("providers.toml", os.environ))
        app = FastAPI(lifespan=gateway.lifespan)
        app.mount(gateway.path, gateway)
    """

    def __init__(self, parts: Parts, app: Shortcut) -> None:
        self.parts = parts
        self.shortcut = app  # a server of ours asks it before it calls us
        self._starting = asyncio.Lock()
        self._started = False
        self._housekeeping = Housekeeping(chores(parts))
        self._loop: asyncio.AbstractEventLoop | None = None  # while it runs

    @property
    def path(self) -> str:
        """Where to mount it: the path of `public_url`, "" for none."""
        return self.parts.base

    @property
    def session_cookie(self) -> str:
        """The name of the cookie with the access token."""
        return self.parts.cookies.access

    @property
    def transport(self) -> httpx2.BaseTransport:
        """The way to the gateway within the process: `Verifier(public_url, transport=gateway.transport)`. For other
        threads than the event loop's, and only while it runs."""
        from .inside import Inside  # the HTTP client, which a server that runs by itself does without at first

        return Inside(self, lambda: self._loop)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it was accepted: the server answers 403
            return
        try:
            if not self._started:
                await self.start()
        except CannotStart as fault:  # mounted, no lifespan could fail: this request does, and the next tries again
            log.error("cannot_start", extra={"fields": {"cause": str(fault)}})
            unavailable = problems.answer({**scope, KEY: self.parts}, Unavailable(fault.what))
            await unavailable(scope, receive, send)
            return
        # Without an "app" Starlette's router answers 404 and 405 itself, in a shape of its own.
        await self.shortcut({"app": self, **scope, KEY: self.parts}, receive, send)

    async def start(self) -> None:
        """Schema, keys, the list of ended sessions, background work. Raises CannotStart."""
        async with self._starting:
            if self._started:
                return
            await prepare_schema(self.parts.database)
            for keyring in self.parts.keyrings:
                await prepare_keys(keyring)
            await self.parts.ended.start()
            self._housekeeping.start()
            self._started = True
            self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        self._loop = None
        await self._housekeeping.stop()
        await self.parts.metrics.post()
        await self.parts.ended.stop()
        await self.parts.providers.close()
        await self.parts.courier.close()
        await self.parts.limiter.close()
        await self.parts.database.close()
        self._started = False

    @asynccontextmanager
    async def lifespan(self, _around: object) -> AsyncIterator[None]:
        """Starts and stops it with the application around it. Raises CannotStart."""
        try:
            await self.start()
            yield
        finally:
            await self.stop()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except CannotStart as fault:
            await send({"type": "lifespan.startup.failed", "message": str(fault)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})


ROUTES: Sequence[Route] = (
    *assets.routes,
    *entrance.routes,
    *account.routes,
    *owner.routes,
    *linking.routes,
    *logout.routes,
    *token.routes,
    *authorize.routes,
    *userinfo.routes,
    *end_session.routes,
    *token_state.routes,
    *forward_auth.routes,
    *revocations.routes,
    *well_known.routes,
    *provider_token.routes,
    *metrics.routes,
    *openapi.routes,
    *posted.routes,
    *sign_in.routes,  # last: /auth/{provider}/… would shadow others
)


def create_app(
    settings: Settings,
    *,
    clock: Clock = time.time,
    transport: httpx2.AsyncBaseTransport | None = None,
    board: Path | None = None,
) -> Gateway:
    """The gateway for these settings. `transport` replaces the network to the providers, for tests; `board` is a
    folder where several workers leave what they have counted, so that each can tell the sum."""
    parts = assemble(settings, clock, transport, Metrics(settings.providers, board))
    handlers = {GatewayError: problems.on_gateway_error, HTTPException: problems.on_http_exceptions(ROUTES)}
    # Starlette itself would put its own answer to unforeseen errors in front of ours.
    router = ExceptionMiddleware(Router(ROUTES, redirect_slashes=False), handlers=handlers)
    front: ASGIApp = Front(router, parts, hot_paths(parts))
    front = for_browsers(front, settings)
    surrounded = Envelope(
        front,
        public_url=settings.public_url,
        on_error=problems.last_resort,
        trusted_proxies=settings.trusted_proxies,
        form_action={origin(provider.discovery_url) for provider in settings.providers.values()}
        | return_origins(settings.apps.values()),
        observe=parts.metrics.answered,
    )
    shortcut = Shortcut(surrounded, parts.access, parts.ended, clock, base=parts.base)
    return Gateway(parts, shortcut)


def assemble(settings: Settings, clock: Clock, transport: httpx2.AsyncBaseTransport | None, metrics: Metrics) -> Parts:
    base = urlsplit(settings.public_url).path.rstrip("/")
    database = Database(settings.database_url)
    sealer = Sealer(settings.secret_keys)
    keyring = Keyring(database, sealer, clock, settings.access_token_alg, token_life=settings.access_token_ttl)
    for_id_tokens = id_token_keys(settings, keyring, database, sealer, clock)
    access = AccessTokens(settings.public_url, settings.audience, settings.access_token_ttl, keyring, clock)
    refresh = RefreshTokens(sealer)
    ended = EndedSessions(database, clock, token_life=settings.access_token_ttl)
    policy = Policy(grace=settings.refresh_token_grace, idle_ttl=settings.refresh_token_idle_ttl)
    issuer = Issuer(access, refresh, settings.roles, settings.refresh_token_idle_ttl, settings.apps)
    desk = Desk(database, sealer, terms_of(settings))
    default = settings.default_redirect
    providers = Providers(settings.providers, public_url=settings.public_url, clock=clock, transport=transport)
    return Parts(
        settings=settings,
        base=base,
        origin=origin(settings.public_url),
        clock=clock,
        database=database,
        sealer=sealer,
        providers=providers,
        provider_tokens=ProviderTokenDesk(database, sealer, providers),
        attempts=Attempts(sealer),
        claims=Claims(database),
        nonces=Nonces(sealer),
        keyring=keyring,
        keyrings=(keyring, *(each for each in for_id_tokens.values() if each is not keyring)),
        id_tokens=IdTokens(settings.public_url, for_id_tokens),
        access=access,
        proxy_assertions=ProxyAssertions(settings.public_url, keyring, clock),
        refresh=refresh,
        desk=desk,
        reception=Reception(desk),
        whoami=Whoami(database, clock),
        renewal=Renewal(database, WatchedRotations(Rotations(database, policy, clock), metrics), ended, issuer),
        redemption=Redemption(database, Codes(sealer), ended, lives_of(settings)),
        sign_out=SignOut(database, ended),
        courier=Courier(database, settings.apps, LogoutTokens(settings.public_url, for_id_tokens), clock, transport),
        tokens=TokenDesk(database, access, refresh, ended, settings.refresh_token_idle_ttl),
        ended=ended,
        revocations=revocations.Feed(ended, clock),
        limiter=RateLimiter(enabled=settings.rate_limits, redis_url=settings.redis_url),
        metrics=metrics,
        cookies=Cookies.of(settings.public_url, base, settings.cookie_domain),
        redirects=Redirects(
            settings.public_url,
            settings.allowed_redirects,
            f"{base}{default}" if default == "/auth/account" else default,
        ),
        pages=Pages(title=urlsplit(settings.public_url).hostname or "", base=base),
    )


def id_token_keys(
    settings: Settings, access: Keyring, database: Database, sealer: Sealer, clock: Clock
) -> dict[str, Keyring]:
    """The keys for the ID tokens of applications, by algorithm: those for access tokens where that is the same."""
    wanted = sorted({app.id_token_alg for app in settings.apps.values() if app.type != "service"})
    return {
        alg: access
        if alg == settings.access_token_alg
        else Keyring(database, sealer, clock, alg, token_life=LIFETIME, family=f"id-{alg.lower()}")
        for alg in wanted
    }


def lives_of(settings: Settings) -> Lives:
    return Lives(settings.refresh_token_max_ttl, settings.refresh_token_idle_ttl, settings.access_token_ttl)


def terms_of(settings: Settings) -> Terms:
    policy = AccountPolicy(settings.signup, settings.signup_domains, settings.account_linking)
    return Terms(policy, settings.refresh_token_max_ttl)


def hot_paths(parts: Parts) -> HotPaths:
    return {
        ("GET", "/auth/verify"): forward_auth.verify_endpoint,
        ("GET", "/auth/verify/redirect"): forward_auth.redirect_endpoint,
        ("GET", "/auth/me"): account.me,
        ("POST", "/auth/token"): token.token,
        ("POST", "/auth/refresh"): token.refresh,
        **{("GET", f"/auth/{name}/login"): sign_in.start for name in parts.settings.providers},
        **{
            (method, f"/auth/{name}/callback"): sign_in.callback
            for name in parts.settings.providers
            for method in ("GET", "POST")
        },
    }


def chores(parts: Parts) -> list[Chore]:
    return [
        Chore("providers", 60, parts.providers.warm),
        *(Chore(f"keys {keyring.family}", 2, keyring.upkeep) for keyring in parts.keyrings),
        *([Chore("logouts", 1, parts.courier.deliver)] if parts.settings.apps else []),
        Chore("prune", 300, lambda: prune(parts.database, parts.now(), parts.provider_tokens.revoke)),
        *([Chore("metrics", 2, parts.metrics.post)] if parts.metrics.shared else []),
    ]


async def prepare_keys(keyring: Keyring) -> None:
    """Keys to sign with. CannotStart when the secret key is missing that sealed them."""
    try:
        await keyring.ensure()
    except UnreadableKey as error:
        raise CannotStart(
            "No key in `secret_keys` opens the signing key.",
            "Put the one that sealed it back, or make new signing keys: gateway keys rotate --force",
        ) from error


async def prepare_schema(database: Database) -> None:
    """SQLite is brought up to date here; a server database is somebody's to change, so it is only looked at."""
    try:
        if await database.revision() == schema.HEAD:
            return
    except (SQLAlchemyError, OSError) as error:
        raise CannotStart(
            f"The database cannot be opened: {brief(error)}.",
            "Check `database_url`, and that it is running.",
        ) from error
    from . import migrate  # half a second to load, and needed once

    if database.dialect == "sqlite":
        await migrate.upgrade(str(database.url))
        return
    state = await migrate.schema_state(database.url.render_as_string(hide_password=False))
    if state == "newer":
        raise migrate.newer()
    if state != "current":
        raise CannotStart("The database schema is not up to date.", "Run `gateway migrate`, then start again.")
