"""Which pages of other origins may call us from a browser (Fetch standard, CORS protocol).

`cors_origins` call with cookies. The pages of applications, by the origins of their addresses, call without cookies
what an OAuth client calls. Nobody calls the steps of a sign-in (RFC 9700 section 2.6).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.apps import LOOPBACK
from gateway.settings import AppSettings, Settings

from .redirects import origin

EXPOSED = ["X-Request-Id", "Retry-After", "WWW-Authenticate"]
STEPS = ("/callback", "/authorize", "/end-session")
ASKED_METHOD = b"access-control-request-method"
FOR_APPS = frozenset({"/auth/token", "/auth/userinfo", "/auth/revoke"})
REMEMBERED = 600  # seconds that a browser keeps the answer to a preflight


def for_browsers(app: ASGIApp, settings: Settings) -> ASGIApp:
    """The application, with CORS as configured."""
    if not settings.cors_origins and not settings.apps:
        return app
    ours = with_cookies(app, settings.cors_origins) if settings.cors_origins else app
    theirs = without_cookies(app, sorted(page_origins(settings.apps.values())))
    trusted = {(b"origin", entry.encode()) for entry in settings.cors_origins}

    async def choose(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = ours
        if scope["type"] == "http":
            if is_step(scope):
                chosen = app
            elif scope["path"] in FOR_APPS and trusted.isdisjoint(map(tuple, scope["headers"])):
                chosen = theirs
        await chosen(scope, receive, send)

    return choose


def is_step(scope: Scope) -> bool:
    """Whether a request is a step of a sign-in by redirect. One that posts an ID token to the same address is not."""
    method, path = str(scope["method"]), str(scope["path"])
    if method == "OPTIONS":
        method = next((value.decode("latin-1") for name, value in scope["headers"] if name == ASKED_METHOD), method)
    return path.endswith(STEPS) or (path.endswith("/login") and method != "POST")


def with_cookies(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_credentials=True,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=EXPOSED,
        max_age=REMEMBERED,
    )


def without_cookies(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "X-Requested-With"],  # the last is Swagger UI's
        expose_headers=EXPOSED,
        max_age=REMEMBERED,
    )


def page_origins(apps: Iterable[AppSettings]) -> set[str]:
    """The origins at which applications run in a browser."""
    return {origin(uri) for app in apps for uri in app.redirect_uris if uri.startswith(("https://", "http://"))}


def return_origins(apps: Iterable[AppSettings]) -> set[str]:
    """Where a form of ours may lead to, as CSP writes it: origins, and for native applications their schemes and any
    port of this machine."""
    return {source_of(app, uri) for app in apps for uri in (*app.redirect_uris, *app.post_logout_redirect_uris)}


def source_of(app: AppSettings, uri: str) -> str:
    if not uri.startswith(("https://", "http://")):
        return uri.partition(":")[0] + ":"
    loopback = LOOPBACK.fullmatch(uri) if app.type == "native" else None
    return f"{loopback['host']}:*" if loopback else origin(uri)
