"""The signing keys of one process, and how they follow each other.

    next ──rotate──► current ──rotate──► previous ──its last token is dead──► gone
    published        published, signs    published

A key is published before it signs, so that whoever caches the key set knows it in time. The keys live in the
database; every process reads them again every few seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from joserfc.jwk import Key
from sqlalchemy import Row

from gateway.db import Database
from gateway.errors import Unavailable
from gateway.schema import signing_keys
from gateway.sealing import Sealer

from .signing import Algorithm, Signer, generate
from .stored import SigningKey, State, StoredKeys

Clock = Callable[[], float]

RELOAD_INTERVAL = 30  # seconds after which every process has read a change, at the latest
PUBLISH_LEAD = 300 + RELOAD_INTERVAL  # how long others may cache our key set, and how far a process may be behind
RETIRE_MARGIN = 120  # seconds after the last token's end: a process that was behind, clocks that differ

ACCESS = "access"  # the family of keys that sign access tokens

logger = logging.getLogger(__name__)


class UnreadableKey(Unavailable):
    """The secret key that sealed the signing key is missing from `secret_keys`."""

    def __init__(self, kid: str) -> None:
        super().__init__(
            f"no secret key opens the signing key {kid}: put the one that sealed it back into secret_keys,"
            " or start with new signing keys by `gateway keys rotate --force`"
        )


class KeyRefusal(Exception):
    """What the operator asked for would break tokens, or cannot be done; the message says why."""


class Keyring:
    """`version` changes whenever the keys do, so that whatever is built from them can follow."""

    def __init__(
        self,
        db: Database,
        sealer: Sealer,
        clock: Clock = time.time,
        alg: Algorithm = "ES256",
        *,
        token_life: int = 300,
        family: str = ACCESS,
    ) -> None:
        """`token_life`: seconds that the longest-lived token lives which these keys sign."""
        self._stored = StoredKeys(db, sealer, family)
        self.family = family
        self._clock = clock
        self._alg = alg
        self._token_life = token_life
        self._rows: Sequence[Row[Any]] = ()
        self._keys: dict[str, SigningKey] = {}
        self.version = 0

    @property
    def keys(self) -> Mapping[str, SigningKey]:
        """By kid, oldest first: everything whose tokens are accepted."""
        return self._keys

    @property
    def current(self) -> SigningKey:
        """The key that signs. Unavailable before loading."""
        key = self._in_state("current")
        if key is None:
            raise Unavailable("no signing key has been loaded")
        return key

    def signer(self, typ: str) -> Signer:
        """Signs tokens of this type with the current key. Unavailable before loading; UnreadableKey."""
        key = self.current
        if key.private is None:
            raise UnreadableKey(key.kid)
        return Signer(key.private, alg=key.alg, kid=key.kid, typ=typ)

    @property
    def ready(self) -> bool:
        """Whether there is a key to sign with."""
        current = self._in_state("current")
        return current is not None and current.private is not None

    def jwks(self) -> dict[str, list[Mapping[str, Any]]]:
        """The key set to publish (RFC 7517 section 5): public members only."""
        now = self._clock()
        return {"keys": [key.public for key in self._keys.values() if key.retire_at is None or key.retire_at > now]}

    async def ensure(self) -> None:
        """Make what is missing, then load. Of several processes one wins, the others read what it made."""
        states = {row.state for row in await self._stored.rows()}
        if "current" not in states:
            made: dict[State, Key] = {state: await self._generate() for state in ("current", "next")}
            await self._stored.add(made, self._alg, self._now())
        await self._see_to_next()
        await self.load()

    async def load(self) -> None:
        """Read the keys. Unavailable when the database cannot be reached or holds none; UnreadableKey."""
        await self.reload()
        self.signer("JWT")

    async def reload(self) -> None:
        """Read again: one small statement, cheap enough for every second. Unavailable keeps what is known."""
        rows = await self._stored.rows()
        if rows != self._rows:
            self._keys = {row.kid: self._stored.open(row) for row in rows}
            self._rows = rows
            self.version += 1

    async def upkeep(self) -> None:
        """Reload, delete what has retired, finish a change of algorithm once its key is known everywhere."""
        await self.reload()
        now = self._now()
        if any(key.retire_at is not None and key.retire_at <= now for key in self._keys.values()):
            await self._stored.remove(signing_keys.c.retire_at <= now)
            await self.reload()
        current, coming = self._in_state("current"), self._in_state("next")
        if current and coming and current.alg != self._alg == coming.alg and self._wait(coming.created_at) <= 0:
            logger.info("signing_algorithm_changed", extra={"fields": {"from": current.alg, "to": coming.alg}})
            await self._move_on(current.kid, coming.kid)

    async def rotate(self, *, force: bool = False) -> None:
        """Let the next key sign. KeyRefusal while others may not know it yet, unless forced."""
        await self._see_to_next()
        rows = {row.state: row for row in await self._stored.rows()}
        if not {"current", "next"} <= rows.keys():
            raise KeyRefusal("there are no keys yet; the gateway makes them when it starts")
        wait = self._wait(rows["next"].created_at)
        if wait > 0 and not force:
            raise KeyRefusal(f"the next key has not been published long enough; wait {wait} seconds or force it")
        if not await self._move_on(rows["current"].kid, rows["next"].kid):
            raise KeyRefusal("another process changed the keys at this moment")

    async def retire(self, kid: str) -> None:
        """Forget a key at once: its tokens are refused from now on. KeyRefusal for the one that signs."""
        if not await self._stored.remove(signing_keys.c.kid == kid):
            known = kid in {row.kid for row in await self._stored.rows()}
            raise KeyRefusal("this key signs; rotate first" if known else "there is no such key")
        await self._see_to_next()
        await self.reload()

    async def _see_to_next(self) -> None:
        """Have a next key that can be used: of the configured algorithm, and opened by a secret key."""
        rows = await self._stored.rows()
        coming = next((row for row in rows if row.state == "next"), None)
        if coming is not None and coming.alg == self._alg and self._stored.open_private(coming) is not None:
            return
        made: dict[State, Key] = {"next": await self._generate()}
        await self._stored.add(made, self._alg, self._now(), instead_of=coming and coming.kid)

    async def _move_on(self, current: str, coming: str) -> bool:
        now = self._now()
        retire_at = now + self._token_life + RETIRE_MARGIN
        fresh = await self._generate()
        moved = await self._stored.move_on(current, coming, fresh, self._alg, now=now, retire_at=retire_at)
        await self.reload()
        return moved

    async def _generate(self) -> Key:
        return await asyncio.to_thread(generate, self._alg)

    def _in_state(self, state: State) -> SigningKey | None:
        return next((key for key in self._keys.values() if key.state == state), None)

    def _wait(self, created_at: int) -> int:
        return created_at + PUBLISH_LEAD - self._now()

    def _now(self) -> int:
        return int(self._clock())
