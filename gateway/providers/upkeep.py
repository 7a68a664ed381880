"""What is done with a provider's tokens after a sign-in: refreshing them (RFC 6749 §6), revoking them (RFC 7009)."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

import httpx2

from gateway.errors import ProviderError, ProviderUnavailable, TokenRefused
from gateway.identity import ProviderTokens

from .client_auth import ClientAuthentication
from .discovery import Metadata
from .kept import Clock
from .token_response import read_answer, read_refreshed
from .transport import check_status, describe

LIMIT = 4.0  # seconds for one call
FORM = "application/x-www-form-urlencoded"


class Upkeep:
    """Speaks for one provider's client. Nothing is ever sent twice: a refresh token may work once only."""

    def __init__(self, http: httpx2.AsyncClient, authentication: ClientAuthentication, clock: Clock) -> None:
        self._http = http
        self._authentication = authentication
        self._clock = clock

    async def refresh(self, metadata: Metadata, tokens: ProviderTokens) -> ProviderTokens:
        """Fresh tokens for the old ones; what the answer leaves out stays as it was.

        Raises TokenRefused where the provider takes the refresh token no more, or there is none; a ProviderFault.

        NOTE: an ID token in the answer is not looked at, since nothing is made of it.
        """
        if tokens.refresh_token is None:
            raise TokenRefused("there is no refresh token")
        form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token}
        response = await self._post(metadata.token_endpoint, metadata, form)
        fresh = read_refreshed(response, int(self._clock()))
        kept = fresh.refresh_token or tokens.refresh_token
        return ProviderTokens(fresh.access_token, fresh.expires_at, kept, fresh.scope or tokens.scope)

    async def revoke(self, metadata: Metadata, tokens: ProviderTokens) -> bool:
        """Have the tokens revoked; False where the provider has no way to ask for it. Raises a ProviderFault.

        The refresh token goes first: most providers take the access token with it (RFC 7009 §2.1).
        """
        if metadata.revocation_endpoint is None:
            return False
        for kind, token in (("refresh_token", tokens.refresh_token), ("access_token", tokens.access_token)):
            if token is not None:
                form = {"token": token, "token_type_hint": kind}
                check_revoked(await self._post(metadata.revocation_endpoint, metadata, form))
        return True

    async def _post(self, url: str, metadata: Metadata, form: dict[str, str]) -> httpx2.Response:
        headers = httpx2.Headers({"Content-Type": FORM})
        body = self._authentication.sign(metadata, headers, urlencode(form).encode("ascii"))
        try:
            async with asyncio.timeout(LIMIT):
                return await self._http.post(url, content=body, headers=headers)
        except httpx2.DecodingError as error:
            raise ProviderError(str(error)) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, TimeoutError) as error:
            raise ProviderUnavailable(describe(error)) from error


def check_revoked(response: httpx2.Response) -> None:
    """A token that is unknown already is as good as revoked: 200 by the standard (§2.2), 400 at Google."""
    if response.status_code == httpx2.codes.BAD_REQUEST and read_answer(response).get("error") == "invalid_token":
        return
    check_status(response)
