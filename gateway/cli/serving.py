"""demo, serve, migrate, check, prune: running the gateway and seeing to it."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Coroutine
from typing import TYPE_CHECKING

import click

from .work import CONFIG, load, with_parts

if TYPE_CHECKING:
    from gateway.web.parts import Parts


@click.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
def demo(port: int) -> None:
    """Try it: the gateway beside a stand-in Google and a stand-in Microsoft, all on this machine."""
    from gateway.demo import run

    run(port)


@click.command()
@CONFIG
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64))
def serve(config: str, host: str, port: int, workers: int) -> None:
    """Run the gateway."""
    gc.disable()  # nothing that is loaded now is garbage: a tenth of the start; on again when all is loaded
    from gateway.serve import run

    run(config, host, port, workers)


@click.command()
@CONFIG
def migrate(config: str) -> None:
    """Bring the database schema up to date."""
    from gateway import migrate as migration

    settings = load(config)
    asyncio.run(migration.upgrade(settings.database_url))
    click.echo("The schema is up to date.")


@click.command()
@CONFIG
@click.option("--offline", is_flag=True, help="Ask no provider.")
@click.option("--port", type=click.IntRange(1, 65535), help="As for serve: shapes the default of public_url.")
def check(config: str, offline: bool, port: int | None) -> None:
    """Name every fault of the configuration, and print the redirect URIs to register."""
    from gateway.check import check as run_checks

    status, text = run_checks(config, offline, os.environ, {"port": port})
    click.echo(text)
    sys.exit(status)


@click.command()
@CONFIG
def prune(config: str) -> None:
    """Delete what has expired; a running server does it by itself."""
    from gateway.housekeeping import prune as delete_expired

    def expired(parts: Parts) -> Coroutine[None, None, dict[str, int]]:
        return delete_expired(parts.database, parts.now(), parts.provider_tokens.revoke)

    for kind, gone in with_parts(config, expired).items():
        click.echo(f"{kind}: {gone} deleted")
