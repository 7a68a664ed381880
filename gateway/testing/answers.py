"""What a provider in trouble answers: pages, floods, loops, silence. All are for `Behaviour.answers`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse

from gateway.testing.behaviour import Answer, Document

MEGABYTE = 1 << 20


def html(status: int = 200) -> Answer:
    """A captive portal, or a proxy's error page."""

    async def answer(_: Request) -> Response:
        return HTMLResponse("<!doctype html><title>Welcome</title><p>Please accept our terms.", status)

    return answer


def json(document: Document, status: int = 200) -> Answer:
    async def answer(_: Request) -> Response:
        return JSONResponse(document, status)

    return answer


def flood(megabytes: int = 50) -> Answer:
    """A JSON string that does not end before that many megabytes, without a length announced."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"issuer": "'
        for _ in range(megabytes):
            yield b"a" * MEGABYTE
        yield b'"}'

    async def answer(_: Request) -> Response:
        return StreamingResponse(chunks(), media_type="application/json")

    return answer


def redirect_loop() -> Answer:
    async def answer(request: Request) -> Response:
        return RedirectResponse(request.url, 302)

    return answer


def silence(seconds: float = 30) -> Answer:
    """Nothing at all, until the caller gives up or `seconds` are over; then 504."""

    async def answer(request: Request) -> Response:
        await _disconnected(request, seconds)
        return Response(status_code=504)

    return answer


def slow(seconds: float) -> Answer:
    """The usual answer, late."""

    async def answer(request: Request) -> None:
        await _disconnected(request, seconds)

    return answer


async def _disconnected(request: Request, seconds: float) -> None:
    """Waits until the caller is gone, for `seconds` at most. The body has been read by now."""
    try:
        async with asyncio.timeout(seconds):
            await request.receive()
    except TimeoutError:
        return
