"""A provider's document, kept: one fetch at a time, stale rather than absent, failures remembered.

fresh ──────────────► value
old ────────────────► value at once, and a flight in the background
none ───────────────► wait for the flight
none, just failed ──► the failure, without asking again
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from gateway.errors import IssuerMisconfigured, ProviderFault, ProviderUnavailable

Clock = Callable[[], float]
T = TypeVar("T")

TTL = 3600  # seconds after which a value is renewed while it is still served
PAUSE = 3  # seconds for which a failure is believed
FLIGHT_LIMIT = 3.0  # seconds

log = logging.getLogger("gateway.providers")


class Kept(Generic[T]):
    """`what` names the document in the log, e.g. "google: discovery"."""

    def __init__(self, fetch: Callable[[], Awaitable[T]], *, what: str, clock: Clock) -> None:
        self._fetch = fetch
        self._what = what
        self._clock = clock
        self._loaded_at = 0.0
        self.failure: ProviderFault | None = None
        self._failed_at = 0.0
        self._flight: asyncio.Task[None] | None = None
        self.value: T | None = None

    def current(self) -> T | None:
        """The value without waiting; one past its time is renewed in the background."""
        if self.value is not None and not self._within(self._loaded_at, TTL) and not self._resting():
            self.start()
        return self.value

    def ahead(self) -> None:
        """Have a value fetched in the background where there is none, or an old one."""
        if self.current() is None and not self._resting():
            self.start()

    async def get(self) -> T:
        """The value. Raises the ProviderFault of the fetch where there is none."""
        value = self.current()
        if value is not None:
            return value
        if self._flight is not None or not self._resting():
            await self.renew()
        if self.value is None:
            fault = self.failure or ProviderUnavailable(f"{self._what}: nothing fetched")
            raise type(fault)(fault.cause)
        return self.value

    @property
    def flying(self) -> bool:
        return self._flight is not None

    def start(self) -> asyncio.Task[None]:
        """The flight under way, or a new one. It goes on when those who wait for it give up."""
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly())
        return self._flight

    async def renew(self) -> None:
        """Fetch now, or wait for the fetch under way; whether it worked shows in the value."""
        await asyncio.shield(self.start())

    async def stop(self) -> None:
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.gather(self._flight, return_exceptions=True)

    async def _fly(self) -> None:
        try:
            async with asyncio.timeout(FLIGHT_LIMIT):
                value = await self._fetch()
        except TimeoutError:
            self._failed(ProviderUnavailable(f"no answer within {FLIGHT_LIMIT:g} s"))
        except ProviderFault as fault:
            self._failed(fault)
        except Exception as error:  # whatever a document contains, it is the provider that is unavailable
            log.exception("provider_document_unreadable", extra={"fields": {"document": self._what}})
            self._failed(ProviderUnavailable(type(error).__name__))
        else:
            self.value, self._loaded_at, self.failure = value, self._clock(), None
        finally:
            self._flight = None

    def _failed(self, fault: ProviderFault) -> None:
        fault.cause = f"{self._what}: {fault.cause}"
        self.failure, self._failed_at = fault, self._clock()
        if isinstance(fault, IssuerMisconfigured):  # not an outage: the provider says it is somebody else
            self.value = None
        fields = {"document": self._what, "cause": fault.cause, "copy": self.value is not None}
        log.warning("provider_document_failed", extra={"fields": fields})

    def _resting(self) -> bool:
        return self.failure is not None and self._within(self._failed_at, PAUSE)

    def _within(self, since: float, seconds: float) -> bool:
        return 0 <= self._clock() - since < seconds
