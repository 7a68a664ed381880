"""The courier tells applications that sessions ended, until they know.

claim (one statement) ──► POST the logout token, no transaction open ──► 200, 204: done
                                                                     └─► else: later, and after a day given up
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from gateway import events, logouts
from gateway.db import Database
from gateway.errors import Unavailable
from gateway.events import NOWHERE, Event
from gateway.logouts import Logout
from gateway.settings import AppSettings
from gateway.tokens.logout_token import LogoutTokens

if TYPE_CHECKING:
    import httpx2

    from .delivery import Delivery

BATCH = 20  # deliveries at a time

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
        self._transport = transport

    @cached_property
    def _delivery(self) -> Delivery:
        """The way to applications; the HTTP client under it is loaded when the first has to be told."""
        from .delivery import Delivery

        return Delivery(self._transport)

    async def deliver(self) -> None:
        """Tell everything that is due."""
        while batch := await self._claim():
            await asyncio.gather(*(self._tell(logout) for logout in batch))

    async def close(self) -> None:
        if "_delivery" in vars(self):
            await self._delivery.close()

    async def _claim(self) -> list[Logout]:
        return await logouts.claim(self._database, self._now(), BATCH)

    async def _tell(self, logout: Logout) -> None:
        app = self._apps.get(logout.client_id)
        url = app.backchannel_logout_url if app else None
        fault = await self._post(app, url, logout) if app and url else None
        if fault is None:
            await logouts.done(self._database, logout)
        elif self._now() - logout.created_at >= logouts.PATIENCE:
            await self._give_up(logout, fault)
        else:
            await logouts.again(self._database, logout, self._now())

    async def _post(self, app: AppSettings, url: str, logout: Logout) -> str | None:
        """What went wrong; None where the application has taken it."""
        try:
            token = self._tokens.mint(app.id_token_alg, app.client_id, logout.subject, logout.sid, self._now())
        except (Unavailable, ValueError) as error:
            fault: str | None = type(error).__name__
        else:
            fault = await self._delivery.post(url, token)
        fields = {"client": app.client_id, "tries": logout.tries, "fault": fault}
        logger.info("logout_delivered" if fault is None else "logout_not_taken", extra={"fields": fields})
        return fault

    async def _give_up(self, logout: Logout, fault: str) -> None:
        detail = {"client": logout.client_id, "tries": logout.tries, "fault": fault.partition(":")[0]}
        async with self._database.write() as connection:
            await logouts.give_up(connection, logout)
            event = Event("logout_undelivered", uuid.UUID(logout.subject), detail=detail)
            await events.record(connection, event, NOWHERE, self._now())

    def _now(self) -> int:
        return int(self._clock())
