"""The page with its API, the gateway, and stand-ins for Google and Microsoft; each at an address of its own."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from api import make_app

from gateway import create_app
from gateway.demo import demo_settings, serve_all, stand
from gateway.testing import Google, Microsoft, serve


def app_tables(page: str) -> dict[str, Any]:
    """`[apps.notes]`, as README.md has it."""
    addresses = {"redirect_uris": [f"{page}/"], "post_logout_redirect_uris": [f"{page}/"]}
    return {"notes": {"type": "spa", "label": "Notes", "audience": page, **addresses}}


def run(port: int, gateway_port: int) -> None:
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-example-"))
        google, microsoft = Google(), Microsoft()
        at_google, at_microsoft = stand(stack, google), stand(stack, microsoft)
        page_at, page = stack.enter_context(serve.bound("localhost", port))
        gateway_at, url = stack.enter_context(serve.bound("localhost", gateway_port))
        settings = demo_settings(url, Path(folder), google, microsoft, apps=app_tables(page))
        apps = [make_app(url, page), create_app(settings), google.app, microsoft.app]
        sockets = [page_at, gateway_at, at_google, at_microsoft]
        asyncio.run(serve_all(apps, sockets, lambda: print(f"\n  The page: {page}\n", flush=True)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000, help="of the page")
    parser.add_argument("--gateway-port", type=int, default=8000)
    asked = parser.parse_args()
    run(asked.port, asked.gateway_port)
