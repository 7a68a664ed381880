"""The rows of accounts and identities: finding, creating, changing, each in the caller's transaction."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Row,
    Text,
    Update,
    Uuid,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from gateway import schema
from gateway.errors import Overtaken
from gateway.identity import Identity

from .decision import Holder

# Of every sign-in and every look at oneself, and so made once: SQLAlchemy takes 0.1 ms and more to put one together.
FIND = (
    select(schema.accounts, schema.identities.c.id.label("identity_id"))
    .join_from(schema.identities, schema.accounts)
    .where(schema.identities.c.issuer == bindparam("issuer"), schema.identities.c.subject == bindparam("subject"))
)
FIND_AND_HOLD = FIND.with_for_update(key_share=True, of=schema.accounts)
HOLD = select(schema.accounts).where(schema.accounts.c.id == bindparam("account_id")).with_for_update(key_share=True)
MAKE_ACCOUNT, MAKE_IDENTITY = insert(schema.accounts), insert(schema.identities)
HOLDERS = (
    select(
        schema.accounts.c.id,
        schema.accounts.c.disabled_at,
        func.max(case((schema.identities.c.email_authority, 1), else_=0)).label("authority"),
    )
    .join_from(schema.identities, schema.accounts)
    .where(
        schema.identities.c.email_key == bindparam("key"),
        schema.identities.c.email_verified,
        schema.accounts.c.merged_into.is_(None),
    )
    .group_by(schema.accounts.c.id, schema.accounts.c.created_at, schema.accounts.c.disabled_at)
    .order_by(schema.accounts.c.created_at, schema.accounts.c.id)
)
# What a provider says of an identity that is this account's still; and again, with the address as it was.
TOLD = ("provider", "email", "email_key", "email_verified", "email_authority", "name", "picture", "ids", "last_used_at")
TELLING_AGAIN: Mapping[str, TypeEngine[Any]] = {
    "which": Uuid(),
    "of_account": Uuid(),
    **{f"told_{name}": schema.identities.c[name].type for name in TOLD},
    "known_email": Text(),
    "known_verified": Boolean(),
}


def tell(given: Mapping[str, ColumnElement[Any]]) -> Update:
    """With what is given: parameters for one identity, or the columns of a table that has many."""
    mine = schema.identities.c
    told = update(schema.identities).where(mine.id == given["which"], mine.account_id == given["of_account"])
    return told.values({name: given[f"told_{name}"] for name in TOLD})


def tell_again(given: Mapping[str, ColumnElement[Any]]) -> Update:
    mine = schema.identities.c
    same_address = mine.email.is_not_distinct_from(given["known_email"])
    return tell(given).where(same_address, mine.email_verified == given["known_verified"])


ONE = {name: bindparam(name, type_=type_) for name, type_ in TELLING_AGAIN.items()}
TELL, TELL_AGAIN = tell(ONE), tell_again(ONE)


@dataclass(frozen=True, slots=True)
class Account:
    id: uuid.UUID
    email: str | None
    email_verified: bool
    name: str | None
    picture: str | None
    created_at: int  # epoch seconds, as all times here
    disabled_at: int | None = None
    delete_at: int | None = None  # asked to be deleted; signing in until then takes that back
    merged_into: uuid.UUID | None = None  # a tombstone: who asks for this account means that one


@dataclass(frozen=True, slots=True)
class LinkedIdentity:
    """An identity as it is kept: the key, the account it belongs to, and what its provider said last."""

    id: uuid.UUID
    account_id: uuid.UUID
    provider: str
    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    email_authority: bool  # the provider is an authority for the address
    name: str | None
    picture: str | None
    ids: Mapping[str, str]
    linked_at: int
    last_used_at: int


# Account and identity, in the order of their fields: read by place, which is quicker than by name.
PROFILE_COLUMNS = [
    *(schema.accounts.c[name] for name in Account.__slots__),
    *(schema.identities.c[name].label(f"identity_{name}") for name in LinkedIdentity.__slots__),
]
PROFILE = (
    select(*PROFILE_COLUMNS)
    .outerjoin_from(schema.accounts, schema.identities)
    .where(schema.accounts.c.id == bindparam("account_id"))
    .order_by(schema.identities.c.linked_at, schema.identities.c.id)
)


def email_key(address: str | None) -> str | None:
    """The form in which addresses are compared: ASCII without case; anything else only with itself."""
    if address is None:
        return None
    return address.lower() if address.isascii() else address


async def find(
    connection: AsyncConnection, identity: Identity, *, hold: bool = True
) -> tuple[Account, uuid.UUID] | None:
    """The account an identity belongs to, with the identity's id; the account is held until the transaction ends.

    The identity itself may have gone elsewhere until then: `refresh_identity` tells.
    """
    key = {"issuer": identity.issuer, "subject": identity.subject}
    row = (await connection.execute(FIND_AND_HOLD if hold else FIND, key)).one_or_none()
    return (to_account(row), row.identity_id) if row else None


async def create(connection: AsyncConnection, identity: Identity, now: int) -> tuple[Account, uuid.UUID]:
    """A new account with this identity. IntegrityError when somebody else linked the identity first."""
    account = Account(uuid.uuid4(), identity.email, identity.email_verified, identity.name, identity.picture, now)
    values = {field: getattr(account, field) for field in Account.__slots__}
    await connection.execute(MAKE_ACCOUNT, values)
    return account, await add_identity(connection, account.id, identity, now)


async def add_identity(connection: AsyncConnection, account_id: uuid.UUID, identity: Identity, now: int) -> uuid.UUID:
    """Link an identity nobody has; its id. IntegrityError when somebody else linked it first."""
    identity_id = uuid.uuid4()
    key = {"id": identity_id, "account_id": account_id, "issuer": identity.issuer, "subject": identity.subject}
    await connection.execute(MAKE_IDENTITY, {**key, "linked_at": now, **told(identity, now)})
    return identity_id


async def remove_identity(connection: AsyncConnection, identity_id: uuid.UUID) -> None:
    await connection.execute(delete(schema.identities).where(schema.identities.c.id == identity_id))


async def move_identities(
    connection: AsyncConnection, identity_ids: Sequence[uuid.UUID], account_id: uuid.UUID
) -> None:
    """Give these identities to another account."""
    mine = schema.identities
    await connection.execute(update(mine).where(mine.c.id.in_(identity_ids)).values(account_id=account_id))


async def holders(connection: AsyncConnection, address: str) -> list[Holder]:
    """The accounts at which a provider has verified this address, disabled ones too, oldest first.

    An address that nobody verified leads to nobody, so whoever only claimed it holds nothing.
    """
    rows = await connection.execute(HOLDERS, {"key": email_key(address)})
    return [Holder(row.id, bool(row.authority), row.disabled_at is not None) for row in rows]


async def change(connection: AsyncConnection, account_id: uuid.UUID, **values: Any) -> None:
    """Set columns of an account."""
    await connection.execute(update(schema.accounts).where(schema.accounts.c.id == account_id).values(**values))


async def refresh_identity(
    connection: AsyncConnection, account_id: uuid.UUID, identity_id: uuid.UUID, identity: Identity, now: int
) -> bool:
    """Keep what the provider says now about an identity it vouched for again; the account's own data stays. Whether
    the address, or what makes it verified, is another than before.

    Overtaken when the identity is not this account's any more.
    """
    if (await connection.execute(TELL_AGAIN, telling_again(account_id, identity_id, identity, now))).rowcount == 1:
        return False
    if (await connection.execute(TELL, telling(account_id, identity_id, identity, now))).rowcount != 1:
        raise Overtaken("the identity was unlinked, or went to another account")
    return True


def telling(account_id: uuid.UUID, identity_id: uuid.UUID, identity: Identity, now: int) -> dict[str, Any]:
    """What TELL is given."""
    said = {f"told_{name}": value for name, value in told(identity, now).items()}
    return {"which": identity_id, "of_account": account_id, **said}


def telling_again(account_id: uuid.UUID, identity_id: uuid.UUID, identity: Identity, now: int) -> dict[str, Any]:
    """What TELL_AGAIN is given."""
    known = {"known_email": identity.email, "known_verified": identity.email_verified}
    return telling(account_id, identity_id, identity, now) | known


def told(identity: Identity, now: int) -> dict[str, Any]:
    return {
        "provider": identity.provider,
        "email": identity.email,
        "email_key": email_key(identity.email),
        "email_verified": identity.email_verified,
        "email_authority": identity.email_authority,
        "name": identity.name,
        "picture": identity.picture,
        "ids": dict(identity.ids),
        "last_used_at": now,
    }


async def profile(
    connection: AsyncConnection, account_id: uuid.UUID
) -> tuple[Account, tuple[LinkedIdentity, ...]] | None:
    """The account with its identities, oldest link first, in one statement; None when there is no such account."""
    rows = (await connection.execute(PROFILE, {"account_id": account_id})).all()
    return to_profile(rows) if rows else None


def to_profile(rows: Sequence[Sequence[Any]]) -> tuple[Account, tuple[LinkedIdentity, ...]]:
    """From rows that begin with PROFILE_COLUMNS, one for each identity of the account."""
    own, all_ = len(Account.__slots__), len(PROFILE_COLUMNS)
    identities = tuple(LinkedIdentity(*row[own:all_]) for row in rows if row[own] is not None)
    return Account(*rows[0][:own]), identities


async def hold(connection: AsyncConnection, account_id: uuid.UUID) -> Account | None:
    """The account, held until the transaction ends: no sign-in comes between."""
    row = (await connection.execute(HOLD, {"account_id": account_id})).one_or_none()
    return to_account(row) if row else None


async def due(connection: AsyncConnection, now: int, limit: int) -> list[uuid.UUID]:
    """Accounts whose owners asked for deletion and did not come back, held until the transaction ends."""
    mine = schema.accounts.c
    query = select(mine.id).where(mine.delete_at <= now).order_by(mine.id).limit(limit)
    return list((await connection.execute(query.with_for_update(key_share=True, skip_locked=True))).scalars())


async def remove(connection: AsyncConnection, account_id: uuid.UUID) -> None:
    """Delete the account with its identities. IntegrityError while it has a living session."""
    await connection.execute(delete(schema.accounts).where(schema.accounts.c.id == account_id))


async def page(
    connection: AsyncConnection, *, limit: int, after: Account | None = None, search: str = ""
) -> list[Account]:
    """Up to `limit` accounts, oldest first, behind `after`; with `search` in an address, a name or a subject of theirs.

    NOTE: SQLite compares only ASCII letters without their case.
    """
    mine = schema.accounts.c
    query = select(schema.accounts).order_by(mine.created_at, mine.id).limit(limit)
    if after is not None:
        query = query.where(
            tuple_(mine.created_at, mine.id) > tuple_(literal(after.created_at), literal(after.id, Uuid))
        )
    if search:
        query = query.where(matches(search))
    return [to_account(row) for row in await connection.execute(query)]


def matches(search: str) -> ColumnElement[bool]:
    """Whether an account, or an identity of it, holds this text."""
    mine, theirs = schema.accounts.c, schema.identities.c
    own, told = (mine.email, mine.name), (theirs.email, theirs.name, theirs.subject)
    by_identity = or_(*(each.icontains(search, autoescape=True) for each in told))
    return or_(
        *(each.icontains(search, autoescape=True) for each in own),
        exists().where(theirs.account_id == mine.id, by_identity),
    )


async def with_email(connection: AsyncConnection, address: str) -> list[Account]:
    """The accounts whose own address this is, or that of one of their identities; verified or not, oldest first."""
    mine, theirs, key = schema.accounts.c, schema.identities.c, email_key(address)
    by_identity = exists().where(theirs.account_id == mine.id, theirs.email_key == key)
    own = func.lower(mine.email) == key if address.isascii() else mine.email == key
    found = and_(or_(own, by_identity), mine.merged_into.is_(None))
    query = select(schema.accounts).where(found).order_by(mine.created_at, mine.id)
    return [to_account(row) for row in await connection.execute(query)]


async def identities_of(
    connection: AsyncConnection, account_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, list[LinkedIdentity]]:
    """The identities of each of these accounts, oldest link first."""
    mine = schema.identities.c
    query = (
        select(*(mine[name].label(f"identity_{name}") for name in LinkedIdentity.__slots__))
        .where(mine.account_id.in_(account_ids))
        .order_by(mine.linked_at, mine.id)
    )
    found: dict[uuid.UUID, list[LinkedIdentity]] = {account_id: [] for account_id in account_ids}
    for row in await connection.execute(query):
        found[row.identity_account_id].append(to_identity(row))
    return found


def to_account(row: Row[Any]) -> Account:
    return Account(**{field: getattr(row, field) for field in Account.__slots__})


def to_identity(row: Row[Any]) -> LinkedIdentity:
    return LinkedIdentity(**{field: getattr(row, f"identity_{field}") for field in LinkedIdentity.__slots__})
