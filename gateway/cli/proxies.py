"""proxy-config: what a reverse proxy in front of an application is to be told."""

from __future__ import annotations

import re

import click

from .work import CONFIG, load

KINDS = ("nginx", "caddy", "traefik", "haproxy", "apache")
ADDRESS = re.compile(r"http://(?:[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}")


def known_address(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """Where something listens. BadParameter."""
    if not ADDRESS.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not http://host:port")
    return value


def known_constraints(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> list[tuple[str, str]]:
    """role=admin and the like, in pairs. BadParameter."""
    from gateway.proxies import CONSTRAINTS

    pairs = [(name, wanted) for name, _, wanted in (value.partition("=") for value in values)]
    if not all(name in CONSTRAINTS and wanted for name, wanted in pairs):
        raise click.BadParameter(f"what can be required: {', '.join(f'{one}=…' for one in CONSTRAINTS)}")
    return pairs


@click.command("proxy-config")
@click.argument("kind", type=click.Choice(KINDS))
@CONFIG
@click.option(
    "--upstream", callback=known_address, default="http://127.0.0.1:9000", help="Where the application listens."
)
@click.option("--gateway", callback=known_address, default="http://127.0.0.1:8000", help="Where the gateway listens.")
@click.option("--require", callback=known_constraints, multiple=True, help="role=admin or the like, for every request.")
@click.option("--token", is_flag=True, help="Hand the application a signed assertion, too.")
@click.option("--lua", is_flag=True, help="Print the script that haproxy and apache need besides.")
def proxy_config(
    kind: str, config: str, upstream: str, gateway: str, require: list[tuple[str, str]], token: bool, lua: bool
) -> None:
    """Print the configuration of a reverse proxy that lets nobody pass whom the gateway does not know."""
    from gateway import proxies

    template = (proxies.LUA if lua else proxies.TEMPLATES).get(kind)
    if template is None:
        raise click.UsageError(f"{kind} needs no script.")
    settings = load(config)
    click.echo(
        proxies.render(template, settings, upstream=upstream, gateway=gateway, require=require, token=token), nl=False
    )
