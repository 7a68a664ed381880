"""FastAPI: `require` as a dependency that gives the caller, for routes and WebSockets, and tells OpenAPI the scopes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException, WebSocketException
from fastapi.openapi.models import OAuth2, OAuthFlowAuthorizationCode, OAuthFlows
from fastapi.params import Security
from fastapi.requests import HTTPConnection
from fastapi.security.base import SecurityBase

from .asgi import POLICY_VIOLATION, PRINCIPAL, asked
from .errors import Refused
from .guard import Guard
from .issuers import AccessTokens
from .principal import Principal
from .require import Requirement, requirement
from .verifier import Verifier


class Protection(Guard):
    """
    protection = Protection(verifier)

    @app.get("/orders")
    async def orders(caller: Annotated[Principal, protection.require(scope="orders:read")]): ...

    For a whole application or router: `FastAPI(dependencies=[protection.require()])`.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        authorization_url: str | None = None,
        token_url: str | None = None,
        scopes: Mapping[str, str] | None = None,
        scheme_name: str = "gateway",
        **options: Any,
    ) -> None:
        """The URLs are for the description and Swagger UI's "Authorize"; the gateway's own are known. `scopes`: what
        each is for; those that `require` names are added. `options`: `Guard`'s."""
        super().__init__(verifier, **options)
        issuer = next((one.issuer for one in verifier.issuers if isinstance(one, AccessTokens)), "").rstrip("/")
        self._scopes = dict(scopes or {})
        flow = OAuthFlowAuthorizationCode(
            authorizationUrl=authorization_url or f"{issuer}/auth/authorize",
            tokenUrl=token_url or f"{issuer}/auth/token",
            refreshUrl=token_url or f"{issuer}/auth/token",
            scopes=self._scopes,
        )
        self.model = OAuth2(flows=OAuthFlows(authorizationCode=flow))
        self.scheme_name = scheme_name

    def require(self, **needs: Any) -> Any:
        """A dependency. `needs`: as `gateway.resource.requirement` has them."""
        wanted = requirement(**needs)
        flow = self.model.flows.authorizationCode
        if flow is not None:
            flow.scopes |= {scope: "" for scope in wanted.named_scopes if scope not in flow.scopes}
        return Security(Caller(self, wanted), scopes=wanted.named_scopes)


class Caller(SecurityBase):
    """The dependency itself: FastAPI shows it in OpenAPI for what it is."""

    def __init__(self, protection: Protection, wanted: Requirement) -> None:
        self.model = protection.model
        self.scheme_name = protection.scheme_name
        self._protection = protection
        self._wanted = wanted

    async def __call__(self, connection: HTTPConnection) -> Principal:
        scope = connection.scope
        try:
            principal = await self._protection.admit(asked(scope), self._wanted)
        except Refused as refused:
            answer = self._protection.refuse(refused)
            if scope["type"] == "websocket":
                raise WebSocketException(POLICY_VIOLATION, answer.error) from refused
            raise HTTPException(answer.status, answer.sentence, answer.headers) from refused
        scope[PRINCIPAL] = principal
        return principal
