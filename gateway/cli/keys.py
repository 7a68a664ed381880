"""keys: the keys that sign access tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .work import AS_JSON, CONFIG, with_parts

if TYPE_CHECKING:
    from gateway.web.parts import Parts

T = TypeVar("T")

SHOWN = ("kid", "alg", "state", "created_at", "activated_at", "retire_at")


@click.group()
def keys() -> None:
    """The keys that sign access tokens."""


@keys.command("list")
@CONFIG
@AS_JSON
def list_keys(config: str, as_json: bool) -> None:
    """The next, current and previous keys."""

    async def read(parts: Parts) -> list[dict[str, object]]:
        for keyring in parts.keyrings:
            await keyring.reload()
        keys = (key for keyring in parts.keyrings for key in keyring.keys.values())
        return [{name: getattr(key, name) for name in SHOWN} for key in keys]

    found = with_parts(config, read)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("No keys yet; the gateway makes them when it starts.", err=True)
    for key in found:
        click.echo(f"{key['state']:9} {key['alg']:7} {key['kid']}")


@keys.command()
@CONFIG
@click.option("--force", is_flag=True, help="Also when the next key has hardly been published.")
def rotate(config: str, force: bool) -> None:
    """Sign with the next key from now on; the current one stays published until its last token is dead."""
    from gateway.flows import operate

    kid = run(config, lambda parts: operate.rotate_keys(parts.keyring, parts.database, parts.now(), force=force))
    click.echo(f"Signing with {kid}.")


@keys.command()
@CONFIG
@click.argument("kid")
def retire(config: str, kid: str) -> None:
    """Withdraw a key at once: tokens it signed are refused."""
    from gateway.flows import operate

    run(config, lambda parts: operate.retire_key(parts.keyring, parts.database, kid, parts.now()))
    click.echo(f"{kid} is retired.")


def run(config: str, work: Callable[[Parts], Coroutine[Any, Any, T]]) -> T:
    """Do it, and name what speaks against it."""
    from gateway.tokens.keys import KeyRefusal

    try:
        return with_parts(config, work)
    except KeyRefusal as refusal:
        raise click.ClickException(f"{str(refusal).capitalize()}.") from None
