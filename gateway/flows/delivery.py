"""One logout token on its way to an application, and what went wrong with it."""

from __future__ import annotations

import asyncio

import httpx2

from gateway.providers.transport import TlsContext, Transport, describe

TIMEOUT = 5.0  # seconds for one delivery as a whole
TAKEN = frozenset({200, 204})  # section 2.8


class Delivery:
    """`transport` replaces the network in tests; who passes one closes it."""

    def __init__(self, transport: httpx2.AsyncBaseTransport | None) -> None:
        self._transport = Transport(TlsContext(), transport)
        self._http = httpx2.AsyncClient(
            transport=self._transport, timeout=TIMEOUT, trust_env=False, follow_redirects=False
        )

    async def post(self, url: str, token: str) -> str | None:
        """What went wrong; None where the application has taken it."""
        try:
            async with asyncio.timeout(TIMEOUT):
                answer = await self._http.post(url, data={"logout_token": token})
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError) as error:
            return describe(error)
        return None if answer.status_code in TAKEN else f"HTTP status {answer.status_code}"

    async def close(self) -> None:
        await self._http.aclose()
        await self._transport.shut()
