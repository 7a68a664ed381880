"""What is served from memory: the style sheet and the pictures of our pages, whose names hold a digest, so that they
never change; and the module that applications' pages import, with its types."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import NotFound

from .parts import parts_of

FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
# Anybody's page may import it: it holds no secret, and says nothing about whoever asks.
FOR_ALL: Mapping[str, str] = {
    "Cache-Control": "public, max-age=3600",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


async def static_file(request: Request) -> Response:
    """GET /auth/static/<name>."""
    found = parts_of(request.scope).pages.static_files.get(request.path_params["name"])
    if found is None:
        raise NotFound("no such file")
    return Response(found.content, headers={**FOR_EVER, "Content-Type": found.content_type})


async def module(_: Request) -> Response:
    """GET /auth/gateway.js."""
    return Response(read("gateway.min.js"), headers={**FOR_ALL, "Content-Type": "text/javascript; charset=utf-8"})


async def module_types(_: Request) -> Response:
    """GET /auth/gateway.d.ts."""
    return Response(read("gateway.d.ts"), headers={**FOR_ALL, "Content-Type": "text/plain; charset=utf-8"})


@cache
def read(name: str) -> bytes:
    return (resources.files("gateway.web") / "module" / name).read_bytes()


routes = [
    Route("/auth/static/{name}", static_file),
    Route("/auth/gateway.js", module),
    Route("/auth/gateway.d.ts", module_types),
]
