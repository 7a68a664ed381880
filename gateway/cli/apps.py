"""apps: the applications of the configuration, and secrets for them."""

from __future__ import annotations

import json
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import click

from .work import AS_JSON, CONFIG, load

if TYPE_CHECKING:
    from gateway.settings import AppSettings


@click.group()
def apps() -> None:
    """The applications that people sign in to, and services."""


@apps.command("list")
@CONFIG
@AS_JSON
def list_apps(config: str, as_json: bool) -> None:
    """The applications of the configuration."""
    found = [app_json(app) for app in load(config).apps.values()]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("No applications: docs/apps.md says how to add one.", err=True)
    for app in found:
        click.echo(f"{app['client_id']:20} {app['type']:8} {app['proof']:16} {' '.join(app['redirect_uris'])}".rstrip())


@apps.command("new-secret")
def new_secret() -> None:
    """A new secret for an application, and the hash for its settings. It is kept nowhere."""
    secret = secrets.token_urlsafe(32)
    click.echo(f"secret, for the application:  {secret}")
    click.echo(f'for its settings:             client_secret_hash = "sha256:{sha256(secret.encode()).hexdigest()}"')


def app_json(app: AppSettings) -> dict[str, Any]:
    return {
        "client_id": app.client_id,
        "type": app.type,
        "label": app.label,
        "proof": proof_of(app),
        "redirect_uris": list(app.redirect_uris),
        "scopes": list(app.scopes),
        "audience": app.audience,
        "providers": list(app.providers),
        "backchannel_logout_url": app.backchannel_logout_url,
    }


def proof_of(app: AppSettings) -> str:
    """How the application says who it is."""
    if app.public_key:
        return "private_key_jwt"
    return "client_secret" if app.client_secret or app.client_secret_hash else "none"
