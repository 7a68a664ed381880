"""The front: rate limits, the exact-path table for the hottest requests, and errors as answers; then the routes.

The table spares a hot request Starlette's routing and its Request object, about half of a bare answer's cost. The same
endpoints stand in the routes too, and answer there alike.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import GatewayError

from .addresses import client_ip
from .limits import bucket_for
from .parts import Parts
from .problems import answer

HotPaths = Mapping[tuple[str, str], ASGIApp]  # (method, path) -> endpoint


class Front:
    def __init__(self, app: ASGIApp, parts: Parts, hot: HotPaths) -> None:
        self._app = app
        self._parts = parts
        self._hot = {asked: (endpoint, bucket_for(asked[1])) for asked, endpoint in hot.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        try:
            endpoint, bucket = self._hot.get((scope["method"], path)) or (self._app, bucket_for(path))
            if bucket:
                ip = client_ip(scope, self._parts.settings.trusted_proxies)
                await self._parts.limiter.check(bucket, ip, self._parts.clock())
            await endpoint(scope, receive, send)
        except GatewayError as error:
            await answer(scope, error)(scope, receive, send)
