"""Makes the named Authlib clients of a configuration.

Of Authlib's registry only `register` is used. Its `authorize_redirect` and `authorize_access_token` keep state
in a session cookie, one sign-in per provider and browser; ours is in `gateway.attempts`.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx2
from authlib.integrations.starlette_client import OAuth

from gateway.settings import ProviderSettings

from .client import ProviderClient
from .kept import Clock
from .transport import TlsContext, Transport

POOLS = 5  # for each provider


def make_clients(
    providers: Mapping[str, ProviderSettings],
    public_url: str,
    clock: Clock,
    transport: httpx2.AsyncBaseTransport | None,
) -> Mapping[str, ProviderClient]:
    """By name, in the order given; they share one TLS context."""
    oauth, tls = OAuth(), TlsContext()
    return {
        name: oauth.register(
            name,
            client_cls=ProviderClient,
            settings=settings,
            public_url=public_url,
            clock=clock,
            transport=Transport(tls, transport, pools=POOLS),
        )
        for name, settings in providers.items()
    }
