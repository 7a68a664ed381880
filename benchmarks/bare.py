"""The measure of all things here: one plain-text route on Starlette, served as the gateway serves itself."""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

# What `gateway.serve` gives uvicorn, written out: importing that would load the gateway.
OPTIONS: dict[str, Any] = {
    "loop": "uvloop",
    "http": "httptools",
    "access_log": False,
    "log_config": None,
    "server_header": False,
}


async def bare(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


async def bare_json(_request: Request) -> JSONResponse:
    return JSONResponse({"ok": True})


async def bare_empty(_request: Request) -> Response:
    return Response()


app = Starlette(routes=[Route("/bare", bare), Route("/bare.json", bare_json), Route("/bare.empty", bare_empty)])

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), proxy_headers=False, **OPTIONS)
