"""accounts invite, grant, withdraw, unmerge: what an operator gives, and takes back."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

import click

from .accounts import ID, accounts, run
from .work import CONFIG

if TYPE_CHECKING:
    pass


def role_name(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", value):
        raise click.BadParameter("a role is 1 to 64 letters, digits and . _ : -")
    return value


ROLE = click.argument("role", callback=role_name)


@accounts.command()
@CONFIG
@click.option("--email", required=True, help="Whom it is for; the link works for whoever uses it first.")
@click.option("--role", callback=role_name, help="A role that the new account has.")
def invite(config: str, email: str, role: str | None) -> None:
    """Print a one-time link to a new account, for where sign-up is closed. It lives seven days."""
    from gateway.flows import operate

    if "@" not in email:
        raise click.BadParameter("not an e-mail address", param_hint="--email")
    link = run(
        config, lambda parts: operate.invite(parts.database, parts.settings.public_url, email, role, parts.now())
    )
    click.echo(link)


@accounts.command()
@CONFIG
@ID
@ROLE
def grant(config: str, account_id: uuid.UUID, role: str) -> None:
    """Grant a role, beside those that rules give; the account's sessions have it with their next token."""
    from gateway.flows import operate

    done = run(config, lambda parts: operate.grant(parts.database, account_id, role, parts.now()))
    click.echo(f"{account_id} {'has' if done.changed else 'had already'} the role {role}.")


@accounts.command()
@CONFIG
@ID
@ROLE
def withdraw(config: str, account_id: uuid.UUID, role: str) -> None:
    """Withdraw a role that was granted; one that a rule gives stays."""
    from gateway.flows import operate

    done = run(config, lambda parts: operate.withdraw(parts.database, account_id, role, parts.now()))
    click.echo(f"{account_id} {'no longer has' if done.changed else 'was never granted'} the role {role}.")


@accounts.command()
@CONFIG
@ID
def unmerge(config: str, account_id: uuid.UUID) -> None:
    """Take back the merge that this account went into another by; within 30 days."""
    from gateway.flows import merge

    done = run(config, lambda parts: merge.unmerge(parts.database, account_id, parts.now()))
    click.echo(f"{account_id} is an account of its own again; it was merged into {done.survivor}.")
