"""Starlette: a decorator for HTTP endpoints and WebSockets, functions and methods; and the middleware."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import Response

from .asgi import PRINCIPAL, Protect, admitted, deny
from .guard import Answer, Guard
from .principal import Principal
from .require import requirement

__all__ = ["Protect", "Protection", "principal"]

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Protection(Guard):
    """
    protection = Protection(verifier)

    @protection.require(scope="orders:read")
    async def orders(request):
        principal(request).subject
    """

    def require(self, **needs: Any) -> Callable[[Endpoint], Endpoint]:
        """`needs`: as `gateway.resource.requirement` has them. The endpoint is a function of a request or a WebSocket,
        or a method of an HTTPEndpoint or WebSocketEndpoint."""
        wanted = requirement(**needs)

        def decorate(endpoint: Endpoint) -> Endpoint:
            call = endpoint if inspect.iscoroutinefunction(endpoint) else functools.partial(run_in_threadpool, endpoint)

            @functools.wraps(endpoint)
            async def protected(*args: Any, **kwargs: Any) -> Any:
                connection = connection_among(args, kwargs)
                refused = await admitted(self, connection.scope, wanted)
                if refused is None:
                    return await cast("Callable[..., Awaitable[Any]]", call)(*args, **kwargs)
                return await answer(refused, connection)

            return cast("Endpoint", protected)

        return decorate


def principal(connection: HTTPConnection) -> Principal:
    """Who is calling, at an endpoint with `require` or behind the middleware. KeyError elsewhere."""
    found: Principal = connection.scope[PRINCIPAL]
    return found


def connection_among(args: tuple[Any, ...], kwargs: dict[str, Any]) -> HTTPConnection:
    for value in (*args, *kwargs.values()):
        if isinstance(value, HTTPConnection):
            return value
    raise TypeError("the endpoint was called without a request or WebSocket")


async def answer(refused: Answer, connection: HTTPConnection) -> Response | None:
    if connection.scope["type"] == "websocket":
        await deny(refused, connection.scope, cast("Any", connection).receive, cast("Any", connection).send)
        return None
    return Response(refused.body, refused.status, refused.headers, "application/json")
