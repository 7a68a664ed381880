"""accounts: the operator's view of accounts, and what an operator may do to one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .work import AS_JSON, CONFIG, with_parts

if TYPE_CHECKING:
    from gateway.flows.operate import Changed, Shown
    from gateway.web.parts import Parts

T = TypeVar("T")

ID = click.argument("account_id", metavar="ID", type=click.UUID)


@click.group()
def accounts() -> None:
    """Accounts: who has one, and ending what must end."""


@accounts.command("list")
@CONFIG
@AS_JSON
@click.option("--search", default="", metavar="TEXT", help="Only those with TEXT in an address, a name or a subject.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="How many at most.")
@click.option("--after", type=click.UUID, metavar="ID", help="Go on behind this account.")
def list_accounts(config: str, as_json: bool, search: str, limit: int, after: uuid.UUID | None) -> None:
    """Accounts, oldest first."""
    from gateway.flows import operate

    from . import showing

    found = run(config, lambda parts: operate.page(parts.database, limit=limit + 1, after=after, search=search))
    more, found = len(found) > limit, found[:limit]
    if as_json:
        click.echo(json.dumps([showing.listed_json(each) for each in found], indent=2))
    elif found:
        click.echo(showing.listed_table(found))
    else:
        click.echo("No accounts.", err=True)
    if more:
        click.echo(f"There are more: --after {found[-1].account.id}", err=True)


@accounts.command()
@CONFIG
@AS_JSON
@click.argument("who", metavar="ID|EMAIL")
def show(config: str, as_json: bool, who: str) -> None:
    """One account with its identities and living sessions."""
    from . import showing

    found = run(config, lambda parts: look_up(parts, who))
    click.echo(json.dumps(showing.shown_json(found), indent=2) if as_json else showing.shown_text(found))


async def look_up(parts: Parts, who: str) -> Shown:
    from gateway.flows import operate

    account_id = await only_one(parts, who) if "@" in who else as_id(who)
    return await operate.show(parts.database, account_id, parts.now(), idle_ttl=parts.settings.refresh_token_idle_ttl)


def as_id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise click.BadParameter("neither an account's id nor an e-mail address", param_hint="ID|EMAIL") from None


async def only_one(parts: Parts, address: str) -> uuid.UUID:
    from gateway.flows import operate

    found = await operate.with_email(parts.database, address)
    if len(found) == 1:
        return found[0].id
    if not found:
        raise click.ClickException("No account carries that address.")
    ids = "\n".join(f"  {account.id}" for account in found)
    raise click.ClickException(f"{len(found)} accounts carry that address; name one by its id:\n{ids}")


@accounts.command()
@CONFIG
@AS_JSON
@ID
def disable(config: str, as_json: bool, account_id: uuid.UUID) -> None:
    """Let nobody sign in to it any more, and end its sessions."""
    from gateway.flows import operate

    done = run(config, lambda parts: operate.disable(parts.database, account_id, parts.now()))
    words = f"{account_id} {'is disabled' if done.changed else 'was disabled already'}; {ended(done)}."
    say(as_json, changed_json(done), words)


@accounts.command()
@CONFIG
@AS_JSON
@ID
def enable(config: str, as_json: bool, account_id: uuid.UUID) -> None:
    """Let people sign in to it again."""
    from gateway.flows import operate

    done = run(config, lambda parts: operate.enable(parts.database, account_id, parts.now()))
    words = f"{account_id} {'is enabled' if done.changed else 'was enabled already'}."
    say(as_json, changed_json(done), words)


@accounts.command("sign-out")
@CONFIG
@AS_JSON
@ID
def sign_out(config: str, as_json: bool, account_id: uuid.UUID) -> None:
    """End all of its sessions."""
    from gateway.flows import operate

    done = run(config, lambda parts: operate.sign_out(parts.database, account_id, parts.now()))
    say(as_json, changed_json(done), f"{account_id}: {ended(done)}.")


@accounts.command()
@CONFIG
@AS_JSON
@ID
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(config: str, as_json: bool, account_id: uuid.UUID, yes: bool) -> None:
    """Delete it for good, with its identities; ends its sessions."""
    from gateway.flows import operate

    from . import showing

    if not yes:
        found = run(config, lambda parts: look_up(parts, str(account_id)))
        click.echo(showing.shown_text(found), err=True)
        click.confirm("\nDelete this account for good?", abort=True, err=True)

    async def work(parts: Parts) -> Changed:
        done = await operate.delete(parts.database, account_id, parts.now())
        await parts.provider_tokens.revoke(done.orphans)
        return done

    done = run(config, work)
    say(as_json, changed_json(done), f"{account_id} is deleted; {ended(done)}.")


def say(as_json: bool, values: Mapping[str, Any], words: str) -> None:
    """What was done: for programs, or for people."""
    click.echo(json.dumps(values, indent=2) if as_json else words)


def changed_json(done: Changed) -> dict[str, Any]:
    return {"id": str(done.account.id), "changed": done.changed, "sessions_ended": done.ended}


def ended(done: Changed) -> str:
    return f"{done.ended} session{'' if done.ended == 1 else 's'} ended"


def run(config: str, work: Callable[[Parts], Coroutine[Any, Any, T]]) -> T:
    """Do it, and say so where there is no such account."""
    from gateway.errors import NotFound

    try:
        return with_parts(config, work)
    except NotFound as error:
        raise click.ClickException(f"{error.cause.capitalize()}.") from None
