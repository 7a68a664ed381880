"""What the server does by itself, beside answering: deletes what has expired, reloads keys, keeps metadata warm."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from . import attempts, events, logouts, pending, sessions
from .accounts import invitations
from .accounts.provider_tokens import Kept
from .db import Database
from .flows.own import delete_due

log = logging.getLogger("gateway.housekeeping")

PATIENCE = 5  # seconds that work under way may take at the end
FEW = 20  # accounts per transaction; each takes many rows with it
BATCH = 500  # rows per transaction, so that pruning never holds up a sign-in
SPREAD = random.SystemRandom()  # so that workers do not all do it at once
EVENTS_KEPT = 180 * 86400  # seconds
EVENTS_OF_NOBODY_KEPT = 7 * 86400  # seconds; a stranger's refused sign-in

Work = Callable[[], Awaitable[object]]
Revoke = Callable[[Sequence[Kept]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Chore:
    """Work that is done every so many seconds."""

    name: str
    every: float
    work: Work


async def revoke_nothing(_orphans: Sequence[Kept]) -> None:
    """For where no provider's tokens are kept."""


async def prune(database: Database, now: int, revoke: Revoke = revoke_nothing) -> dict[str, int]:
    """Delete what has expired, in small batches; how many rows of each kind went. `revoke` is given providers' tokens
    of accounts that are gone, after each commit."""
    kinds: dict[str, Callable[[AsyncConnection], Awaitable[int]]] = {
        "sessions": lambda connection: sessions.prune(connection, now, BATCH),
        "spent": lambda connection: attempts.prune(connection, now, BATCH),
        "pending": lambda connection: pending.prune(connection, now, BATCH),
        "logouts": lambda connection: logouts.prune(connection, now, BATCH),
        "invitations": lambda connection: invitations.prune(connection, now, BATCH),
        "events": lambda connection: events.prune(
            connection, now - EVENTS_KEPT, BATCH, of_nobody_before=now - EVENTS_OF_NOBODY_KEPT
        ),
    }
    gone = {kind: await drain(database, work) for kind, work in kinds.items()}
    return {**gone, "accounts": await delete_accounts(database, now, revoke)}


async def delete_accounts(database: Database, now: int, revoke: Revoke) -> int:
    total = 0
    while True:
        async with database.write() as connection:
            erased = await delete_due(connection, now, FEW)
        await revoke(erased.orphans)
        total += erased.accounts
        if not erased.accounts:
            return total


async def drain(database: Database, work: Callable[[AsyncConnection], Awaitable[int]]) -> int:
    total = 0
    while True:
        async with database.write() as connection:
            gone = await work(connection)
        total += gone
        if not gone:
            return total


async def keep_doing(chore: Chore, ending: asyncio.Event) -> None:
    """Do the chore until the end. A failure is logged and tried again next time; nothing that serves depends on it."""
    while True:
        pause = chore.every * SPREAD.uniform(0.8, 1.2)
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), pause)
        if ending.is_set():
            return
        try:
            await chore.work()
        except Exception:
            log.exception("chore_failed", extra={"fields": {"chore": chore.name}})


class Housekeeping:
    """The chores of one process."""

    def __init__(self, chores: list[Chore]) -> None:
        self._chores = chores
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._ending.clear()
        self._tasks = [asyncio.create_task(keep_doing(chore, self._ending), name=chore.name) for chore in self._chores]

    async def stop(self) -> None:
        """Let what is under way finish, within limits: a statement cut short leaves a connection behind."""
        self._ending.set()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=PATIENCE)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        self._tasks = []
