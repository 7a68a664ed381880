"""The page, the gateway it signs in at, and stand-ins for Google and Microsoft; each at an address of its own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from gateway import create_app
from gateway.demo import stage
from gateway.settings.load import build
from gateway.testing import Client, Google, Microsoft

HERE = Path(__file__).parent


def gateway_tables(url: str, page: str, folder: Path, google: Google, microsoft: Microsoft) -> dict[str, Any]:
    """The gateway's configuration; README.md has it as a file, for the real providers."""
    return {
        "gateway": {
            "public_url": url,
            "database_url": f"sqlite:///{folder}/gateway.db",
            "cors_origins": [page],
            "allowed_redirects": [page],
        },
        "providers": {
            "google": {
                "preset": "google",
                "client_id": "google-page",
                "client_secret": "made-up",
                "discovery_url": google.discovery_url,
                "issuer": google.issuer,
            },
            "microsoft": {
                "preset": "microsoft",
                "client_id": "microsoft-server",
                "client_secret": "made-up",
                "audiences": ["microsoft-page"],
                "authority": microsoft.base_url,
                "tenant": "common",
                "allowed_tenants": ["*"],
            },
        },
    }


def register(url: str, page: str, google: Google, microsoft: Microsoft) -> None:
    """What one enters at Google and Microsoft. The callbacks are for sign-ins by redirect, which are there as well."""
    login_uri = f"{url}/auth/google/login?redirect_to={page}/"
    both = (login_uri, f"{url}/auth/google/callback")
    google.clients.append(Client("google-page", "made-up", both, javascript_origins=(page,)))
    microsoft.clients.append(Client("microsoft-server", "made-up", (f"{url}/auth/microsoft/callback",)))
    microsoft.clients.append(Client("microsoft-page", javascript_origins=(page,)))


def page_app(config: dict[str, Any]) -> Starlette:
    async def give_config(_: Request) -> JSONResponse:
        return JSONResponse(config)

    files = StaticFiles(directory=HERE / "page", html=True)
    return Starlette(routes=[Route("/config.json", give_config), Mount("/", files)])


def run(port: int, gateway_port: int) -> None:
    # Google's script keeps a cookie from another page: on plain http browsers allow that within one site only.
    with stage(port, gateway_port, abroad="localhost") as here:
        page, url = here.urls
        google, microsoft = here.google, here.microsoft
        register(url, page, google, microsoft)
        gateway = create_app(build(gateway_tables(url, page, here.folder, google, microsoft)))
        config = {
            "gateway": url,
            "google": {"script": f"{google.base_url}/gsi/client", "client_id": "google-page"},
            "microsoft": {
                "script": f"{microsoft.base_url}/msal-browser.js",
                "client_id": "microsoft-page",
                "authority": f"{microsoft.base_url}/common",
            },
        }
        here.play([page_app(config), gateway], f"\n  The page: {page}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000, help="of the page")
    parser.add_argument("--gateway-port", type=int, default=8000)
    asked = parser.parse_args()
    run(asked.port, asked.gateway_port)
