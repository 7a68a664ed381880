"""Sign out: ending one session, all others, or all of an account, with its event, in one transaction."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from gateway import accounts, events, sessions
from gateway.db import Database
from gateway.errors import NotFound
from gateway.events import Event, Origin
from gateway.sessions.ended import EndedSessions


@dataclass(frozen=True, slots=True)
class SignOut:
    """Ends sessions in the database, and at once in this process; other processes know within two seconds.

    The account is held first: an application that redeems its code at this moment has done so, and its grant is seen
    and ends as well, or finds that there is nothing left to redeem.
    """

    database: Database
    ended: EndedSessions

    async def end_one(self, account_id: uuid.UUID, session_id: uuid.UUID, origin: Origin, now: int) -> None:
        """End one session of the account. NotFound when the account has no such living session."""
        async with self.database.write() as connection:
            await accounts.hold(connection, account_id)
            ended = await sessions.end(connection, session_id, account_id=account_id, reason="ended", now=now)
            if ended is None:
                raise NotFound("no such session of this account")
            event = Event("session_ended", account_id, session_id, ended.provider, {"reason": "ended"})
            await events.record(connection, event, origin, now)
        self.ended.add([session_id])

    async def end_others(self, account_id: uuid.UUID, current: uuid.UUID, origin: Origin, now: int) -> int:
        """End every session of the account but the current one; how many ended."""
        async with self.database.write() as connection:
            await accounts.hold(connection, account_id)
            ids = await sessions.end_others(connection, account_id, current, reason="ended", now=now)
            if ids:
                event = Event("sessions_ended", account_id, current, None, {"count": len(ids), "reason": "others"})
                await events.record(connection, event, origin, now)
        self.ended.add(ids)
        return len(ids)

    async def sign_out(self, session_id: uuid.UUID, everywhere: bool, origin: Origin, now: int) -> None:
        """End this session, or with `everywhere` every session of its account. Nothing to end is no error."""
        async with self.database.write() as connection:
            session = await sessions.get(connection, session_id, now)
            if session is None:
                return
            await accounts.hold(connection, session.account_id)
            if everywhere:
                ids = await sessions.end_for_account(connection, session.account_id, reason="signed_out", now=now)
            else:
                ended = await sessions.end(connection, session_id, reason="signed_out", now=now)
                ids = [ended.id] if ended else []
            if ids:
                detail = {"everywhere": everywhere}
                event = Event("signed_out", session.account_id, session.id, session.provider, detail)
                await events.record(connection, event, origin, now)
        self.ended.add(ids)
