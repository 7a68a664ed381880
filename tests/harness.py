"""A gateway on a real socket, and a browser of a kind: what most tests stand on."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2
import uvicorn

from gateway.app import Gateway, create_app
from gateway.settings import Settings
from gateway.settings.load import build

SECRET = "an-obviously-fake-secret-key-for-tests-0123456789"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def settings_for(
    database_url: str, providers: Mapping[str, Mapping[str, Any]] | None = None, port: int = 8000, **gateway: Any
) -> Settings:
    """Settings as a file with these tables would give them."""
    defaults = {
        "public_url": f"http://localhost:{port}",
        "database_url": database_url,
        "secret_keys": [SECRET],
        "rate_limits": False,
    }
    return build({"gateway": defaults | gateway, "providers": dict(providers or {})})


class Running:
    """A gateway that listens. `url` is its public URL."""

    def __init__(self, app: Gateway, url: str) -> None:
        self.app = app
        self.url = url

    def browser(self, **headers: str) -> httpx2.Client:
        """A client with cookies of its own that navigates like a browser and follows nothing by itself."""
        accept = {"Accept": "text/html,*/*", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}
        return httpx2.Client(base_url=self.url, headers=accept | headers, timeout=20, trust_env=False)

    def api(self, **headers: str) -> httpx2.Client:
        """A client that speaks JSON and sends our own Origin."""
        return httpx2.Client(
            base_url=self.url,
            headers={"Accept": "application/json", "Origin": self.url} | headers,
            timeout=20,
            trust_env=False,
        )


@contextmanager
def running(settings: Settings, **options: Any) -> Iterator[Running]:
    """Serve on the port of `public_url`, in a thread of its own, until the block ends."""
    app = create_app(settings, **options)
    port = int(settings.public_url.split(":")[2].split("/")[0])
    with serving(app, port):
        yield Running(app, settings.public_url)


@contextmanager
def serving(app: Any, port: int) -> Iterator[None]:
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="on", loop="asyncio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise RuntimeError("the server did not start")
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(20)
