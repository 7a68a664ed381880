"""errors.py -> what goes over the wire: JSON for programs, a page for navigations."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from gateway.db import is_outage
from gateway.errors import (
    GatewayError,
    InsufficientScope,
    InvalidClient,
    InvalidToken,
    MethodNotAllowed,
    NotFound,
    NotSignedIn,
    RateLimited,
    ReauthenticationRequired,
    RequestFault,
    SignInTooOld,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from gateway.logs import request_id

from .pages import ErrorView
from .parts import parts_of

log = logging.getLogger("gateway.web")

ERROR = "gateway.error"  # where the code of the error stands in the scope, for those who count

REALM = 'realm="gateway"'  # a scheme is never alone; who presented nothing is told no more (RFC 6750 section 3.1)

FOR_PROGRAMS = frozenset({"/auth/token", "/auth/revoke", "/auth/introspect", "/auth/userinfo"})

HTTP_FAULTS: dict[int, type[RequestFault]] = {
    404: NotFound,
    413: TooLarge,
    415: UnsupportedMediaType,
}


def answer(
    scope: Scope,
    error: GatewayError,
    *,
    again: str | None = None,
    set_cookies: Sequence[str] = (),
    more: Mapping[str, Any] | None = None,
) -> Response:
    """The answer to an error. `again`: where "Start again" leads on the page; `more`: what JSON says besides."""
    scope[ERROR] = error.code
    if isinstance(error, ReauthenticationRequired):
        query = urlencode({"prompt": "login", "redirect_to": f"{parts_of(scope).base}{error.back}"})
        again = f"{parts_of(scope).base}/auth/{error.provider}/login?{query}"
    level = logging.WARNING if error.status >= 500 else logging.INFO
    log.log(level, error.code, extra={"fields": {"status": error.status, "cause": error.cause}})
    response = page(scope, error, again) if wants_page(scope) else json_answer(error, more)
    for name, value in challenge(error):
        response.headers[name] = value
    for cookie in set_cookies:
        response.headers.append("set-cookie", cookie)
    return response


def json_answer(error: GatewayError, more: Mapping[str, Any] | None = None) -> Response:
    body = {"error": error.code, "error_description": error.explain(), "request_id": request_id.get()}
    return Response(json.dumps(body | dict(more or {})), error.status, media_type="application/json")


def page(scope: Scope, error: GatewayError, again: str | None) -> Response:
    parts = parts_of(scope)
    view = ErrorView(
        code=error.code,
        sentence=error.explain(),
        request_id=request_id.get(),
        again_href=again,
        home_href=f"{parts.base}/auth/login",
    )
    return HTMLResponse(parts.pages.error(view), error.status)


def challenge(error: GatewayError) -> list[tuple[str, str]]:
    """The headers that belong to a status (RFC 6750 section 3, RFC 7617 section 2, RFC 9110 section 10.2.3)."""
    match error:
        case SignInTooOld():
            return [("WWW-Authenticate", f'Bearer error="{error.code}", max_age="{error.max_age}"')]
        case NotSignedIn():
            return [("WWW-Authenticate", f"Bearer {REALM}")]
        case InvalidToken() | InsufficientScope():
            return [("WWW-Authenticate", f'Bearer error="{error.code}"')]
        case InvalidClient():
            return [("WWW-Authenticate", f"Basic {REALM}")]
        case RateLimited():
            return [("Retry-After", str(error.retry_after))]
        case MethodNotAllowed():
            return [("Allow", ", ".join(error.allowed))]
        case _:
            return []


def wants_page(scope: Scope) -> bool:
    """Whether a person looks at the answer: a navigation accepts text/html. So do some programs, by default, where
    standards promise them JSON (RFC 6749 section 5.2)."""
    if scope["path"] in FOR_PROGRAMS:
        return False
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def last_resort(scope: Scope, error: Exception) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """The answer to what nobody foresaw: its status, headers and body."""
    response = answer(scope, error if isinstance(error, GatewayError) else foresee(error))
    return response.status_code, response.raw_headers, bytes(response.body)


def foresee(error: Exception) -> GatewayError:
    """A database that cannot be reached is an outage, which passes; anything else is our fault."""
    return Unavailable(type(error).__name__) if is_outage(error) else GatewayError(type(error).__name__)


async def on_gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)  # noqa: S101  registered for this class only
    return answer(request.scope, error)


def on_http_exceptions(routes: Iterable[Route]) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Starlette's own 404, 405 and the like, in our shape.

    A 405 names every method of the address (RFC 9110 section 15.5.6); Starlette knows only those of one route.
    """
    methods: dict[str, set[str]] = defaultdict(set)
    for route in routes:
        methods[route.path] |= route.methods or set()

    async def on_http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  registered for this class only
        if error.status_code == 405:
            return answer(request.scope, MethodNotAllowed(allowed=methods[request.scope["route"].path]))
        return answer(request.scope, HTTP_FAULTS.get(error.status_code, RequestFault)())

    return on_http_exception
