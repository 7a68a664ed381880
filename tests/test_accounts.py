"""The decision what an identity may do, as its whole table; and accounts in the database."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from sqlalchemy.exc import IntegrityError

from gateway import accounts
from gateway.accounts import Account, Create, Refuse, SignIn, SignupPolicy, decide
from gateway.db import Database
from gateway.errors import AccountDisabled, DomainNotAllowed, SignupClosed
from gateway.identity import Identity

NOW = 1_800_000_000
ADA = Account(uuid.UUID(int=1), "ada@example.com", True, "Ada", None, NOW)
OFF = Account(uuid.UUID(int=2), None, False, None, None, NOW, disabled_at=NOW)
KNOWN = uuid.UUID(int=3)


def identity(email: str | None = "ada@example.com", verified: bool = True, subject: str = "1") -> Identity:
    return Identity("google", "https://accounts.google.com", subject, email, verified, name="Ada")


OPEN, CLOSED = SignupPolicy(), SignupPolicy("closed")
DOMAINS = SignupPolicy("domains", ("Example.com",))


@pytest.mark.parametrize(
    ("who", "known", "policy", "verdict"),
    [
        (identity(), (ADA, KNOWN), OPEN, SignIn(ADA, KNOWN)),
        (identity(), (ADA, KNOWN), CLOSED, SignIn(ADA, KNOWN)),
        (identity("ada@else.example"), (ADA, KNOWN), DOMAINS, SignIn(ADA, KNOWN)),
        (identity(), (OFF, KNOWN), OPEN, Refuse(AccountDisabled, OFF.id)),
        (identity(), None, OPEN, Create()),
        (identity(None, False), None, OPEN, Create()),
        (identity(), None, CLOSED, Refuse(SignupClosed)),
        (identity(), None, DOMAINS, Create()),
        (identity("ada@EXAMPLE.COM"), None, DOMAINS, Create()),
        (identity("ada@example.com", verified=False), None, DOMAINS, Refuse(DomainNotAllowed)),
        (identity("ada@sub.example.com"), None, DOMAINS, Refuse(DomainNotAllowed)),
        (identity("ada@badexample.com"), None, DOMAINS, Refuse(DomainNotAllowed)),
        (identity("ada@example.com@else.example"), None, DOMAINS, Refuse(DomainNotAllowed)),
        (identity("ada@example.com."), None, DOMAINS, Refuse(DomainNotAllowed)),
        (identity(None), None, DOMAINS, Refuse(DomainNotAllowed)),
    ],
)
def test_decide(who: Identity, known: tuple[Account, uuid.UUID] | None, policy: SignupPolicy, verdict: object) -> None:
    assert decide(who, known, policy) == verdict


def test_email_key_folds_ascii_only() -> None:
    assert accounts.email_key("Ada@Example.COM") == "ada@example.com"
    assert accounts.email_key("ADÄ@example.com") == "ADÄ@example.com"
    assert accounts.email_key(None) is None


async def test_what_is_created_is_found(database_url: str) -> None:
    database = Database(database_url)
    async with database.write() as connection:
        account, identity_id = await accounts.create(connection, identity(), NOW)
    async with database.write() as connection:
        found = await accounts.find(connection, "https://accounts.google.com", "1")
    await database.close()
    assert found == (account, identity_id)


async def test_one_identity_has_one_account(database_url: str) -> None:
    database = Database(database_url)

    async def create() -> bool:
        try:
            async with database.write() as connection:
                await accounts.create(connection, identity(), NOW)
        except IntegrityError:
            return False
        return True

    results = await asyncio.gather(*(create() for _ in range(8)))
    await database.close()
    assert results.count(True) == 1


async def test_the_account_keeps_its_own_data_when_the_provider_says_something_new(database_url: str) -> None:
    database = Database(database_url)
    async with database.write() as connection:
        account, identity_id = await accounts.create(connection, identity(), NOW)
        moved = Identity("renamed", "https://accounts.google.com", "1", "new@example.com", False)
        await accounts.refresh_identity(connection, identity_id, moved, NOW + 5)
        profile = await accounts.profile(connection, account.id)
    await database.close()
    assert profile is not None
    kept, (linked,) = profile
    assert kept == account
    assert (linked.provider, linked.email, linked.email_verified, linked.last_used_at) == (
        "renamed",
        "new@example.com",
        False,
        NOW + 5,
    )
