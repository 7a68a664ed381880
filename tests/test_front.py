"""The exact-path table: a request it takes is answered as the routes would, and by the routes' own endpoint."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
from starlette.routing import Router
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.app import ROUTES, assemble, hot_paths
from gateway.web.front import Front
from gateway.web.metrics import Metrics
from gateway.web.parts import KEY, Parts

from harness import settings_for

PROVIDERS: Mapping[str, Mapping[str, Any]] = {
    name: {
        "discovery_url": f"https://{name}.example/.well-known/openid-configuration",
        "client_id": "x",
        "client_secret": "s",
        "response_mode": mode,
    }
    for name, mode in (("plain", "query"), ("posting", "form_post"))
}
ASKED = [
    ("GET", "/auth/plain/callback?state=odd&code=x", b""),
    ("GET", f"/auth/plain/callback?state={'a' * 22}&code=x", b""),
    ("GET", "/auth/plain/callback?state=a&state=b", b""),
    ("GET", "/auth/posting/callback?state=odd", b""),
    ("POST", "/auth/plain/callback", b"state=odd"),
    ("POST", "/auth/posting/callback", b"state=odd&code=x"),
    ("POST", "/auth/posting/callback", b"x" * 100_000),
]


@pytest.fixture
def parts(sqlite_url: str) -> Parts:
    settings = settings_for(sqlite_url, PROVIDERS)
    return assemble(settings, time.time, httpx2.MockTransport(lambda _: httpx2.Response(503)), Metrics(PROVIDERS))


class Watched:
    """The routes, and whether a request came so far."""

    def __init__(self) -> None:
        self.reached = False
        self._router = Router(ROUTES, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached = True
        await self._router(scope, receive, send)


async def ask(parts: Parts, front: ASGIApp, method: str, target: str, body: bytes) -> tuple[int, list[Any], bytes]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await front({**scope, KEY: parts}, receive, send)

    headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost:8000") as client:
        answer = await client.request(method, target, content=body, headers=headers)
    return answer.status_code, answer.headers.multi_items(), answer.content


@pytest.mark.parametrize(("method", "target", "body"), ASKED)
async def test_a_callback_passes_the_routes_by_and_is_answered_alike(
    parts: Parts, method: str, target: str, body: bytes
) -> None:
    routes = Watched()
    quick = await ask(parts, Front(routes, parts, hot_paths(parts)), method, target, body)
    assert not routes.reached
    assert quick[0] >= 400
    assert quick == await ask(parts, Front(routes, parts, {}), method, target, body)
    assert routes.reached
