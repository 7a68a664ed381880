"""One sign-in under way: bound to this browser by a signed cookie, to its provider, and to one use.

The attempt's id is the `state`. Nonce and PKCE verifier are derived from it with a server key, so the cookie holds no
secret and nothing is written to the database until the provider's answer is claimed.
"""

from __future__ import annotations

import json
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import import_module
from itertools import accumulate
from operator import itemgetter
from typing import Any, Literal

from itsdangerous import BadSignature, Signer
from itsdangerous.encoding import base64_decode, base64_encode
from sqlalchemy import Executable, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from . import schema
from .batches import Batches
from .db import Database
from .errors import AttemptExpired, AttemptMismatch, AttemptMissing, AttemptUsed, NotConfirmed
from .sealing import Sealer

LIFETIME = 600  # seconds a person has at the provider
ID = re.compile(r"[A-Za-z0-9_-]{32}")

Purpose = Literal["sign_in", "link", "join"]
Row = dict[str, Any]  # of `spent`
DIGEST = itemgetter("digest")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in under way. `generation` says which secret key its derived values hang on."""

    id: str
    provider: str
    redirect_to: str
    started_at: int  # epoch seconds
    session: str = ""  # the one this browser had when it started; link: the one it is for
    purpose: Purpose = "sign_in"
    bound: str = ""  # join: the pending proof; sign_in: an invitation, if there is one
    max_age: int | None = None  # seconds that the sign-in at the provider may lie before the start of this
    generation: int = 0

    def expired(self, now: int) -> bool:
        """Too old, or from a future that no clock difference explains."""
        return not self.started_at - 60 <= now <= self.started_at + LIFETIME


class Attempts:
    """Starts attempts, carries them through a cookie, derives what belongs to them, and claims each once."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._signers = [
            Signer(sealer.derive("attempt/cookie", generation), key_derivation="none", digest_method=sha256)
            for generation in sealer.generations
        ]

    def start(
        self,
        provider: str,
        redirect_to: str,
        now: int,
        *,
        session: str = "",
        purpose: Purpose = "sign_in",
        bound: str = "",
        max_age: int | None = None,
    ) -> Attempt:
        return Attempt(secrets.token_urlsafe(24), provider, redirect_to, now, session, purpose, bound, max_age)

    def pack(self, attempt: Attempt) -> str:
        """The cookie's value: signed, not secret."""
        fields = [
            attempt.id,
            attempt.provider,
            attempt.redirect_to,
            attempt.started_at,
            attempt.session,
            attempt.purpose,
            attempt.bound,
            attempt.max_age,
        ]
        return self._signers[0].sign(base64_encode(json.dumps(fields, separators=(",", ":")))).decode("ascii")

    def unpack(self, value: str) -> Attempt | None:
        """The attempt a cookie holds, however old; None when we did not sign it."""
        for generation, signer in enumerate(self._signers):
            try:
                packed = signer.unsign(value)
            except BadSignature:
                continue
            return read(json.loads(base64_decode(packed)), generation)
        return None

    def nonce(self, attempt: Attempt) -> str:
        return self._derive("attempt/nonce", attempt)

    def code_verifier(self, attempt: Attempt) -> str:
        """43 characters from 256 bits (RFC 7636 section 4.1)."""
        return self._derive("attempt/verifier", attempt)

    def _derive(self, purpose: str, attempt: Attempt) -> str:
        tag = self._sealer.mac(purpose, f"{attempt.provider}:{attempt.id}".encode(), attempt.generation)
        return urlsafe_b64encode(tag).rstrip(b"=").decode()


def read(packed: Any, generation: int) -> Attempt | None:
    match packed:
        case [
            str(id),
            str(provider),
            str(redirect_to),
            int(started_at),
            str(session),
            ("sign_in" | "link" | "join") as purpose,
            str(bound),
            (int() | None) as max_age,
        ]:
            return Attempt(id, provider, redirect_to, started_at, session, purpose, bound, max_age, generation)
        case _:
            return None


def judge(attempt: Attempt | None, state: str, provider: str, now: int) -> Attempt:
    """The attempt that this answer may go on with. Raises an AttemptFault otherwise."""
    if attempt is None:
        raise AttemptMissing("no cookie for this state")
    if attempt.id != state or attempt.provider != provider:
        raise AttemptMismatch("the cookie is of another state or provider")
    if attempt.expired(now):
        raise AttemptExpired(f"started {now - attempt.started_at} s ago")
    return attempt


def signed_in_at(attempt: Attempt, auth_time: int | None, leeway: int) -> int | None:
    """The provider's `auth_time`, held against what this attempt asks for. `leeway`: seconds that the clocks may be
    apart; what they explain counts as within the age that was asked for.

    None where the provider does not say: it is taken to have had the person sign in now. Raises NotConfirmed.
    """
    if attempt.max_age is None or auth_time is None:
        return auth_time
    earliest = attempt.started_at - attempt.max_age
    if auth_time < earliest - leeway:
        raise NotConfirmed("auth_time is of an earlier sign-in")
    return max(auth_time, earliest)


def oldest(sizes: Mapping[Attempt, int], keep: int, room: int) -> list[Attempt]:
    """Those beyond the `keep` youngest, and beyond the youngest whose sizes have `room` together: to be forgotten."""
    youngest = sorted(sizes, key=lambda attempt: attempt.started_at, reverse=True)
    filled = list(accumulate(sizes[attempt] for attempt in youngest))
    return [one for place, one in enumerate(youngest) if place >= keep or filled[place] > room]


class Claims:
    """Spends attempts; those that come back while a statement is under way share the next one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batches: Batches[Row, bool] = Batches("claim", self._spend, apart=DIGEST, repeatable=False)

    async def claim(self, attempt: Attempt, now: int) -> None:
        """Spend the attempt. AttemptUsed for all but one of parallel claims; Unavailable if nobody knows."""
        if not await self._batches.ask(row_of(f"attempt:{attempt.id}", attempt.started_at + LIFETIME + 120)):
            raise AttemptUsed(f"claimed before, {now - attempt.started_at} s after its start")

    async def _spend(self, rows: Sequence[Row]) -> list[bool]:
        in_order = sorted(rows, key=DIGEST)  # in every process, so that no two wait for each other
        spent = {row.digest for row in await self._database.execute(spend_once(self._database.dialect), in_order)}
        return [DIGEST(row) in spent for row in rows]


@cache
def spend_once(dialect: str) -> Executable:
    """The statement, in the words of this database, whose dialect is the one that is loaded."""
    insert = import_module(f"sqlalchemy.dialects.{dialect}").insert
    statement: Executable = insert(schema.spent).on_conflict_do_nothing().returning(schema.spent.c.digest)
    return statement


def row_of(value: str, expires_at: int) -> Row:
    return {"digest": sha256(value.encode()).digest(), "expires_at": expires_at}


async def spend(connection: AsyncConnection, value: str, expires_at: int) -> bool:
    """Whether this value is spent now for the first time; remembered until `expires_at` (epoch seconds)."""
    row = row_of(value, expires_at)
    return (await connection.execute(spend_once(connection.dialect.name), row)).one_or_none() is not None


async def spend_alone(database: Database, value: str, expires_at: int) -> bool:
    """As `spend`, where nothing else belongs to it."""
    return bool(await database.execute(spend_once(database.dialect), row_of(value, expires_at)))


async def prune(connection: AsyncConnection, now: int, limit: int) -> int:
    """Forget up to `limit` spent values that have expired; how many went."""
    expired = select(schema.spent.c.digest).where(schema.spent.c.expires_at < now).limit(limit)
    result = await connection.execute(delete(schema.spent).where(schema.spent.c.digest.in_(expired)))
    return result.rowcount
