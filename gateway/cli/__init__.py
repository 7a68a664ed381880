"""The commands. Exit status: 0 done, 1 a fault that was named on stderr, 2 wrong usage."""

from __future__ import annotations

import sys

import click

from gateway import __version__
from gateway.errors import CannotStart, ConfigurationError, Fault, GatewayError

from . import more_accounts  # noqa: F401  adds its commands to the group
from .accounts import accounts
from .apps import apps
from .events import events
from .keys import keys
from .proxies import proxy_config
from .serving import check, demo, migrate, prune, serve


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    commands=[demo, serve, migrate, check, keys, accounts, apps, events, prune, proxy_config],
)
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
    except ImportError as error:
        if error.name != "psycopg":
            raise
        click.echo(f"{error.msg}\n    pip install 'login-gateway[postgres]' brings the driver.", err=True)
        sys.exit(1)
    except GatewayError as error:
        click.echo(f"{error.cause or error.sentence}", err=True)
        sys.exit(1)


def describe(fault: Fault) -> str:
    where = f"{fault.where} [{fault.table}] {fault.key}".replace(" []", "").rstrip()
    return f"{where}: {fault.seen}\n    {fault.hint}"
