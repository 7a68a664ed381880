"""The way to a provider: connections of its own, one TLS context for all, a limit on every answer."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import httpx2

from gateway.errors import ProviderError, ProviderUnavailable

from .pools import Pools

MAX_ANSWER = 512 * 1024  # bytes
TIMEOUT = httpx2.Timeout(3.0, connect=2.0, pool=1.0)  # seconds, per operation; flights have a limit as a whole
CONNECTIONS = 50  # in all pools of a transport
KEPT = 30  # seconds that one is kept without use
BUSY = 429
DROPPED = (
    "set-cookie",
    "location",
)  # one person's cookie must not go with another's call; nothing is followed


class TlsContext:
    """One TLS context for every provider, built when first used, in a thread: it takes 30 ms.

    The authorities are the system's, or those of SSL_CERT_FILE and SSL_CERT_DIR.
    """

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> ssl.SSLContext:
        async with self._lock:
            if self._context is None:
                self._context = await asyncio.to_thread(httpx2.create_ssl_context)
            return self._context


class Transport(httpx2.AsyncBaseTransport):
    """Lent to short-lived HTTP clients, so it stays open when they close; `shut` closes it.

    Each provider has connections of its own: one that hangs uses up its own, never another's. They are in so many
    `pools`; one where many hosts are called, so that they do not displace each other.
    """

    def __init__(self, tls: TlsContext, inner: httpx2.AsyncBaseTransport | None = None, *, pools: int = 1) -> None:
        self._tls = tls
        self._number = pools
        self._pools = Pools([inner]) if inner else None
        self._ours = inner is None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # A compressed answer could grow a thousandfold behind the limit.
        request.headers["Accept-Encoding"] = "identity"
        pools = self._pools or await self._open()
        with pools.lend() as pool:
            response = await pool.handle_async_request(request)
            async with aclosing(response):
                return await read_answer(response, request)

    async def _open(self) -> Pools:
        context = await self._tls.get()
        if self._pools is None:
            size = CONNECTIONS // self._number
            limits = httpx2.Limits(max_connections=size, max_keepalive_connections=size, keepalive_expiry=KEPT)
            self._pools = Pools(
                [
                    httpx2.AsyncHTTPTransport(verify=context, trust_env=False, limits=limits)
                    for _ in range(self._number)
                ],
                room=size // 2,  # the rest is for connections to a second host, that of userinfo
            )
        return self._pools

    async def aclose(self) -> None:
        """Nothing: whoever closes a client gives the transport back."""

    async def shut(self) -> None:
        if self._ours and self._pools is not None:
            await self._pools.aclose()
            self._pools = None


async def read_answer(response: httpx2.Response, request: httpx2.Request) -> httpx2.Response:
    """The whole answer, without what must not go on. DecodingError after `MAX_ANSWER` bytes, or for one compressed."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise httpx2.DecodingError("the answer is compressed though that was not asked for", request=request)
    if not isinstance(response.stream, httpx2.AsyncByteStream):
        raise TypeError("an async transport answers with an async stream")
    body = bytearray()
    async for chunk in response.stream:
        body += chunk
        if len(body) > MAX_ANSWER:
            raise httpx2.DecodingError(f"the answer is larger than {MAX_ANSWER} bytes", request=request)
    kept = [(name, value) for name, value in response.headers.multi_items() if name not in DROPPED]
    return httpx2.Response(response.status_code, headers=kept, content=bytes(body), extensions=response.extensions)


def open_client(transport: Transport, user_agent: str) -> httpx2.AsyncClient:
    """A client for GETs: no redirects, nothing from the environment."""
    return httpx2.AsyncClient(
        transport=transport,
        timeout=TIMEOUT,
        trust_env=False,
        follow_redirects=False,
        headers={"User-Agent": user_agent, "Accept": "application/json"},
    )


async def fetch(http: httpx2.AsyncClient, url: str, headers: Mapping[str, str] | None = None) -> httpx2.Response:
    """GET, once more where a kept connection turns out to be dead.

    Raises ProviderUnavailable where there is no answer, 429 or 5xx, and ProviderError for any other than 2xx.
    """
    try:
        try:
            response = await http.get(url, headers=headers)
        except (httpx2.NetworkError, httpx2.RemoteProtocolError):
            response = await http.get(url, headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        raise ProviderUnavailable(describe(error)) from error
    check_status(response)
    return response


def check_status(response: httpx2.Response) -> None:
    if response.status_code == BUSY or response.is_server_error:
        raise ProviderUnavailable(f"HTTP status {response.status_code}")
    if not response.is_success:
        raise ProviderError(f"HTTP status {response.status_code}")


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object, or ProviderError. Hostile nesting and numbers count as not JSON."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProviderError("the answer is not JSON") from error
    if not isinstance(value, dict):
        raise ProviderError("the answer is not a JSON object")
    return value


def describe(error: Exception) -> str:
    """What went wrong on the wire, for the log. Only connection errors are quoted: some quote headers."""
    name = type(error).__name__
    return f"{name}: {error}"[:300] if isinstance(error, httpx2.ConnectError) else name
