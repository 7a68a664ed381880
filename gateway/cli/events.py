"""events: what happened, for an operator to read along."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from .work import AS_JSON, CONFIG, with_parts

if TYPE_CHECKING:
    from gateway.events import Recorded
    from gateway.web.parts import Parts

OVERLAP = 5  # seconds read again each time, for what was committed late
EVERY = 1  # seconds between two looks
PAGE = 1000  # events read at once


@click.command()
@CONFIG
@AS_JSON
@click.option(
    "--since", default=3600, show_default=True, metavar="SECONDS", type=click.IntRange(0), help="How far back."
)
@click.option("--account", type=click.UUID, metavar="ID", help="Only of this account.")
@click.option("--follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
def events(config: str, as_json: bool, since: int, account: uuid.UUID | None, follow: bool) -> None:
    """What happened, oldest first: sign-ins, links, merges, ends, and what operators did."""

    async def work(parts: Parts) -> None:
        import asyncio

        seen: set[uuid.UUID] = set()
        start = parts.now() - since
        while True:
            found = await look(parts, start)
            for event in found:
                if event.id not in seen and account in (None, event.account_id):
                    click.echo(json.dumps(event.as_json()) if as_json else line(event))
            seen = {event.id for event in found}
            if not follow:
                return
            start = max(start, parts.now() - OVERLAP)
            await asyncio.sleep(EVERY)

    with_parts(config, work)


async def look(parts: Parts, start: int) -> list[Recorded]:
    """Every event since `start`, read in pages."""
    from gateway import events as recorded

    found: list[Recorded] = []
    async with parts.database.read() as connection:
        while page := await recorded.since(connection, start, PAGE, found[-1] if found else None):
            found += page
    return found


def line(event: Recorded) -> str:
    at = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    detail = " ".join(f"{name}={value}" for name, value in event.detail.items())
    who, provider, ip = str(event.account_id or "-"), event.provider or "-", event.ip or "-"
    return f"{at}  {event.name:20} {who:36}  {provider:12} {ip:15} {detail}".rstrip()
