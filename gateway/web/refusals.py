"""A proof of identity that does not hold leaves an event behind, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.types import Scope

from gateway import events
from gateway.errors import GatewayError
from gateway.events import Event

from .origins import origin_of
from .parts import Parts

if TYPE_CHECKING:
    from gateway.providers.client import ProviderClient


@asynccontextmanager
async def recorded_refusal(parts: Parts, scope: Scope, provider: ProviderClient) -> AsyncIterator[None]:
    """Record the error that leaves the block, and let it go on."""
    try:
        yield
    except GatewayError as error:
        async with parts.database.write() as connection:
            refused = Event("sign_in_refused", None, None, provider.name, {"reason": error.code})
            await events.record(connection, refused, origin_of(parts, scope), parts.now())
        raise
