"""Accounts and identities in the database."""

from __future__ import annotations

import asyncio

from sqlalchemy.exc import IntegrityError

from gateway import accounts
from gateway.db import Database
from gateway.identity import Identity

NOW = 1_800_000_000


def identity(email: str | None = "ada@example.com", verified: bool = True, subject: str = "1") -> Identity:
    return Identity("google", "https://accounts.google.com", subject, email, verified, name="Ada")


def test_email_key_folds_ascii_only() -> None:
    assert accounts.email_key("Ada@Example.COM") == "ada@example.com"
    assert accounts.email_key("ADÄ@example.com") == "ADÄ@example.com"
    assert accounts.email_key(None) is None


async def test_what_is_created_is_found(database_url: str) -> None:
    database = Database(database_url)
    async with database.write() as connection:
        account, identity_id = await accounts.create(connection, identity(), NOW)
    async with database.write() as connection:
        found = await accounts.find(connection, identity())
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
        await accounts.refresh_identity(connection, account.id, identity_id, moved, NOW + 5)
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
