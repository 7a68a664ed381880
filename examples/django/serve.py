"""A Django site, the gateway, and stand-ins for Google and Microsoft; each at an address of its own."""

from __future__ import annotations

import argparse
import os
import secrets
from typing import Any

from gateway import create_app
from gateway.demo import Stage, stage

WELCOME = """
  The site: {site}

  What the catalogue does, in another terminal:

TOKEN=$(curl --silent --user {catalogue} --data grant_type=client_credentials {gateway}/auth/token |
  sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/')
curl --header "Authorization: Bearer $TOKEN" {site}/api/books

  Ctrl-C ends everything.
"""


def django_site(here: Stage, site: str, gateway: str) -> Any:
    """The site with an empty database. Django reads its settings when it is imported."""
    database = str(here.folder / "site.db")
    os.environ |= {"SITE_URL": site, "GATEWAY_URL": gateway, "GATEWAY_COOKIE": "gateway", "DATABASE": database}
    os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
    from django.core.asgi import get_asgi_application
    from django.core.management import call_command

    application = ASGIStaticFilesHandler(get_asgi_application())
    call_command("migrate", run_syncdb=True, verbosity=0)
    return application


def run(port: int, gateway_port: int) -> None:
    with stage(port, gateway_port) as here:
        site, gateway = here.urls
        secret = secrets.token_urlsafe(32)
        settings = here.settings(
            gateway,
            gateway={"allowed_redirects": [site], "default_redirect": site},
            apps={"catalogue": {"type": "service", "client_secret": secret, "scopes": ["books:read"]}},
            roles=[{"role": "librarian", "emails": ["ada@example.com"]}],
        )
        apps = [django_site(here, site, gateway), create_app(settings)]
        here.play(apps, WELCOME.format(site=site, gateway=gateway, catalogue=f"catalogue:{secret}"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000, help="of the site")
    parser.add_argument("--gateway-port", type=int, default=8000)
    asked = parser.parse_args()
    run(asked.port, asked.gateway_port)
