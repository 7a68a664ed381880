"""The providers of a configuration, as named Authlib clients.

Of Authlib's registry only `register` is used. Its `authorize_redirect` and `authorize_access_token` keep state
in a session cookie, one sign-in per provider and browser; ours is in `gateway.attempts`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping

import httpx2
from authlib.integrations.starlette_client import OAuth

from gateway.errors import UnknownProvider
from gateway.settings import ProviderSettings

from .client import ProviderClient
from .kept import Clock
from .openid import same_issuer
from .transport import TlsContext, Transport


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
        oauth, tls = OAuth(), TlsContext()
        self._clients: dict[str, ProviderClient] = {
            name: oauth.register(
                name,
                client_cls=ProviderClient,
                settings=settings,
                public_url=public_url,
                clock=clock,
                transport=Transport(tls, transport),
            )
            for name, settings in providers.items()
        }

    def __iter__(self) -> Iterator[ProviderClient]:
        return iter(self._clients.values())

    def __len__(self) -> int:
        return len(self._clients)

    def get(self, name: str) -> ProviderClient:
        """Raises UnknownProvider."""
        try:
            return self._clients[name]
        except KeyError:
            raise UnknownProvider from None

    def by_issuer(self, issuer: str) -> ProviderClient | None:
        """The provider whose people `issuer` names; one configured with that very issuer goes first."""
        exact = (client for client in self if same_issuer(client.settings.issuer, issuer))
        return next(exact, None) or next((client for client in self if client.owns(issuer)), None)

    async def warm(self) -> None:
        """Have the documents of all fetched, at the same time. Never raises."""
        await asyncio.gather(*(client.warm() for client in self))

    async def close(self) -> None:
        await asyncio.gather(*(client.close() for client in self))
