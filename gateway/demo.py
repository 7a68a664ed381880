"""The demo: the gateway beside two stand-in providers and a throw-away database, all on loopback."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from . import logs
from .app import create_app
from .errors import CannotStart
from .settings import Settings
from .settings.load import build
from .testing import Client, Google, Microsoft, StandIn, serve

WELCOME = """
  The gateway is running:   {url}

  Sign in with a stand-in for Google ({google}) or for Microsoft ({microsoft}).
  Nothing leaves this machine, and everything is forgotten at the end. Ctrl-C ends it.
"""


def run(port: int) -> None:
    """Run until Ctrl-C or SIGTERM. Raises CannotStart when the port is taken."""
    logs.configure(os.environ.get("GATEWAY_LOG_LEVEL", "warning"), style="text")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-demo-"))
        ours = listen(stack, port)
        google, microsoft = Google(), Microsoft()
        sockets = [ours, *(stand(stack, provider) for provider in (google, microsoft))]
        settings = demo_settings(f"http://localhost:{port}", Path(folder), google, microsoft)
        apps: list[Any] = [create_app(settings), google.app, microsoft.app]
        welcome = WELCOME.format(url=settings.public_url, google=google.base_url, microsoft=microsoft.base_url)
        asyncio.run(serve_all(apps, sockets, lambda: click.echo(welcome)))


def listen(stack: ExitStack, port: int) -> socket.socket:
    try:
        return stack.enter_context(serve.bind("127.0.0.1", port))
    except OSError as error:
        raise CannotStart(f"Port {port} is taken.", f"Choose another: gateway demo --port {port + 1}") from error


def stand(stack: ExitStack, provider: StandIn) -> socket.socket:
    """A socket for a stand-in, which learns its own address from it."""
    listener, provider.base_url = stack.enter_context(serve.bound())
    return listener


def demo_settings(
    url: str, folder: Path, google: StandIn, microsoft: StandIn, apps: Mapping[str, Any] = MappingProxyType({})
) -> Settings:
    """Both presets as an operator would use them, pointed at the stand-ins, with made-up credentials; and tables
    `[apps.<client_id>]`."""
    tables: dict[str, Any] = {
        "google": {"preset": "google", "discovery_url": google.discovery_url, "issuer": google.issuer},
        "microsoft": {
            "preset": "microsoft",
            "authority": microsoft.base_url,
            "tenant": "common",
            "allowed_tenants": ["*"],
        },
    }
    for (name, table), provider in zip(tables.items(), (google, microsoft), strict=True):
        client = Client(
            id=f"demo-{name}",
            secret=secrets.token_urlsafe(24),
            redirect_uris=(f"{url}/auth/{name}/callback", f"{url}/auth/signed-out"),
        )
        provider.clients.append(client)
        table |= {"client_id": client.id, "client_secret": client.secret}
    gateway = {"public_url": url, "database_url": f"sqlite:///{folder / 'gateway.db'}"}
    return build({"gateway": gateway, "providers": tables, "apps": apps})


async def serve_all(apps: list[Any], sockets: list[socket.socket], started: Callable[[], None]) -> None:
    """Serve every application on its socket until a signal; whichever ends takes the others with it."""
    servers = [serve.server(app) for app in apps]

    def end() -> None:
        for server in servers:
            server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    running = [asyncio.create_task(server.serve([at])) for server, at in zip(servers, sockets, strict=True)]
    while not all(server.started for server in servers) and not any(  # noqa: ASYNC110  uvicorn has no event for it
        task.done() for task in running
    ):
        await asyncio.sleep(0.01)
    if all(server.started for server in servers):
        started()
    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    end()
    await asyncio.gather(*running)
