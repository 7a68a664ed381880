"""A page of an application on an origin of its own, and its API: what gateway.js runs in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from harness import serving

# The policy that docs/apps.md asks for, so that the module is seen to need no more.
POLICY = "default-src 'none'; script-src 'self' {gateway}; connect-src 'self' {gateway}; base-uri 'none'"
PAGE = '<!doctype html><html lang="en"><title>Shop</title><script type="module" src="/page.js"></script><h1>Shop</h1>'
SCRIPT = """
import {{ createGateway }} from "{gateway}/auth/gateway.js";
const shop = window.shop = createGateway({{ clientId: "shop", signedOutUri: location.origin + "/bye" }});
shop.onChange((user, error) => (window.seen = {{ user: user ?? null, error: error ?? null }}));
new BroadcastChannel("test").onmessage = () => (window.called = shop.getToken());
"""


class Shop:
    """`/api` answers who the Authorization header says is calling, and 401 to tokens in `refused`."""

    def __init__(self, url: str, gateway: str) -> None:
        self.url = url
        self.refused: set[str] = set()
        self._gateway = gateway
        self.app = Starlette(
            routes=[
                Route("/page.js", self.script),
                Route("/api", self.api, methods=["GET", "POST"]),
                Route("/{rest:path}", self.page),
            ]
        )

    async def page(self, _: Request) -> Response:
        return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY.format(gateway=self._gateway)})

    async def script(self, _: Request) -> Response:
        return Response(SCRIPT.format(gateway=self._gateway), media_type="text/javascript")

    async def api(self, request: Request) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        body: dict[str, Any] = {"token": token or None, "body": (await request.body()).decode()}
        return JSONResponse(body, status_code=401 if token in self.refused else 200)


@contextmanager
def opened(port: int, gateway: str) -> Iterator[Shop]:
    """Serve it until the block ends, on a host that is another site than the gateway's."""
    shop = Shop(f"http://127.0.0.1:{port}", gateway)
    with serving(shop.app, port):
        yield shop
