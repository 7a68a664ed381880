"""The demo: the gateway beside two stand-in providers and a throw-away database, all on loopback. The examples play on
the same stage."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
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


@dataclass(frozen=True, slots=True)
class Stage:
    """Addresses to serve at, two stand-ins, which know their own, and a folder that goes at the end."""

    urls: tuple[str, ...]
    folder: Path
    google: Google
    microsoft: Microsoft
    sockets: tuple[socket.socket, ...]

    def settings(self, url: str, **tables: Any) -> Settings:
        """Both presets as an operator would use them, pointed at the stand-ins, with made-up credentials; and further
        tables, such as `apps` and `roles`."""
        providers: dict[str, dict[str, Any]] = {
            "google": {"discovery_url": self.google.discovery_url, "issuer": self.google.issuer},
            "microsoft": {"authority": self.microsoft.base_url, "tenant": "common", "allowed_tenants": ["*"]},
        }
        for name, stand_in in (("google", self.google), ("microsoft", self.microsoft)):
            redirects = (f"{url}/auth/{name}/callback", f"{url}/auth/signed-out")
            client = Client(id=f"demo-{name}", secret=secrets.token_urlsafe(24), redirect_uris=redirects)
            stand_in.clients.append(client)
            providers[name] |= {"preset": name, "client_id": client.id, "client_secret": client.secret}
        gateway = {"public_url": url, "database_url": f"sqlite:///{self.folder / 'gateway.db'}"}
        gateway |= tables.pop("gateway", {})
        return build({"gateway": gateway, "providers": providers, **tables})

    def play(self, apps: Sequence[Any], welcome: str) -> None:
        """Serve these at `urls`, and the stand-ins, until Ctrl-C or SIGTERM; then `welcome` has been said."""
        everything = [*apps, self.google.app, self.microsoft.app]
        asyncio.run(serve_all(everything, self.sockets, lambda: click.echo(welcome)))


@contextmanager
def stage(*ports: int, abroad: str = "127.0.0.1") -> Iterator[Stage]:
    """A stage with an address on `localhost` for each of these ports. Raises CannotStart when one is taken. `abroad`:
    the host of the stand-ins, another site than ours unless that is `localhost`, too."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-demo-"))
        ours = [listen(stack, port) for port in ports]
        google, microsoft = Google(), Microsoft()
        theirs = [stand(stack, provider, abroad) for provider in (google, microsoft)]
        sockets = (*(listener for listener, _ in ours), *theirs)
        yield Stage(tuple(url for _, url in ours), Path(folder), google, microsoft, sockets)


def listen(stack: ExitStack, port: int) -> tuple[socket.socket, str]:
    try:
        return stack.enter_context(serve.bound("localhost", port))
    except OSError as error:
        raise CannotStart(f"Port {port} is taken.", f"Choose another, for example {port + 1}.") from error


def stand(stack: ExitStack, provider: StandIn, host: str) -> socket.socket:
    """A socket for a stand-in, which learns its own address from it."""
    listener, provider.base_url = stack.enter_context(serve.bound(host))
    return listener


def run(port: int) -> None:
    """Run until Ctrl-C or SIGTERM. Raises CannotStart when the port is taken."""
    logs.configure(os.environ.get("GATEWAY_LOG_LEVEL", "warning"), style="text")
    with stage(port) as here:
        (url,) = here.urls
        welcome = WELCOME.format(url=url, google=here.google.base_url, microsoft=here.microsoft.base_url)
        here.play([create_app(here.settings(url))], welcome)


async def serve_all(apps: Sequence[Any], sockets: Sequence[socket.socket], started: Callable[[], None]) -> None:
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
