"""The API, the gateway, and stand-ins for Google and Microsoft; each at an address of its own."""

from __future__ import annotations

import argparse
import secrets
from typing import Any

from api import SCOPES, make_api
from docs_page import RETURN, add_docs

from gateway import create_app
from gateway.demo import stage

WELCOME = """
  Sign in and try it out:  {api}/docs

  What the warehouse does, in another terminal:

TOKEN=$(curl --silent --user {warehouse} --data grant_type=client_credentials {gateway}/auth/token |
  sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/')
curl --request PUT --header "Authorization: Bearer $TOKEN" --header "Content-Type: application/json" \\
  --data '{{"count": 12}}' {api}/stock/tea

  Ctrl-C ends everything.
"""


def tables(api: str, secret: str) -> dict[str, Any]:
    """`[apps.docs]`, `[apps.warehouse]` and `[[roles]]`, as README.md has them."""
    docs = {"type": "spa", "label": "Orders", "redirect_uris": [f"{api}{RETURN}"], "scopes": ["openid", *SCOPES]}
    warehouse = {"type": "service", "client_secret": secret, "scopes": ["stock:write"]}
    return {
        "apps": {"docs": docs | {"audience": api}, "warehouse": warehouse | {"audience": api}},
        "roles": [{"role": "manager", "emails": ["ada@example.com"]}],
    }


def run(port: int, gateway_port: int) -> None:
    with stage(port, gateway_port) as here:
        api, url = here.urls
        secret = secrets.token_urlsafe(32)
        app = make_api(url, api)
        add_docs(app, "docs")
        gateway = create_app(here.settings(url, **tables(api, secret)))
        here.play([app, gateway], WELCOME.format(api=api, gateway=url, warehouse=f"warehouse:{secret}"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000, help="of the API")
    parser.add_argument("--gateway-port", type=int, default=8000)
    asked = parser.parse_args()
    run(asked.port, asked.gateway_port)
