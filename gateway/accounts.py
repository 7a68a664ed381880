"""Accounts and their identities, and the decision what a verified identity may do.

identity known? ── yes ──► account disabled? ── yes ──► Refuse(account_disabled)
      │                            └── no ───────────► SignIn
      no ──► does `signup` admit it? ── no ──► Refuse(signup_closed, domain_not_allowed)
                      └── yes ──► Create
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Row,
    Uuid,
    bindparam,
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

from . import schema
from .errors import AccountDisabled, DomainNotAllowed, GatewayError, SignupClosed
from .identity import Identity

# Of every sign-in and every look at oneself, and so made once: SQLAlchemy takes 0.1 ms and more to put one together.
FIND = (
    select(schema.accounts, schema.identities.c.id.label("identity_id"))
    .join_from(schema.identities, schema.accounts)
    .where(schema.identities.c.issuer == bindparam("issuer"), schema.identities.c.subject == bindparam("subject"))
    .with_for_update(read=True, of=schema.accounts)
)
REFRESH = update(schema.identities).where(schema.identities.c.id == bindparam("identity_id"))
PROFILE = (
    select(schema.accounts, *(column.label(f"identity_{column.name}") for column in schema.identities.c))
    .outerjoin_from(schema.accounts, schema.identities)
    .where(schema.accounts.c.id == bindparam("account_id"))
    .order_by(schema.identities.c.linked_at, schema.identities.c.id)
)


@dataclass(frozen=True, slots=True)
class Account:
    id: uuid.UUID
    email: str | None
    email_verified: bool
    name: str | None
    picture: str | None
    created_at: int  # epoch seconds, as all times here
    disabled_at: int | None = None


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
    linked_at: int
    last_used_at: int


@dataclass(frozen=True, slots=True)
class SignupPolicy:
    """Who may have a new account: everybody, nobody, or verified addresses of some domains."""

    signup: Literal["open", "closed", "domains"] = "open"
    domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SignIn:
    account: Account
    identity_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Create:
    pass


@dataclass(frozen=True, slots=True)
class Refuse:
    error: type[GatewayError]
    account_id: uuid.UUID | None = None


Verdict = SignIn | Create | Refuse


def decide(identity: Identity, known: tuple[Account, uuid.UUID] | None, policy: SignupPolicy) -> Verdict:
    """What this identity may do. `known`: the account that (issuer, subject) belongs to, and the identity's id.

    An e-mail address never leads to an account: only (issuer, subject) does.
    """
    if known is not None:
        account, identity_id = known
        return Refuse(AccountDisabled, account.id) if account.disabled_at else SignIn(account, identity_id)
    match policy.signup:
        case "open":
            return Create()
        case "closed":
            return Refuse(SignupClosed)
        case "domains":
            return Create() if in_domains(identity, policy.domains) else Refuse(DomainNotAllowed)


def in_domains(identity: Identity, domains: Sequence[str]) -> bool:
    """Whether a verified address of the identity lies in one of these domains (exactly, not below)."""
    if not identity.email or not identity.email_verified:
        return False
    return identity.email.rpartition("@")[2].lower() in {domain.lower() for domain in domains}


def email_key(address: str | None) -> str | None:
    """The form in which addresses are compared: ASCII without case; anything else only with itself."""
    if address is None:
        return None
    return address.lower() if address.isascii() else address


async def find(connection: AsyncConnection, issuer: str, subject: str) -> tuple[Account, uuid.UUID] | None:
    """The account an identity belongs to, held until the transaction ends, with the identity's id."""
    row = (await connection.execute(FIND, {"issuer": issuer, "subject": subject})).one_or_none()
    return (to_account(row), row.identity_id) if row else None


async def create(connection: AsyncConnection, identity: Identity, now: int) -> tuple[Account, uuid.UUID]:
    """A new account with this identity. IntegrityError when somebody else linked the identity first."""
    account = Account(uuid.uuid4(), identity.email, identity.email_verified, identity.name, identity.picture, now)
    values = {field: getattr(account, field) for field in Account.__slots__}
    await connection.execute(insert(schema.accounts), values)
    identity_id = uuid.uuid4()
    key = {"account_id": account.id, "issuer": identity.issuer, "subject": identity.subject}
    row = {"id": identity_id, "linked_at": now, **key, **told(identity, now)}
    await connection.execute(insert(schema.identities), row)
    return account, identity_id


async def refresh_identity(connection: AsyncConnection, identity_id: uuid.UUID, identity: Identity, now: int) -> None:
    """Keep what the provider says now about an identity it vouched for again; the account's own data stays."""
    await connection.execute(REFRESH, {"identity_id": identity_id, **told(identity, now)})


def told(identity: Identity, now: int) -> Mapping[str, Any]:
    return {
        "provider": identity.provider,
        "email": identity.email,
        "email_key": email_key(identity.email),
        "email_verified": identity.email_verified,
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


def to_profile(rows: Sequence[Row[Any]]) -> tuple[Account, tuple[LinkedIdentity, ...]]:
    return to_account(rows[0]), tuple(to_identity(row) for row in rows if row.identity_id is not None)


async def hold(connection: AsyncConnection, account_id: uuid.UUID) -> Account | None:
    """The account, held until the transaction ends: no sign-in comes between."""
    query = select(schema.accounts).where(schema.accounts.c.id == account_id).with_for_update()
    row = (await connection.execute(query)).one_or_none()
    return to_account(row) if row else None


async def set_disabled(connection: AsyncConnection, account_id: uuid.UUID, at: int | None) -> None:
    """Disable (a time) or enable (None)."""
    await connection.execute(update(schema.accounts).where(schema.accounts.c.id == account_id).values(disabled_at=at))


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
    query = select(schema.accounts).where(or_(own, by_identity)).order_by(mine.created_at, mine.id)
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
