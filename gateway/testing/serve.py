"""Running a stand-in, or any ASGI application, on a loopback address: start and stop are bounded in time."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import uvicorn

START, STOP = 10.0, 10.0  # seconds


class Server(uvicorn.Server):
    """A server that leaves signals to its surroundings, so that several can share one event loop.

    `await server.serve(sockets=[listener])` runs it; `server.should_exit = True` ends it, and is noticed within a
    hundredth of a second.
    """

    async def main_loop(self) -> None:
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            await asyncio.sleep(0.01)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server(app: Any, tls: tuple[str, str] | None = None) -> Server:
    """`tls`: the files of certificate and key, where it is to speak https."""
    certificate, key = tls or (None, None)
    config = uvicorn.Config(
        app,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        lifespan="auto",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        ws="none",
    )
    return Server(config)


def bind(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A listening socket; port 0 takes a free one. ValueError for anything but a loopback address."""
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{host} is not a loopback address")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, or the event loop leaves Nagle's algorithm on and answers 40 ms late.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1" if host == "localhost" else host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def free_port() -> int:
    """For what must know its port before it listens. Below the ports that go to outgoing connections: one of those
    could come between."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with suppress(OSError), bind(port=port):
            return port


def address(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def bound(host: str = "127.0.0.1", port: int = 0) -> Iterator[tuple[socket.socket, str]]:
    """A listening socket and the URL it will answer at, for applications that must know their own URL first."""
    with bind(host, port) as listener:
        yield listener, address(host, listener)


def running(app: Any, listener: socket.socket, tls: tuple[str, str] | None = None) -> AbstractContextManager[Server]:
    """Serves in a daemon thread until the block ends. TimeoutError if it does not start or stop in time."""
    return in_thread(server(app, tls), [listener])


@contextmanager
def in_thread(one: Server, listeners: list[socket.socket] | None = None) -> Iterator[Server]:
    """As `running`, for a server of one's own; without listeners it binds what its configuration says."""
    thread = threading.Thread(target=one.run, kwargs={"sockets": listeners}, daemon=True)
    thread.start()
    try:
        _await_start(one, thread)
        yield one
    finally:
        one.should_exit = True
        thread.join(STOP)
        if thread.is_alive():
            raise TimeoutError("the server did not stop")


def _await_start(one: Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START
    while not one.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise TimeoutError("the server did not start")
        time.sleep(0.005)
