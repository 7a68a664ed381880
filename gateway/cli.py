"""The commands. Exit status: 0 done, 1 a fault that was named on stderr, 2 wrong usage."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

from . import __version__
from .errors import CannotStart, ConfigurationError, Fault

if TYPE_CHECKING:
    from .settings import Settings
    from .web.parts import Parts

T = TypeVar("T")

CONFIG = click.option(
    "--config",
    envvar="GATEWAY_CONFIG",
    default="providers.toml",
    show_default=True,
    help="The configuration file.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gateway")
def gateway() -> None:
    """The login gateway: sign in with any OpenID provider."""


def main() -> None:
    """Run a command; name a fault on stderr instead of showing a stack."""
    try:
        gateway(prog_name="gateway")
    except ConfigurationError as error:
        for fault in error.faults:
            click.echo(describe(fault), err=True)
        sys.exit(1)
    except CannotStart as error:
        click.echo(f"{error.what}\n    {error.hint}", err=True)
        sys.exit(1)


def describe(fault: Fault) -> str:
    where = f"{fault.where} [{fault.table}] {fault.key}".replace(" []", "").rstrip()
    return f"{where}: {fault.seen}\n    {fault.hint}"


@gateway.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
def demo(port: int) -> None:
    """Try it: the gateway beside a stand-in Google and a stand-in Microsoft, all on this machine."""
    from .demo import run

    run(port)


@gateway.command()
@CONFIG
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64))
def serve(config: str, host: str, port: int, workers: int) -> None:
    """Run the gateway."""
    from .serve import run

    run(config, host, port, workers)


@gateway.command()
@CONFIG
def migrate(config: str) -> None:
    """Bring the database schema up to date."""
    from . import migrate as migration

    settings = load(config)
    asyncio.run(migration.upgrade(settings.database_url))
    click.echo("The schema is up to date.")


@gateway.command()
@CONFIG
@click.option("--offline", is_flag=True, help="Ask no provider.")
def check(config: str, offline: bool) -> None:
    """Name every fault of the configuration, and print the redirect URIs to register."""
    from .check import check as run_checks

    status, text = run_checks(config, offline, os.environ, {})
    click.echo(text)
    sys.exit(status)


@gateway.command()
@CONFIG
def prune(config: str) -> None:
    """Delete what has expired; a running server does it by itself."""
    from .housekeeping import prune as delete_expired

    for kind, gone in with_parts(config, lambda parts: delete_expired(parts.database, parts.now())).items():
        click.echo(f"{kind}: {gone} deleted")


@gateway.group()
def keys() -> None:
    """The keys that sign access tokens."""


@keys.command("list")
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_keys(config: str, as_json: bool) -> None:
    """The next, current and previous keys."""

    async def read(parts: Parts) -> list[dict[str, object]]:
        await parts.keyring.reload()
        shown = ("kid", "alg", "state", "created_at", "activated_at", "retire_at")
        return [{name: getattr(key, name) for name in shown} for key in parts.keyring.keys.values()]

    found = with_parts(config, read)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for key in found:
        click.echo(f"{key['state']:9} {key['alg']:7} {key['kid']}")


@keys.command()
@CONFIG
@click.option("--force", is_flag=True, help="Also when the next key has hardly been published.")
def rotate(config: str, force: bool) -> None:
    """Sign with the next key from now on; the current one stays published until its last token is dead."""

    async def work(parts: Parts) -> str:
        await parts.keyring.rotate(force=force)
        return parts.keyring.current.kid

    click.echo(f"Signing with {with_parts(config, work)}.")


@keys.command()
@CONFIG
@click.argument("kid")
def retire(config: str, kid: str) -> None:
    """Withdraw a key at once: tokens it signed are refused."""
    with_parts(config, lambda parts: parts.keyring.retire(kid))
    click.echo(f"{kid} is retired.")


def load(config: str) -> Settings:
    from .settings import load as load_settings

    return load_settings(config, os.environ)


def with_parts(config: str, work: Callable[[Parts], Coroutine[Any, Any, T]]) -> T:
    """Do one piece of an operator's work with the parts of a gateway that does not serve."""
    from .app import create_app, prepare_schema

    async def run() -> T:
        app = create_app(load(config))
        try:
            await prepare_schema(app.parts.database)
            return await work(app.parts)
        finally:
            await app.stop()

    return asyncio.run(run())
