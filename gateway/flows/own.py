"""What owners do with their account: choose how it is called, take everything away, delete it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway import accounts, events, sessions
from gateway.accounts import LinkedIdentity, grants, merges, provider_tokens
from gateway.accounts.provider_tokens import Kept
from gateway.db import Database
from gateway.errors import NotFound, RequestFault
from gateway.events import NOWHERE, Event, Origin

from .facts import retell
from .link import held

LONGEST_NAME = 100  # characters
GRACE = 7 * 86400  # seconds in which signing in takes a deletion back


async def change_profile(
    database: Database, account_id: uuid.UUID, wanted: Mapping[str, Any], origin: Origin, now: int
) -> None:
    """Set `name`, `email` and `picture`: the address a verified one of an identity, the picture that of one, or None.
    RequestFault."""
    async with database.write() as connection:
        account = await held(connection, account_id)
        mine = (await accounts.identities_of(connection, [account_id]))[account_id]
        values: dict[str, Any] = {}
        if "name" in wanted:
            values["name"] = fit_name(wanted["name"])
        if "email" in wanted:
            values |= {"email": own_address(wanted["email"], mine), "email_verified": True}
        if "picture" in wanted:
            values["picture"] = own_picture(wanted["picture"], mine)
        if not values:
            raise RequestFault("neither name nor email nor picture")
        new = {name: value for name, value in values.items() if getattr(account, name) != value}
        if not new:
            return
        await accounts.change(connection, account_id, **new)
        changed = {"changed": sorted(new.keys() & {"name", "email", "picture"})}
        await events.record(connection, Event("profile_changed", account_id, detail=changed), origin, now)
        await retell(connection, account_id, now)


def fit_name(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise RequestFault("name is empty, too long or not printable")
    return name.strip()


def own_address(address: object, identities: list[LinkedIdentity]) -> str:
    """The address as an identity of the account has it, verified."""
    for identity in identities:
        if identity.email and identity.email_verified and identity.email == address:
            return identity.email
    raise RequestFault("not a verified address of this account")


def own_picture(picture: object, identities: list[LinkedIdentity]) -> str | None:
    """The picture as an identity of the account has it; None for no picture."""
    if picture is not None and picture not in [identity.picture for identity in identities if identity.picture]:
        raise RequestFault("not a picture of this account's identities")
    return None if picture is None else str(picture)


async def ask_for_deletion(database: Database, account_id: uuid.UUID, origin: Origin, now: int) -> list[uuid.UUID]:
    """Delete the account in seven days unless its owner signs in again; the ids of the sessions that ended now."""
    async with database.write() as connection:
        await held(connection, account_id)
        await accounts.change(connection, account_id, delete_at=now + GRACE)
        ended = await sessions.end_for_account(connection, account_id, reason="account_deleted", now=now)
        detail = {"delete_at": now + GRACE}
        await events.record(connection, Event("deletion_requested", account_id, detail=detail), origin, now)
    return ended


@dataclass(slots=True)
class Erased:
    """How many accounts are gone, how many sessions ended by that, and providers' tokens that nobody keeps any more."""

    accounts: int = 0
    ended: int = 0
    orphans: list[Kept] = field(default_factory=list)


async def delete_due(connection: AsyncConnection, now: int, limit: int) -> Erased:
    """Delete up to `limit` accounts whose time has come, with everything personal."""
    erased = Erased()
    for account_id in await accounts.due(connection, now, limit):
        one = await erase(connection, account_id, now)
        erased = Erased(erased.accounts + 1, erased.ended + one.ended, [*erased.orphans, *one.orphans])
    return erased


async def erase(
    connection: AsyncConnection, account_id: uuid.UUID, now: int, detail: Mapping[str, Any] | None = None
) -> Erased:
    """Delete the account, which the caller holds, and what went into it.

    Everything personal goes. The ids stay in events, and are never used again. The sessions' rows stay for a while,
    ended, emptied and without an account: also a server that starts only now must know that their tokens are dead.
    """
    erased = Erased(accounts=1)
    for each in (account_id, *await merges.merged_from(connection, account_id)):
        count = len(await sessions.forget(connection, each, reason="account_deleted", now=now))
        await events.forget(connection, each)
        erased.orphans += await provider_tokens.of_account(connection, each)
        await accounts.remove(connection, each)
        gone = Event("account_deleted", each, detail={**(detail or {}), "count": count})
        await events.record(connection, gone, NOWHERE, now)
        erased.ended += count
    return erased


async def export(database: Database, account_id: uuid.UUID, now: int, *, idle_ttl: int) -> dict[str, Any]:
    """Everything we hold about a person, as JSON values. NotFound."""
    async with database.read() as connection:
        found = await accounts.profile(connection, account_id)
        if found is None:
            raise NotFound("no such account")
        account, identities = found
        merged = await merges.merged_from(connection, account_id)
        return {
            "exported_at": now,
            "account": {
                "id": str(account.id),
                "email": account.email,
                "email_verified": account.email_verified,
                "name": account.name,
                "picture": account.picture,
                "created_at": account.created_at,
                "roles": list(await grants.granted(connection, account_id)),
                "merged_from": [str(each) for each in merged],
            },
            "identities": [identity_json(identity) for identity in identities],
            "sessions": [
                session_json(session)
                for session in await sessions.list_for(connection, account_id, now, idle_ttl=idle_ttl)
            ],
            "events": [
                event.as_json()
                for each in (account_id, *merged)
                for event in await events.of_account(connection, each, limit=10_000)
            ],
        }


def identity_json(identity: LinkedIdentity) -> dict[str, Any]:
    fields = ("provider", "issuer", "subject", "email", "email_verified", "name", "picture", "ids")
    times = ("linked_at", "last_used_at")
    return {"id": str(identity.id), **{name: getattr(identity, name) for name in (*fields, *times)}}


def session_json(session: sessions.Session) -> dict[str, Any]:
    fields = ("provider", "created_at", "auth_time", "last_used_at", "expires_at", "user_agent", "ip")
    return {"id": str(session.id), **{name: getattr(session, name) for name in fields}}
