"""The style sheet and the pictures of our pages, from memory; their names hold a digest, so they never change."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import NotFound

from .parts import parts_of

FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}


async def static_file(request: Request) -> Response:
    """GET /auth/static/<name>."""
    found = parts_of(request.scope).pages.static_files.get(request.path_params["name"])
    if found is None:
        raise NotFound("no such file")
    return Response(found.content, headers={**FOR_EVER, "Content-Type": found.content_type})


routes = [Route("/auth/static/{name}", static_file)]
