"""accounts invite, grant, withdraw, unmerge: what an operator gives, and takes back."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

import click

from .accounts import ID, accounts, run, say
from .work import AS_JSON, CONFIG

if TYPE_CHECKING:
    from gateway.flows.operate import Changed


def role_name(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", value):
        raise click.BadParameter("a role is 1 to 64 letters, digits and . _ : -")
    return value


ROLE = click.argument("role", callback=role_name)


@accounts.command()
@CONFIG
@AS_JSON
@click.option("--email", required=True, help="Whom it is for; the link works for whoever uses it first.")
@click.option("--role", callback=role_name, help="A role that the new account has.")
def invite(config: str, as_json: bool, email: str, role: str | None) -> None:
    """Print a one-time link to a new account, for where sign-up is closed. It lives seven days."""
    from gateway.flows import operate

    if "@" not in email:
        raise click.BadParameter("not an e-mail address", param_hint="--email")
    link = run(
        config, lambda parts: operate.invite(parts.database, parts.settings.public_url, email, role, parts.now())
    )
    say(as_json, {"link": link, "email": email, "role": role}, link)


@accounts.command()
@CONFIG
@AS_JSON
@ID
@ROLE
def grant(config: str, as_json: bool, account_id: uuid.UUID, role: str) -> None:
    """Grant a role, beside those that rules give; the account's sessions have it with their next token."""
    from gateway.flows import operate

    done = run(config, lambda parts: operate.grant(parts.database, account_id, role, parts.now()))
    words = f"{account_id} {'has' if done.changed else 'had already'} the role {role}."
    say(as_json, role_json(done, role), words)


@accounts.command()
@CONFIG
@AS_JSON
@ID
@ROLE
def withdraw(config: str, as_json: bool, account_id: uuid.UUID, role: str) -> None:
    """Withdraw a role that was granted; one that a rule gives stays."""
    from gateway.flows import operate

    done = run(config, lambda parts: operate.withdraw(parts.database, account_id, role, parts.now()))
    words = f"{account_id} {'no longer has' if done.changed else 'was never granted'} the role {role}."
    say(as_json, role_json(done, role), words)


def role_json(done: Changed, role: str) -> dict[str, Any]:
    return {"id": str(done.account.id), "changed": done.changed, "role": role}


@accounts.command()
@CONFIG
@AS_JSON
@ID
def unmerge(config: str, as_json: bool, account_id: uuid.UUID) -> None:
    """Take back the merge that this account went into another by; within 30 days."""
    from gateway.flows import merge

    done = run(config, lambda parts: merge.unmerge(parts.database, account_id, parts.now()))
    values = {"id": str(account_id), "merged_into": str(done.survivor)}
    say(as_json, values, f"{account_id} is an account of its own again; it was merged into {done.survivor}.")
