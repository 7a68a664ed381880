"""The rows of `signing_keys`: read, opened, added, moved on and deleted. Its unique index decides races."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from joserfc.jwk import Key
from sqlalchemy import ColumnElement, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.db import Database
from gateway.errors import Unavailable
from gateway.schema import signing_keys
from gateway.sealing import Sealer

from .signing import Verifier, public_jwk, read_key, write_private

State = Literal["next", "current", "previous"]
PURPOSE = "signing-key"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key as it is kept. Times are epoch seconds; only the current one has its private half, once opened."""

    kid: str
    alg: str
    state: State
    created_at: int
    activated_at: int | None
    retire_at: int | None  # when its last token is dead
    public: Mapping[str, Any]
    verifier: Verifier
    private: Key | None = field(default=None, repr=False)


class MovedOn(Exception):
    """A row is no longer in the state it was read in."""


class StoredKeys:
    """The table, private halves sealed. What cannot be reached is Unavailable; a lost race is False."""

    def __init__(self, db: Database, sealer: Sealer, family: str) -> None:
        self._db = db
        self._sealer = sealer
        self._mine = signing_keys.c.family == family
        self._family = family

    async def rows(self) -> Sequence[Row[Any]]:
        """All of the family, oldest first, still sealed."""
        query = select(signing_keys).where(self._mine).order_by(signing_keys.c.created_at, signing_keys.c.kid)
        try:
            async with self._db.read() as connection:
                return (await connection.execute(query)).all()
        except (SQLAlchemyError, OSError) as error:
            raise Unavailable(f"signing keys cannot be read: {type(error).__name__}") from error

    def open(self, row: Row[Any]) -> SigningKey:
        return SigningKey(
            kid=row.kid,
            alg=row.alg,
            state=row.state,
            created_at=row.created_at,
            activated_at=row.activated_at,
            retire_at=row.retire_at,
            public=row.public,
            verifier=Verifier(read_key(row.public), alg=row.alg),
            private=self.open_private(row) if row.state == "current" else None,
        )

    def open_private(self, row: Row[Any]) -> Key | None:
        opened = self._sealer.open(PURPOSE, row.private)
        return None if opened is None else read_key(json.loads(opened))

    async def add(self, made: Mapping[State, Key], alg: str, now: int, *, instead_of: str | None = None) -> bool:
        """Add keys; `instead_of` names a next one, which never signed, to delete with it."""

        async def change(connection: AsyncConnection) -> None:
            if instead_of is not None:
                await connection.execute(delete(signing_keys).where(is_in(instead_of, "next")))
            rows = [self._seal(state, key, alg, now) for state, key in made.items()]
            await connection.execute(insert(signing_keys), rows)

        return await self._commit(change)

    async def move_on(self, current: str, coming: str, fresh: Key, alg: str, *, now: int, retire_at: int) -> bool:
        """Current becomes previous until `retire_at`, next becomes current, `fresh` becomes next."""

        async def change(connection: AsyncConnection) -> None:
            previous = {"state": "previous", "retire_at": retire_at}
            await change_row(connection, is_in(current, "current"), previous)
            await change_row(connection, is_in(coming, "next"), {"state": "current", "activated_at": now})
            await connection.execute(insert(signing_keys), [self._seal("next", fresh, alg, now)])

        return await self._commit(change)

    async def remove(self, which: ColumnElement[bool]) -> bool:
        """Delete keys that do not sign. False when there is none."""

        async def change(connection: AsyncConnection) -> None:
            idle = delete(signing_keys).where(self._mine, which, signing_keys.c.state != "current")
            if (await connection.execute(idle)).rowcount == 0:
                raise MovedOn

        return await self._commit(change)

    async def _commit(self, change: Callable[[AsyncConnection], Awaitable[None]]) -> bool:
        try:
            async with self._db.write() as connection:
                await change(connection)
        except (IntegrityError, MovedOn):
            return False
        except (SQLAlchemyError, OSError) as error:
            raise Unavailable(f"signing keys cannot be written: {type(error).__name__}") from error
        return True

    def _seal(self, state: State, key: Key, alg: str, now: int) -> dict[str, Any]:
        public = public_jwk(key, alg)
        return {
            "kid": public["kid"],
            "family": self._family,
            "alg": alg,
            "state": state,
            "public": public,
            "private": self._sealer.seal(PURPOSE, write_private(key)),
            "created_at": now,
            "activated_at": now if state == "current" else None,
            "retire_at": None,
        }


def is_in(kid: str, state: State) -> ColumnElement[bool]:
    return (signing_keys.c.kid == kid) & (signing_keys.c.state == state)


async def change_row(connection: AsyncConnection, which: ColumnElement[bool], values: Mapping[str, Any]) -> None:
    if (await connection.execute(update(signing_keys).where(which).values(values))).rowcount != 1:
        raise MovedOn
