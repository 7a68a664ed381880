"""The providers of a configuration, as named clients that are made when the first is needed.

Authlib and the HTTP client are a quarter of all that the server loads. Whoever only checks tokens and renews sessions
never waits for them; housekeeping loads them beside what is served, a minute after the start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from gateway.errors import UnknownProvider
from gateway.settings import ProviderSettings

from .kept import Clock

if TYPE_CHECKING:
    import httpx2

    from .client import ProviderClient


class Providers:
    """Every provider on offer, in the order of the file. `public_url` is ours, without a trailing slash.

    `transport` replaces the network in tests; who passes one closes it.
    """

    def __init__(
        self,
        providers: Mapping[str, ProviderSettings],
        *,
        public_url: str,
        clock: Clock = time.time,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = providers
        self._made_for = (public_url, clock, transport)

    @cached_property
    def _clients(self) -> Mapping[str, ProviderClient]:
        from .clients import make_clients

        return make_clients(self._settings, *self._made_for)

    def __iter__(self) -> Iterator[ProviderClient]:
        return iter(self._clients.values())

    def __len__(self) -> int:
        return len(self._settings)

    def get(self, name: str) -> ProviderClient:
        """Raises UnknownProvider."""
        if name not in self._settings:
            raise UnknownProvider
        return self._clients[name]

    def by_issuer(self, issuer: str) -> ProviderClient | None:
        """The provider whose people `issuer` names; one configured with that very issuer goes first."""
        from .openid import same_issuer

        exact = (client for client in self if same_issuer(client.settings.issuer, issuer))
        return next(exact, None) or next((client for client in self if client.owns(issuer)), None)

    async def warm(self) -> None:
        """Have the clients made and the documents of all fetched, at the same time. Never raises."""
        await asyncio.to_thread(import_module, ".clients", __package__)
        await asyncio.gather(*(client.warm() for client in self))

    async def close(self) -> None:
        if "_clients" in vars(self):
            await asyncio.gather(*(client.close() for client in self))
