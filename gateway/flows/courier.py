"""The courier tells applications that sessions ended, until they know.

claim (one statement) ──► POST the logout token, no transaction open ──► 200, 204: done
                                                                     └─► else: later, and after a day given up
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping

import httpx2

from gateway import events, logouts
from gateway.db import Database
from gateway.errors import Unavailable
from gateway.events import NOWHERE, Event
from gateway.logouts import Logout
from gateway.providers.transport import TlsContext, Transport, describe
from gateway.settings import AppSettings
from gateway.tokens.logout_token import LogoutTokens

TIMEOUT = 5.0  # seconds for one delivery as a whole
BATCH = 20  # deliveries at a time
TAKEN = frozenset({200, 204})  # section 2.8

logger = logging.getLogger(__name__)


class Courier:
    """Delivers what `logouts` holds. Several processes share the work: what one has claimed is its own for a while."""

    def __init__(
        self,
        database: Database,
        apps: Mapping[str, AppSettings],
        tokens: LogoutTokens,
        clock: Callable[[], float],
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport` replaces the network in tests; who passes one closes it."""
        self._database = database
        self._apps = apps
        self._tokens = tokens
        self._clock = clock
        self._transport = Transport(TlsContext(), transport)
        self._http = httpx2.AsyncClient(
            transport=self._transport, timeout=TIMEOUT, trust_env=False, follow_redirects=False
        )

    async def deliver(self) -> None:
        """Tell everything that is due."""
        while batch := await self._claim():
            await asyncio.gather(*(self._tell(logout) for logout in batch))

    async def close(self) -> None:
        await self._http.aclose()
        await self._transport.shut()

    async def _claim(self) -> list[Logout]:
        async with self._database.statement() as connection:
            return await logouts.claim(connection, self._now(), BATCH)

    async def _tell(self, logout: Logout) -> None:
        app = self._apps.get(logout.client_id)
        url = app.backchannel_logout_url if app else None
        fault = await self._post(app, url, logout) if app and url else None
        if fault is None:
            async with self._database.statement() as connection:
                await logouts.done(connection, logout.id)
        elif self._now() - logout.created_at >= logouts.PATIENCE:
            await self._give_up(logout, fault)
        else:
            async with self._database.statement() as connection:
                await logouts.again(connection, logout, self._now())

    async def _post(self, app: AppSettings, url: str, logout: Logout) -> str | None:
        """What went wrong; None where the application has taken it."""
        try:
            token = self._tokens.mint(app.id_token_alg, app.client_id, logout.subject, logout.sid, self._now())
            async with asyncio.timeout(TIMEOUT):
                answer = await self._http.post(url, data={"logout_token": token})
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, ValueError, Unavailable) as error:
            fault: str | None = describe(error)
        else:
            fault = None if answer.status_code in TAKEN else f"HTTP status {answer.status_code}"
        fields = {"client": app.client_id, "tries": logout.tries, "fault": fault}
        logger.info("logout_delivered" if fault is None else "logout_not_taken", extra={"fields": fields})
        return fault

    async def _give_up(self, logout: Logout, fault: str) -> None:
        detail = {"client": logout.client_id, "tries": logout.tries, "fault": fault.partition(":")[0]}
        async with self._database.write() as connection:
            await logouts.done(connection, logout.id)
            event = Event("logout_undelivered", uuid.UUID(logout.subject), detail=detail)
            await events.record(connection, event, NOWHERE, self._now())

    def _now(self) -> int:
        return int(self._clock())
