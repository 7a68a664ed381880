"""Talking to an application byte by byte, over a socket and without one."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message


class Answer:
    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status.split()[1])
        self.pairs = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
        self.headers = dict(self.pairs)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@asynccontextmanager
async def serving(app: Any, http: str | type[asyncio.Protocol] = "httptools") -> AsyncIterator[int]:
    """A real server on a free port, stopped at the end."""
    config = uvicorn.Config(
        app,
        http=http,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.005)
        yield listener.getsockname()[1]
        server.should_exit = True
        await running


async def talk(port: int, raw: bytes) -> Answer:
    """Send these bytes, read until the server hangs up."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(raw)
        answer = await reader.read()
        writer.close()
    return Answer(answer)


def request(method: str, path: str, *headers: str, body: bytes = b"") -> bytes:
    if body:
        headers = (*headers, f"Content-Length: {len(body)}")
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]).encode() + body


async def ask(app: ASGIApp, method: str, path: str, **scope: Any) -> tuple[int, dict[bytes, bytes], bytes]:
    """One request without a socket."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    whole = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "client": ("198.51.100.7", 1),
        **scope,
    }
    await app(whole, receive, send)
    start, *bodies = sent
    return start["status"], dict(start["headers"]), b"".join(body["body"] for body in bodies)
