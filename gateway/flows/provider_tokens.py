"""Provider tokens: a live one for an application that may have it, and their end when nobody needs them any more.

Providers are asked outside of transactions: what they answer is written where nobody else has written meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from gateway.accounts import provider_tokens
from gateway.accounts.provider_tokens import Kept
from gateway.db import Database
from gateway.errors import GatewayError, NotFound, ReauthenticationRequired, TokenRefused
from gateway.identity import ProviderTokens
from gateway.providers.registry import Providers
from gateway.sealing import Sealer

if TYPE_CHECKING:
    from gateway.providers.client import ProviderClient

STALE = 60  # seconds before the end of its life in which a token is refreshed

log = logging.getLogger("gateway.flows")


@dataclass(frozen=True, slots=True)
class ProviderTokenDesk:
    """Hands out provider tokens and has them revoked. One refresh at a time for each identity in this process."""

    database: Database
    sealer: Sealer
    providers: Providers
    _locks: WeakValueDictionary[uuid.UUID, asyncio.Lock] = field(default_factory=WeakValueDictionary, repr=False)

    async def live(
        self, account_id: uuid.UUID, name: str, now: int, *, prefer: uuid.UUID | None = None
    ) -> ProviderTokens:
        """A token of this provider that lives for another minute, of the identity `prefer` or else the one used last.

        NotFound where none is kept, ReauthenticationRequired where only a sign-in brings one again; a ProviderFault.
        """
        client = self.providers.get(name)
        async with self.database.read() as connection:
            kept = [each for each in await provider_tokens.of_account(connection, account_id) if each.provider == name]
        if not client.settings.store_tokens or not kept:
            raise NotFound("no token of this provider is kept for this account")
        chosen = next((each for each in kept if each.identity_id == prefer), kept[0])
        tokens = chosen.open(self.sealer)
        if tokens and is_fresh(tokens, now):
            return tokens
        async with self._locks.setdefault(chosen.identity_id, asyncio.Lock()):
            return await self._refreshed(client, chosen.identity_id, now)

    async def _refreshed(self, client: ProviderClient, identity_id: uuid.UUID, now: int) -> ProviderTokens:
        async with self.database.read() as connection:
            kept = await provider_tokens.of_identity(connection, identity_id)
        if kept is None:
            raise NotFound("the identity was unlinked")
        tokens = kept.open(self.sealer)
        if tokens and is_fresh(tokens, now):
            return tokens  # somebody else was quicker
        if tokens is None:
            raise ReauthenticationRequired(client.name, "no secret key opens the token")
        try:
            fresh = await client.refresh(tokens)
        except TokenRefused as error:
            return await self._given_up(client, kept, error, now)
        async with self.database.write() as connection:
            written = await provider_tokens.change(connection, kept, provider_tokens.seal(self.sealer, fresh), now)
        if not written:
            return await self._superseded(client, kept, fresh, now)
        return fresh

    async def _superseded(self, client: ProviderClient, kept: Kept, ours: ProviderTokens, now: int) -> ProviderTokens:
        """What to do with fresh tokens that came too late: the identity is gone, or a sign-in brought others."""
        async with self.database.read() as connection:
            present = await provider_tokens.of_identity(connection, kept.identity_id)
        if present is None:
            await self.revoke([Kept(kept.identity_id, client.name, provider_tokens.seal(self.sealer, ours))])
            raise NotFound("the identity was unlinked meanwhile")
        theirs = present.open(self.sealer)
        return theirs if theirs and is_fresh(theirs, now) else ours

    async def _given_up(self, client: ProviderClient, kept: Kept, error: TokenRefused, now: int) -> ProviderTokens:
        """The tokens are of no use and go; unless another process was quicker with the same one, and has others."""
        async with self.database.write() as connection:
            await provider_tokens.forget(connection, kept)
            present = await provider_tokens.of_identity(connection, kept.identity_id)
        tokens = present.open(self.sealer) if present else None
        if tokens and is_fresh(tokens, now):
            return tokens
        raise ReauthenticationRequired(client.name, error.cause)

    async def revoke(self, orphans: Sequence[Kept]) -> None:
        """Ask the providers to revoke what nobody keeps any more. Call it after the commit. Never raises."""
        await asyncio.gather(*(self._revoke(kept) for kept in orphans))

    async def _revoke(self, kept: Kept) -> None:
        try:
            tokens = kept.open(self.sealer)
            done = tokens is not None and await self.providers.get(kept.provider).revoke(tokens)
            name, cause = ("provider_tokens_revoked" if done else "provider_tokens_left", "")
        except GatewayError as error:
            name, cause = "provider_tokens_left", error.cause
        fields = {"provider": kept.provider, "identity": str(kept.identity_id), "cause": cause}
        log.info(name, extra={"fields": fields})


def is_fresh(tokens: ProviderTokens, now: int) -> bool:
    return tokens.expires_at is None or tokens.expires_at > now + STALE
