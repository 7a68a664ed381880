"""The way to a provider, over real sockets: connections that are kept, and pools that are apart."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property

import httpx2
import pytest

from gateway.errors import ProviderUnavailable
from gateway.providers import Providers
from gateway.providers.transport import CONNECTIONS, TlsContext, Transport, fetch, open_client

from .op import Op, finish

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers every request with an empty object, or never; counts its connections."""

    def __init__(self, *, silent: bool = False) -> None:
        self.silent = silent
        self.connections = 0
        self.url = ""
        self._open: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                if not self.silent:
                    writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def cut(self) -> None:
        for writer in self._open:
            writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        try:
            yield self
        finally:
            server.close()


@pytest.mark.parametrize("pools", [1, 5])
async def test_short_lived_clients_share_one_connection(pools: int) -> None:
    async with Server().running() as server:
        transport = Transport(TlsContext(), pools=pools)
        for _ in range(5):
            async with open_client(transport, "test") as http:
                await fetch(http, server.url)
        await transport.shut()
    assert server.connections == 1


@pytest.mark.parametrize("pools", [1, 5])
async def test_a_provider_that_hangs_uses_up_only_its_own_connections(pools: int) -> None:
    tls = TlsContext()
    hanging, working = Transport(tls, pools=pools), Transport(tls, pools=pools)
    async with Server(silent=True).running() as silent, Server().running() as server:
        stuck_client, http = open_client(hanging, "test"), open_client(working, "test")
        stuck = [asyncio.create_task(fetch(stuck_client, silent.url)) for _ in range(2 * CONNECTIONS)]
        await asyncio.sleep(0.2)
        answer = await fetch(http, server.url)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        await hanging.shut()
        await working.shut()
    assert answer.status_code == 200
    assert silent.connections == CONNECTIONS


@pytest.mark.parametrize("pools", [1, 5])
async def test_a_kept_connection_that_was_cut_is_not_used(pools: int) -> None:
    """A code is spent by a POST, and no POST is tried twice."""
    async with Server().running() as server:
        transport = Transport(TlsContext(), pools=pools)
        async with open_client(transport, "test") as http:
            for _ in range(3):
                assert (await http.post(server.url)).status_code == 200
                server.cut()
                await asyncio.sleep(0.05)
        await transport.shut()
    assert server.connections == 3


class Provider(Server):
    """An OpenID provider on a socket. It redeems so many codes at a time as come at once."""

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self._together = asyncio.Barrier(at_once)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                body = await self.answer(await read_request(reader, self.url))
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def answer(self, request: httpx2.Request) -> bytes:
        if request.url.path == "/token":
            await self._together.wait()
        return (await self.op.handle(request)).content

    @cached_property
    def op(self) -> Op:
        base = self.url.rstrip("/")
        endpoints = {"token_endpoint": f"{base}/token", "jwks_uri": f"{base}/jwks"}
        return Op(issuer=base, document=endpoints)


async def read_request(reader: asyncio.StreamReader, base: str) -> httpx2.Request:
    line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
    method, path, _ = line.split()
    headers = httpx2.Headers([(name, value) for name, _, value in (each.partition(": ") for each in lines)])
    body = await reader.readexactly(int(headers.get("Content-Length", 0)))
    return httpx2.Request(method, base.rstrip("/") + path, headers=headers, content=body)


async def test_once_warm_a_sign_in_opens_no_connection_and_makes_no_tls_context(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contexts: list[object] = []
    make = ssl.SSLContext.__new__

    def counted(kind: type[ssl.SSLContext], *given: int) -> ssl.SSLContext:
        contexts.append(kind)
        return make(kind, *given)

    monkeypatch.setattr(ssl.SSLContext, "__new__", counted)
    async with Provider(at_once=12).running() as server:
        settings = server.op.settings(discovery_url=f"{server.url}.well-known/openid-configuration")
        providers = Providers({"op": settings}, public_url="https://login.example", clock=server.op.clock)
        for _ in range(3):
            await asyncio.gather(*(finish(providers.get("op")) for _ in range(12)))
        await providers.close()
    assert (server.op.count("/token"), server.connections, len(contexts)) == (36, 12, 1)


async def test_one_tls_context_for_all() -> None:
    tls = TlsContext()
    first, second = await asyncio.gather(tls.get(), tls.get())
    assert first is second


async def test_nobody_there() -> None:
    async with Server().running() as server:
        url = server.url
    transport = Transport(TlsContext())
    with pytest.raises(ProviderUnavailable, match="ConnectError"):
        await fetch(open_client(transport, "test"), url)
    await transport.shut()


async def test_a_transport_that_was_lent_is_left_open() -> None:
    class Lent(httpx2.MockTransport):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    lent = Lent(lambda _request: httpx2.Response(200, json={}))
    transport = Transport(TlsContext(), lent)
    async with open_client(transport, "test") as http:
        await fetch(http, "https://op.example/")
    await transport.shut()
    assert not lent.closed
