"""Asking the gateway of this process without the network: the transport for a verifier of an application around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx2
from starlette.types import ASGIApp

TIME_LIMIT = 5.0  # seconds for an answer

Loop = Callable[[], asyncio.AbstractEventLoop | None]


class Inside(httpx2.BaseTransport):
    """Hands requests to the event loop that the gateway runs on, from any thread but that loop's own."""

    def __init__(self, app: ASGIApp, loop: Loop, time_limit: float = TIME_LIMIT) -> None:
        """`loop`: the one it runs on at the moment, None for none."""
        self._app = httpx2.ASGITransport(app, raise_app_exceptions=False)
        self._loop = loop
        self._time_limit = time_limit

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises ConnectError and ReadTimeout, as a network would."""
        loop = self._loop()
        if loop is None or loop.is_closed():
            raise httpx2.ConnectError("the gateway does not run", request=request)
        answering = asyncio.run_coroutine_threadsafe(self._answer(request), loop)
        try:
            return answering.result(self._time_limit)
        except TimeoutError as error:
            answering.cancel()
            raise httpx2.ReadTimeout("the gateway does not answer", request=request) from error

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        answer = await self._app.handle_async_request(request)
        return httpx2.Response(answer.status_code, headers=answer.headers, content=await answer.aread())
