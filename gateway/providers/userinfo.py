"""The userinfo endpoint (OpenID Core §5.3): called for what the ID token leaves out, about its person only.

NOTE: aggregated and distributed claims (`_claim_names`, `_claim_sources`, §5.6.2) are not followed: their
addresses would be anybody's.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

import httpx2

from gateway.errors import ProviderError, SubjectMismatch

from .discovery import Metadata
from .id_token import Verified, check_audience
from .jws import Opener
from .transport import fetch, read_object

TYPES = frozenset(("jwt", "userinfo+jwt"))


class UserInfo:
    """Asks one provider's userinfo endpoint."""

    def __init__(self, http: httpx2.AsyncClient, opener: Opener, client_id: str) -> None:
        self._http = http
        self._opener = opener
        self._audience = frozenset((client_id,))

    async def fetch(self, metadata: Metadata, access_token: str, verified: Verified) -> Mapping[str, Any]:
        """What it says about the person of the ID token.

        Raises SubjectMismatch where it speaks of another, and a ProviderFault where it cannot be had.
        """
        if metadata.userinfo_endpoint is None:
            raise ProviderError("the provider has no userinfo endpoint")
        headers = {"Authorization": f"Bearer {access_token}"}
        response = await fetch(self._http, metadata.userinfo_endpoint, headers)
        claims = await self._read(response, metadata)
        subject = claims.get("sub")
        if not isinstance(subject, str) or not same(subject, verified.subject):
            raise SubjectMismatch("userinfo is about another subject than the ID token, or none")
        return claims

    async def _read(self, response: httpx2.Response, metadata: Metadata) -> Mapping[str, Any]:
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/jwt":
            return read_object(response.content)
        opened = await self._opener.open(response.text, types=TYPES, came="direct")
        if opened.claims.get("iss") != metadata.issuer:
            raise ProviderError("signed userinfo names another issuer")
        check_audience(opened.claims, self._audience, self._audience)
        return opened.claims


def same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
