"""The page with its API, the gateway, and stand-ins for Google and Microsoft; each at an address of its own."""

from __future__ import annotations

import argparse
from typing import Any

from api import make_app

from gateway import create_app
from gateway.demo import stage


def app_tables(page: str) -> dict[str, Any]:
    """`[apps.notes]`, as README.md has it."""
    addresses = {"redirect_uris": [f"{page}/"], "post_logout_redirect_uris": [f"{page}/"]}
    return {"notes": {"type": "spa", "label": "Notes", "audience": page, **addresses}}


def run(port: int, gateway_port: int) -> None:
    with stage(port, gateway_port) as here:
        page, url = here.urls
        gateway = create_app(here.settings(url, apps=app_tables(page)))
        here.play([make_app(url, page), gateway], f"\n  The page: {page}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000, help="of the page")
    parser.add_argument("--gateway-port", type=int, default=8000)
    asked = parser.parse_args()
    run(asked.port, asked.gateway_port)
