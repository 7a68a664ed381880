"""Running stand-ins: only on loopback, in a thread or in the caller's event loop, stopped in time."""

from __future__ import annotations

import asyncio
import socket
import threading

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from gateway.testing import Google, Microsoft, StandIn, serve


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104  these must be refused
def test_nothing_but_loopback_is_bound(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        serve.bind(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_base_url_names_host_and_port(host: str) -> None:
    with StandIn().serve(host=host) as standin:
        assert standin.base_url.startswith(f"http://{host}:")
        assert httpx2.get(standin.discovery_url).status_code == 200


def test_a_port_can_be_asked_for() -> None:
    with serve.bind() as listener:
        port = listener.getsockname()[1]
    with StandIn().serve(port=port) as standin:
        assert standin.base_url == f"http://127.0.0.1:{port}"


def test_a_taken_port_is_an_error() -> None:
    with serve.bind() as listener, pytest.raises(OSError, match="in use"):
        serve.bind(port=listener.getsockname()[1])


def test_nothing_listens_afterwards() -> None:
    with StandIn().serve() as standin:
        port = int(standin.base_url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


async def refusing(_scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no"})


@pytest.mark.filterwarnings("ignore:Exception in thread")  # uvicorn's way to say so is SystemExit
def test_what_does_not_start_is_an_error() -> None:
    with (
        serve.bind() as listener,
        pytest.raises(TimeoutError, match="did not start"),
        serve.running(refusing, listener),
    ):
        pytest.fail("it started")


def test_what_does_not_stop_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "STOP", 0.3)
    leave = threading.Event()

    async def lingering(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.to_thread(leave.wait, 10)
        await send({"type": "lifespan.shutdown.complete"})

    try:
        with (
            serve.bind() as listener,
            pytest.raises(TimeoutError, match="did not stop"),
            serve.running(lingering, listener),
        ):
            pass
    finally:
        leave.set()


async def test_several_run_in_one_event_loop() -> None:
    standins: list[StandIn] = [Google(), Microsoft()]
    listeners = [serve.bind() for _ in standins]
    servers = [serve.server(standin.app) for standin in standins]
    tasks = [asyncio.create_task(s.serve(sockets=[lis])) for s, lis in zip(servers, listeners, strict=True)]
    async with httpx2.AsyncClient() as client:
        for standin, listener in zip(standins, listeners, strict=True):
            standin.base_url = serve.address("127.0.0.1", listener)
            assert (await client.get(standin.discovery_url)).status_code == 200
    for server in servers:
        server.should_exit = True
    await asyncio.wait_for(asyncio.gather(*tasks), 5)


async def test_a_stand_in_serves_async_tests_too() -> None:
    with StandIn().serve() as standin:
        async with httpx2.AsyncClient() as client:
            assert (await client.get(standin.discovery_url)).status_code == 200
